"""Folders: ours in model2vec and sentence-transformers, theirs here, damaged ones refused."""

from __future__ import annotations

import json
import mmap

import numpy as np
import pytest
from model2vec import StaticModel
from model2vec.model import quantize_model

from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError, ModelError, ModelNotFoundError
from tests.retriever.encoder.tokenizer_factory import TEXTS, make_encoder, random_table, word_piece

QUESTIONS = [*TEXTS, "unknown ☃ snowman", "[CLS] the fox"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_ours_in_model2vec(tmp_path, dtype):
    encoder = make_encoder(dimensions=64).quantize(dtype)
    encoder.save(tmp_path)
    theirs = StaticModel.from_pretrained(tmp_path).encode(QUESTIONS).astype(np.float32)
    np.testing.assert_allclose(encoder.encode(QUESTIONS), theirs, atol=1e-3 if dtype == "float16" else 1e-5)


def test_position_weights_are_kept_and_ours_alone(tmp_path):
    encoder = make_encoder(dimensions=64)
    weighted = encoder.with_position_weights([3.0, 1.0, 0.5])
    weighted.save(tmp_path)
    again = StaticEncoder.load(tmp_path)
    assert np.array_equal(again.encode(QUESTIONS), weighted.encode(QUESTIONS))
    assert again.fingerprint == weighted.fingerprint != encoder.fingerprint
    theirs = StaticModel.from_pretrained(tmp_path).encode(QUESTIONS).astype(np.float32)
    np.testing.assert_allclose(encoder.encode(QUESTIONS), theirs, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_ours_in_sentence_transformers(tmp_path, dtype):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra 'hf'")
    encoder = make_encoder(dimensions=64, max_length=9).quantize(dtype)
    encoder.save(tmp_path)
    model = sentence_transformers.SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(
        encoder.encode(QUESTIONS),
        model.encode(QUESTIONS).astype(np.float32),
        atol=2e-3 if dtype == "float16" else 1e-5,
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"quantize_to": "int8"}, {"quantize_to": "float16"}, {"vocabulary_quantization": 40}],
    ids=str,
)
def test_model2vecs_here(tmp_path, options):
    tokenizer = word_piece()
    model = StaticModel(random_table(tokenizer, 32), tokenizer, normalize=True)
    if options:
        model = quantize_model(model, **options)
    model.save_pretrained(tmp_path)
    encoder = StaticEncoder.load(tmp_path)
    half = options.get("quantize_to") == "float16"
    np.testing.assert_allclose(
        encoder.encode(QUESTIONS), model.encode(QUESTIONS).astype(np.float32), atol=1e-3 if half else 1e-5
    )


@pytest.mark.parametrize("options", [{}, {"vocabulary_quantization": 40}], ids=str)
def test_read_and_written_again(tmp_path, options):
    tokenizer = word_piece()
    model = StaticModel(random_table(tokenizer, 32), tokenizer, normalize=True)
    (quantize_model(model, **options) if options else model).save_pretrained(tmp_path / "theirs")
    first = StaticEncoder.load(tmp_path / "theirs")
    first.save(tmp_path / "ours")
    second = StaticEncoder.load(tmp_path / "ours")
    assert np.array_equal(first.encode(QUESTIONS), second.encode(QUESTIONS))
    assert second.fingerprint == first.fingerprint


@pytest.mark.parametrize("max_length", [None, 7])
def test_sentence_transformers_here(tmp_path, max_length):
    pytest.importorskip("sentence_transformers", reason="needs the extra 'hf'")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(word_piece().to_str())
    if max_length:
        tokenizer.enable_truncation(max_length)
    table = random_table(tokenizer, 32)
    table[tokenizer.token_to_id("[UNK]")] = 0  # there unknown tokens are not dropped
    modules = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path))
    encoder = StaticEncoder.load(tmp_path)
    assert encoder.max_length == max_length
    np.testing.assert_allclose(encoder.encode(QUESTIONS), model.encode(QUESTIONS), atol=1e-5)


def test_the_table_is_mapped(tmp_path):
    make_encoder().save(tmp_path)
    table = StaticEncoder.load(tmp_path)._table
    while isinstance(table, np.ndarray):
        table = table.base
    assert isinstance(getattr(table, "obj", table), mmap.mmap)


def test_others_may_read_what_one_saved(tmp_path):
    tiny = tmp_path / "tiny"
    make_encoder().save(tiny)
    modes = {path.stat().st_mode & 0o777 for path in tiny.iterdir()}
    assert len(modes) == 1 and modes.pop() & 0o400


def test_replacing_a_model_that_is_in_use(tmp_path):
    make_encoder().save(tmp_path)
    encoder = StaticEncoder.load(tmp_path)
    expected = encoder.encode(TEXTS)
    make_encoder(dimensions=24).save(tmp_path)
    assert np.array_equal(encoder.encode(TEXTS), expected)
    assert StaticEncoder.load(tmp_path).dimensions == 24


def damage_nothing_there(folder):
    for path in folder.iterdir():
        path.unlink()


def damage_truncated_table(folder):
    table = folder / "model.safetensors"
    table.write_bytes(table.read_bytes()[:-100])


def damage_config(folder):
    (folder / "config.json").write_text("{")


def damage_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")


def damage_other_tokenizer(folder):
    config = json.loads((folder / "tokenizer.json").read_text())
    config["model"]["vocab"]["more"] = 12345
    (folder / "tokenizer.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing_there, "not a static model"),
        (damage_truncated_table, "model.safetensors cannot be read"),
        (damage_config, "config.json cannot be read"),
        (damage_tokenizer, "not a tokenizer"),
        (damage_other_tokenizer, "different models"),
    ],
)
def test_damaged_folders(tmp_path, damage, message):
    make_encoder().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelError, match=message):
        StaticEncoder.load(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelNotFoundError, match="give an existing folder or a hub id"):
        StaticEncoder.load(tmp_path / "nothing")


def test_hub_ids_fetch_only_what_is_read(tmp_path, monkeypatch):
    make_encoder().save(tmp_path)
    asked = {}

    def fetch(name, allow_patterns):
        asked[name] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert StaticEncoder.load("owner/name").dimensions == 48
    assert "model.safetensors" in asked["owner/name"] and not any(
        ".py" in name for name in asked["owner/name"]
    )


def test_a_file_is_not_written_over(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"notes\.txt is a file"):
        make_encoder().save(tmp_path / "notes.txt")
