"""A score belongs to its pair: whatever it is batched with, however the passages are ordered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank import OnnxReranker, PairReranker, ReadingReranker, Reranker
from rerank.errors import InvalidInputError, ModelError, ModelNotFoundError
from rerank.protocol import WindowedReranker
from tests.rerank.factories import SHAPE, WORDS, reranker_folder, sentence, tokenizer

TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=90).map(" ".join), min_size=1, max_size=12)


def test_is_every_kind_of_reranker(reranker: OnnxReranker) -> None:
    assert isinstance(reranker, Reranker)
    assert isinstance(reranker, PairReranker)
    assert isinstance(reranker, WindowedReranker)


def test_scores_are_float32_logits_in_order(reranker: OnnxReranker) -> None:
    scores = reranker.score("red cat", ["the cat sleeps", "a dog runs", "blue bird"])
    assert scores.dtype == np.float32
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == 3


def test_nothing_to_score(reranker: OnnxReranker) -> None:
    assert reranker.score("red", []).shape == (0,)
    assert reranker.score_pairs([]).dtype == np.float32


@settings(max_examples=25, deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 999))
def test_a_score_does_not_depend_on_its_neighbours(
    reranker: OnnxReranker, texts: list[str], seed: int
) -> None:
    together = reranker.score("the red cat", texts)
    alone = [reranker.score("the red cat", [text])[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=0.1)
    order = np.random.default_rng(seed).permutation(len(texts))
    shuffled = reranker.score("the red cat", [texts[row] for row in order])
    np.testing.assert_allclose(shuffled, together[order], atol=0.1)


@settings(max_examples=10, deadline=None)
@given(texts=TEXTS)
def test_duplicates_score_alike(reranker: OnnxReranker, texts: list[str]) -> None:
    scores = reranker.score("old house", texts + texts)
    np.testing.assert_array_equal(scores[: len(texts)], scores[len(texts) :])


def test_queries_share_batches_without_mixing(reranker: OnnxReranker) -> None:
    rng = np.random.default_rng(3)
    pairs = [
        (sentence(rng, int(rng.integers(1, 9))), sentence(rng, int(rng.integers(0, 120)))) for _ in range(60)
    ]
    together = reranker.score_pairs(pairs)
    alone = [reranker.score(query, [passage])[0] for query, passage in pairs]
    np.testing.assert_allclose(together, alone, atol=0.1)


def test_is_deterministic(reranker: OnnxReranker) -> None:
    rng = np.random.default_rng(4)
    passages = [sentence(rng, n) for n in range(1, 70, 3)]
    np.testing.assert_array_equal(
        reranker.score("bird sings", passages), reranker.score("bird sings", passages)
    )


def test_a_window_beyond_the_positions_is_refused(tmp_path: Path) -> None:
    folder = reranker_folder(tmp_path / "small")
    OnnxReranker(folder, window=128)
    with pytest.raises(InvalidInputError, match="128 tokens at most"):
        OnnxReranker(folder, window=129)


def test_the_best_part_of_a_long_passage_counts(reranker: OnnxReranker) -> None:
    filler = "slow river " * 60
    long = reranker.score("red cat runs", [filler + "red cat runs fast " + filler])[0]
    assert long >= reranker.score("red cat runs", [filler])[0] - 0.1


def test_a_long_query_is_cut_not_refused(reranker: OnnxReranker) -> None:
    assert np.isfinite(reranker.score("red cat " * 200, ["the dog", "the dog " * 200])).all()


def test_texts_of_every_kind(reranker: OnnxReranker) -> None:
    assert np.isfinite(reranker.score("cat", ["", " ", "\n", "日本語", "\U0001f600", "x" * 5000])).all()


def test_a_smaller_window_reads_less(reranker: OnnxReranker) -> None:
    short = ["the cat", "old dog runs"]
    np.testing.assert_allclose(
        reranker.score("cat", short, window=32), reranker.score("cat", short), atol=0.1
    )
    with pytest.raises(InvalidInputError, match="at least 16"):
        reranker.score("cat", short, window=3)


def test_reads_single_texts(reranker: OnnxReranker) -> None:
    assert isinstance(reranker, ReadingReranker)
    assert reranker.reader is not None
    texts = ["the cat sleeps", "a dog runs", "the cat sleeps", "red " * 500]
    read: list[int] = []
    vectors = reranker.reader.encode(texts, progress=read.append)
    assert vectors.shape == (4, SHAPE["hidden"])
    assert vectors.dtype == np.float32
    assert sum(read) == 4
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(vectors[1], reranker.reader.encode(["a dog runs"])[0], atol=1e-5)
    assert reranker.reader.encode([]).shape == (0, SHAPE["hidden"])


def test_count_tokens(reranker: OnnxReranker) -> None:
    assert reranker.count_tokens(["red cat", "", "the dog runs"]).tolist() == [2, 0, 3]


def test_weight_and_fingerprint_come_from_the_folder(folder: Path, tmp_path: Path) -> None:
    assert OnnxReranker(folder).recommended_weight == 1.0
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"recommended_weight": 0.4}))
    assert OnnxReranker(other).recommended_weight == 0.4
    assert OnnxReranker(other).fingerprint == OnnxReranker(folder).fingerprint
    assert OnnxReranker(other, window=32).fingerprint != OnnxReranker(folder).fingerprint


def test_int8_ranks_as_float32_does(folder: Path, tmp_path: Path) -> None:
    exact = OnnxReranker(reranker_folder(tmp_path / "exact", int8=False))
    rng = np.random.default_rng(5)
    passages = [sentence(rng, int(rng.integers(3, 40))) for _ in range(60)]
    correlation = np.corrcoef(
        OnnxReranker(folder).score("red bird", passages), exact.score("red bird", passages)
    )
    assert correlation[0, 1] > 0.9  # random weights amplify rounding; the bundled model is held to .99


def test_no_folder() -> None:
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        OnnxReranker("nowhere")


def test_what_is_missing_or_damaged_is_named(folder: Path, tmp_path: Path) -> None:
    for name, said in (
        ("model.onnx", "has no model.onnx"),
        ("tokenizer.json", "tokenizer.json"),
        ("config.json", "config.json"),
    ):
        broken = shutil.copytree(folder, tmp_path / f"without-{name}")
        (broken / name).unlink()
        with pytest.raises(ModelError, match=said):
            OnnxReranker(broken)
    cut = shutil.copytree(folder, tmp_path / "cut")
    (cut / "model.onnx").write_bytes((cut / "model.onnx").read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        OnnxReranker(cut)


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 labels"):
        OnnxReranker(reranker_folder(tmp_path / "classifier", num_labels=3))


def test_a_strange_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    strange = shutil.copytree(folder, tmp_path / "strange")
    bigger = tokenizer()
    bigger.add_tokens(["extra", "tokens"])
    bigger.save(str(strange / "tokenizer.json"))
    with pytest.raises(ModelError, match="do not belong together"):
        OnnxReranker(strange)


def joint_graph(folder: Path, *, width: int) -> Path:
    """A graph as sentence-transformers exports it: sums the ids, with one output a pair, or one a token."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"])
        for name in ("input_ids", "attention_mask")
    ]
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", width])
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axis"], ["total"], keepdims=1),
        helper.make_node("Cast", ["total"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["single", "shape"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1]), "axis"),
        numpy_helper.from_array(np.array([1, width]), "shape"),
    ]
    graph = helper.make_graph(nodes, "joint", ids, [out], constants)
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        folder / "model.onnx",
    )
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"vocab_size": tokenizer().get_vocab_size()}))
    return folder


def test_reads_exports_of_sentence_transformers(tmp_path: Path) -> None:
    reranker = OnnxReranker(joint_graph(tmp_path / "joint", width=1))
    assert reranker.reader is None
    scores = reranker.score("red cat", ["the dog", "bird"])
    made = tokenizer()
    expected = [sum(made.encode("red cat", text).ids) for text in ("the dog", "bird")]
    assert scores.tolist() == expected


def test_a_sentence_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="BiEncoderReranker"):
        OnnxReranker(joint_graph(tmp_path / "encoder", width=384))


def roberta_folder(folder: Path) -> Path:
    """A tiny cross-encoder of XLM-R's kind with seeded weights, exported to ONNX as they are."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {name: row for row, name in enumerate(["<s>", "<pad>", "</s>", "<unk>"])}
    words |= {f"w{number}": 4 + number for number in range(60)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    names |= {"pad_token": "<pad>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.XLMRobertaConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=66, type_vocab_size=1, num_labels=1, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, attn_implementation="eager",
    )  # fmt: skip
    encoder = transformers.XLMRobertaForSequenceClassification(config).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.mul_(5)
    encoder.save_pretrained(folder)

    class Logits(torch.nn.Module):
        def forward(self, ids, mask):
            return encoder(input_ids=ids, attention_mask=mask).logits

    ids = torch.randint(4, 60, (2, 20))
    axes = {name: {0: "pairs", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    torch.onnx.export(
        Logits(), (ids, torch.ones_like(ids)), str(folder / "model.onnx"), input_names=list(axes),
        output_names=["logits"], dynamic_axes=axes | {"logits": {0: "pairs"}}, dynamo=False,
    )  # fmt: skip
    return folder


@pytest.mark.filterwarnings("ignore")
def test_models_that_part_texts_with_two_tokens_and_pad_with_one_score_as_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("onnx")
    from rerank.cross_encoder import CrossEncoderReranker

    folder = roberta_folder(tmp_path / "roberta")
    ours, theirs = OnnxReranker(folder), CrossEncoderReranker(folder)
    rng = np.random.default_rng(0)
    passages = [" ".join(f"w{n}" for n in rng.integers(0, 60, length)) for length in (5, 6, 30, 41)]
    np.testing.assert_allclose(
        ours.score("w1 w2 w3", passages), theirs.score("w1 w2 w3", passages), atol=1e-4
    )
    assert ours.window == 64
    for asked in (3, 20, 90):
        query = " ".join(f"w{n}" for n in rng.integers(0, 60, asked))
        assert np.isfinite(ours.score(query, [" ".join(["w7"] * n) for n in (1, 40, 60, 61, 300)])).all()


@pytest.mark.filterwarnings("ignore")
def test_another_model_at_the_same_place_is_another_model(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("onnx")
    from safetensors.torch import load_file, save_file

    from rerank.cross_encoder import CrossEncoderReranker

    folder = roberta_folder(tmp_path / "model")
    first, again = CrossEncoderReranker(folder).fingerprint, CrossEncoderReranker(folder).fingerprint
    weights = load_file(folder / "model.safetensors")
    weights["classifier.dense.bias"] = weights["classifier.dense.bias"] + torch.ones(32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert first == again != CrossEncoderReranker(folder).fingerprint


def test_halves_of_characters_are_read_as_unknown(reranker: OnnxReranker) -> None:
    assert reranker.score("red \ud800", ["cat \udfff"]) == reranker.score("red \ufffd", ["cat \ufffd"])


def test_threads_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="threads is -1"):
        OnnxReranker(reranker_folder(tmp_path / "tiny"), threads=-1)
