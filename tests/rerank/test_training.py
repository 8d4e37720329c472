"""Training learns, resumes to the same weights, and what it exports scores as it did."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rerank import OnnxReranker
from rerank.calibration import Calibration
from rerank.errors import InvalidInputError, ModelError
from rerank.train.lists import RankingList, read_lists, write_lists
from rerank.train.negatives import draw_negatives
from rerank.train.pairs import mine_lists, read_training_pairs
from tests.rerank.factories import (
    SHAPE,
    WORDS,
    Killed,
    killed_at,
    model,
    reranker_folder,
    sentence,
    tokenizer,
)

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from rerank.train import losses  # noqa: E402 -- after the check for torch
from rerank.train.api import train  # noqa: E402
from rerank.train.batches import Collator  # noqa: E402
from rerank.train.centring import centred  # noqa: E402
from rerank.train.export import export, range_of, trim_vocabulary  # noqa: E402
from rerank.train.graph import GraphWriter  # noqa: E402
from rerank.train.loop import noted  # noqa: E402
from rerank.train.start import from_reranker, ranges_of, spread_layers, start_from  # noqa: E402
from rerank.train.trainer import Settings, Trainer, list_ndcg  # noqa: E402


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than these models train, and random weights make rounding loud."""
    monkeypatch.setattr("rerank.train.export.LEAST_CORRELATION", 0.5)
    monkeypatch.setattr("rerank.train.loop.shutil.which", lambda _: None)


def lists(count: int, seed: int = 0) -> list[RankingList]:
    """Queries of one animal; the passage that names it is right."""
    rng = np.random.default_rng(seed)
    animals = ["cat", "dog", "bird", "house"]
    made = []
    for _ in range(count):
        asked, other, third = rng.permutation(animals)[:3]
        passages = tuple(
            f"{sentence(rng, 2)} {animal} {sentence(rng, 2)}" for animal in (asked, other, third)
        )
        made.append(
            RankingList(f"the {asked}", passages, (1.0, 0.0, 0.0), {"cosine": (0.9, 0.2, 0.1)}, "animals")
        )
    return made


def settings(**changed: object) -> Settings:
    return Settings(
        **(
            {"steps": 12, "lists": 8, "measure_every": 6, "dev": 10, "rate": 1e-3, "head_rate": 3e-3}
            | changed
        )
    )  # type: ignore[arg-type]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    trainer = Trainer(model(), tokenizer(), lists(120), tmp_path, settings(steps=40, frozen=False))
    seen: list[float] = []
    figures = trainer.run(lambda _, loss: seen.append(loss))
    assert np.mean(seen[-8:]) < np.mean(seen[:8])
    assert set(figures) == {"all", "animals"}
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert logged[0]["step"] == 0
    assert logged[-1]["step"] == 40


def test_an_interrupted_training_comes_to_the_same_weights(tmp_path: Path) -> None:
    whole = Trainer(model(), tokenizer(), lists(60), tmp_path / "whole", settings())
    whole.run()
    with pytest.raises(Killed):
        Trainer(model(), tokenizer(), lists(60), tmp_path / "cut", settings()).run(killed_at(9))
    resumed = Trainer(model(), tokenizer(), lists(60), tmp_path / "cut", settings())
    resumed.run()
    for name, value in whole.averaged().state_dict().items():
        torch.testing.assert_close(value, resumed.averaged().state_dict()[name], rtol=1e-4, atol=1e-5)


def test_a_training_may_be_stopped_and_gone_on_with(tmp_path: Path) -> None:
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(until=7)
    trainer = Trainer(model(), tokenizer(), lists(60), tmp_path, settings())
    steps: list[int] = []
    trainer.run(lambda step, _: steps.append(step))
    assert steps == [8, 9, 10, 11, 12]


def test_one_trainer_may_be_run_again(tmp_path: Path) -> None:
    trainer = Trainer(model(), tokenizer(), lists(60), tmp_path, settings())
    trainer.run(until=7)
    trainer.run()
    assert trainer.step == 12


def test_trains_and_exports_a_folder_that_loads(tmp_path: Path) -> None:
    start = reranker_folder(tmp_path / "start")
    done = train(lists(40), start=start, out=tmp_path / "mine", settings=settings(steps=4, measure_every=2))
    assert done.parity.float_error < 1e-3
    scores = OnnxReranker(tmp_path / "mine").score("the cat", ["old cat", "new river"])
    assert np.isfinite(scores).all()


def test_what_was_fitted_for_the_start_is_kept_and_the_calibration_fitted_anew(tmp_path: Path) -> None:
    start = reranker_folder(tmp_path / "start")
    config = json.loads((start / "config.json").read_text(encoding="utf-8"))
    config |= {
        "recommended_weight": 0.7,
        "stopping_tolerance": 1.5,
        "calibration": {"slope": 9, "intercept": 9},
    }
    (start / "config.json").write_text(json.dumps(config), encoding="utf-8")
    options = settings(steps=80, measure_every=40, dev=40)
    train(lists(200), start=start, out=tmp_path / "mine", settings=options)
    reranker = OnnxReranker(tmp_path / "mine")
    assert (reranker.recommended_weight, reranker.config["stopping_tolerance"]) == (0.7, 1.5)
    calibration = Calibration.from_config(reranker.config)
    assert calibration is not None
    assert 0 < calibration.slope < 9
    unlabelled = [replace(one, labels=(0.0, 0.0, 0.0)) for one in lists(6)]
    for name, some in (("few", lists(20)), ("unlabelled", [*unlabelled, *lists(54)])):
        train(some, start=start, out=tmp_path / name, settings=settings(steps=2, measure_every=2, dev=12))
        assert "calibration" not in OnnxReranker(tmp_path / name).config


def test_nothing_is_trained_into_a_folder_of_something_else(tmp_path: Path) -> None:
    start = reranker_folder(tmp_path / "start")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InvalidInputError, match="other files"):
        train(lists(40), start=start, out=other)
    assert (other / "config.json").read_text(encoding="utf-8") == '{"model_type": "bert"}'
    assert sorted(path.name for path in other.iterdir()) == ["config.json"]


def test_what_was_read_once_scores_as_if_read_again(tmp_path: Path) -> None:
    made = model()
    frozen = Trainer(made, tokenizer(), lists(40), tmp_path / "frozen", settings())
    learning = Trainer(made, tokenizer(), lists(40), tmp_path / "learning", settings(frozen=False))
    batch = frozen.collate(lists(40)[:8])
    with torch.no_grad():
        torch.testing.assert_close(
            sum(frozen._logits(batch)), sum(learning._logits(batch)), rtol=0.02, atol=0.1
        )
    arrays = tmp_path / "frozen" / "readings" / "states.npy"
    written = arrays.stat().st_mtime_ns
    Trainer(made, tokenizer(), lists(40), tmp_path / "frozen", settings())
    assert arrays.stat().st_mtime_ns == written
    Trainer(model(seed=1), tokenizer(), lists(40), tmp_path / "frozen", settings())
    assert arrays.stat().st_mtime_ns > written


def test_a_frozen_reader_stays_as_it_is(tmp_path: Path) -> None:
    trainer = Trainer(model(), tokenizer(), lists(60), tmp_path, settings())
    trainer.run()
    before, after = model().state_dict(), trainer.averaged().state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("comparison.") for name in changed)


def test_weights_are_read_back_from_the_graph(tmp_path: Path) -> None:
    read, _ = from_reranker(reranker_folder(tmp_path / "small"))
    for name, value in model().state_dict().items():
        assert (
            torch.corrcoef(torch.stack([value.flatten(), read.state_dict()[name].flatten()]))[0, 1] > 0.999
            or value.numel() < 4
            or value.std() == 0
        )


def test_what_was_exported_again_scores_as_it_did(tmp_path: Path) -> None:
    before = reranker_folder(tmp_path / "before")
    read, words = from_reranker(before)
    export(read, words, lists(20), tmp_path / "again", settings={"window": 64}, ranges=ranges_of(before))
    assert ranges_of(tmp_path / "again") == ranges_of(before)
    one = lists(1)[0]
    again, first = (
        OnnxReranker(folder).score(one.query, one.passages) for folder in (tmp_path / "again", before)
    )
    np.testing.assert_array_equal(again, first)


def test_settings_are_noted_as_json_gives_them_back() -> None:
    settings = Settings(steps=np.int64(3), rate=np.float32(0.5), told_apart=("framed",))  # type: ignore[arg-type]
    fields = noted(settings)
    assert fields == json.loads(json.dumps(fields))
    assert (fields["steps"], fields["rate"], fields["told_apart"]) == (3, 0.5, ["framed"])


def test_first_tokens_far_beyond_the_others_cost_them_no_precision() -> None:
    import onnxruntime

    rng = np.random.default_rng(0)
    matrix = rng.integers(-127, 128, (24, 16)).astype(np.float32)  # what 8 bits hold exactly
    matrix[:, 0] = 127.0
    weights = {"layers.0.up.weight": matrix, "layers.0.up.bias": np.ones(24, np.float32)}
    states = rng.standard_normal((2, 50, 16)).astype(np.float32)
    states[:, 0, [3, 7]] += [40.0, -30.0]
    found = {}
    for channels in (0, 2):
        span = range_of(states[:, 1:].reshape(-1, 16), states[:, 0], channels)
        ranges = {"layers.0.up": span}
        writer = GraphWriter(weights, SHAPE, ranges)
        writer.product("states", "layers.0.up")
        writer.nodes[-1].output[0] = "product"
        graph = writer._model("product", {"states": ("n", "m", 16)}, {"product": ("n", "m", 24)})
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        wrong = session.run(None, {"states": states})[0] - (states @ matrix.T + 1.0)
        found[channels] = float(np.abs(wrong).std()), span.outside
    assert found[2][1] == (3, 7)
    assert found[0][1] == ()
    assert found[2][0] < 0.2 * found[0][0]


def test_centred_states_make_the_same_model() -> None:
    own = model()
    with torch.no_grad():
        for name, parameter in own.named_parameters():
            if name.endswith("norm.bias"):
                parameter += torch.linspace(-3, 3, len(parameter))
    collate = Collator(tokenizer(), 32, 64, teachers={}, sharpness=1.0)
    batch = collate(lists(6))
    texts = [(chunk.passage_ids, chunk.passage_mask) for chunk in batch.chunks]
    shifted = centred(own, texts)
    parts = batch.query_ids, batch.query_mask
    with torch.no_grad():
        for ids, mask in texts:
            index = torch.zeros(len(ids), dtype=torch.long)
            was, now = (one(*parts, ids, mask, index) for one in (own, shifted))
            torch.testing.assert_close(now, was, atol=1e-3, rtol=1e-4)
        after = [shifted._after(ids, mask, 2)[-1][mask > 0] for ids, mask in texts]
    assert torch.cat(after).mean(0).abs().max() < 0.2


def test_ranges_are_read_back_with_their_channels(tmp_path: Path) -> None:
    export(model(), tokenizer(), lists(40), tmp_path / "first", settings={"window": 64})
    ranges = ranges_of(tmp_path / "first")
    assert {name for name, span in ranges.items() if span.outside} == {
        f"layers.{layer}.{product}" for layer in range(3) for product in ("attention_in", "up", "down")
    }
    read, words = from_reranker(tmp_path / "first")
    export(read, words, lists(20), tmp_path / "again", settings={"window": 64}, ranges=ranges)
    one = lists(1)[0]
    again, first = (
        OnnxReranker(tmp_path / name).score(one.query, one.passages) for name in ("again", "first")
    )
    np.testing.assert_allclose(again, first, atol=1e-4)


def test_a_float32_graph_has_no_ranges(tmp_path: Path) -> None:
    assert ranges_of(reranker_folder(tmp_path / "exact", int8=False)) == {}


def test_the_graph_scores_as_torch_does(tmp_path: Path) -> None:

    exact = OnnxReranker(reranker_folder(tmp_path / "exact", int8=False))
    made = tokenizer()
    one = lists(1)[0]
    batch = Collator(made, 32, 32, {}, 1.0)([one])
    with torch.no_grad():
        parts = [
            model()(batch.query_ids, batch.query_mask, c.passage_ids, c.passage_mask, c.query_index)
            for c in batch.chunks
        ]
    logits = torch.zeros(3).index_put((batch.order,), torch.cat(parts)).numpy()
    np.testing.assert_allclose(exact.score(one.query, one.passages), logits, atol=1e-3)


def test_trimming_changes_no_score(tmp_path: Path) -> None:
    made = tokenizer()
    keep = {made.token_to_id(word) for word in WORDS if word != "river"}
    small, shorter = trim_vocabulary(model(), made, keep)
    assert shorter.get_vocab_size() == made.get_vocab_size() - 1
    ids, fewer = made.encode("the red cat").ids, shorter.encode("the red cat").ids
    with torch.no_grad():
        torch.testing.assert_close(model().embed(torch.tensor([ids])), small.embed(torch.tensor([fewer])))


def test_layers_are_spread() -> None:
    assert spread_layers(6, 3) == (0, 2, 5)
    assert spread_layers(6, 6) == (0, 1, 2, 3, 4, 5)
    with pytest.raises(InvalidInputError, match="7 layers"):
        spread_layers(6, 7)


def test_losses_prefer_the_right_order() -> None:
    labels, present = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, True, False]])
    good, bad = torch.tensor([[3.0, 0.0, 9.0]]), torch.tensor([[0.0, 3.0, -9.0]])
    for loss in losses.LABEL_LOSSES.values():
        assert loss(good, labels, present) < loss(bad, labels, present)
    assert losses.margin(good, good, labels, present) == 0
    assert losses.divergence(good, good, present).abs() < 1e-6
    assert losses.divergence(bad, good, present) > 0.1


def test_loudness_is_what_changes_an_order() -> None:
    present = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    level = torch.tensor([[2.0, 2.0, 9.0], [-1.0, -1.0, -1.0]])
    assert losses.loudness(level, present) == 0
    assert losses.loudness(level * torch.tensor([1.0, 2.0, 3.0]), present) > 0.5
    assert losses.loudness(level, torch.zeros(2, 3)) == 0


def test_texts_that_are_alike_are_told_apart_by_the_comparison_alone(tmp_path: Path) -> None:
    def compared(**changed: object) -> float:
        trainer = Trainer(model(), tokenizer(), lists(120), tmp_path / str(changed), settings(**changed))
        trainer.run()
        batch = trainer.collate(trainer.dev)
        with torch.no_grad():
            _, said = trainer._logits(batch)
        return float(losses.loudness(said, batch.present.float()))

    quiet = compared(steps=30, quiet_weight=10.0)
    assert quiet < compared(steps=30)
    assert quiet < compared(steps=30, quiet_weight=10.0, told_apart=("anim",))


def test_an_epoch_has_every_list_once_and_a_step_queries_of_about_a_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain = [
        RankingList(sentence(rng, int(rng.integers(1, 30))), ("a", "b"), (1.0, 0.0), {}, f"list {number}")
        for number in range(200)
    ]
    chosen = settings(taught_times=0, lists=10, dev=0)
    trainer = Trainer(model(), tokenizer(), [*lists(40), *plain], tmp_path, chosen)
    drawn: list[list[RankingList]] = []
    for trainer.step in range(20):
        drawn.append(trainer._next_lists())
    kinds = [one.kind for some in drawn for one in some]
    assert sorted(kinds) == sorted(one.kind for one in plain)
    assert kinds != sorted(kinds)
    spread = np.mean([np.std([len(one.query) for one in some]) for some in drawn])
    assert spread < 0.3 * np.std([len(one.query) for one in plain])


def test_lists_may_not_all_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no ranking list"):
        Trainer(model(), tokenizer(), lists(40), tmp_path, settings(taught_times=0))


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="listwise"):
        Settings(label_loss="hinge")
    with pytest.raises(InvalidInputError, match="divergence"):
        Settings(teacher_loss="hinge")
    for changed in (
        {"steps": 0}, {"measure_every": 0}, {"dev": -1}, {"seed": -1}, {"rate": float("nan")},
        {"head_rate": 0.0}, {"warmup": 2.0}, {"teacher_weight": -1.0}, {"teachers": {"bm25": float("inf")}},
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match="must be"):
            Settings(**changed)


def test_list_ndcg() -> None:
    assert list_ndcg([3, 2, 1], [1, 0, 0]) == 1.0
    assert list_ndcg([1, 2, 3], [1, 0, 0]) == pytest.approx(0.5)
    assert list_ndcg([1, 2], [0, 0]) == 0.0


def test_lists_survive_the_disk(tmp_path: Path) -> None:
    made = lists(5)
    for name in ("lists.jsonl", "lists.jsonl.gz"):
        assert write_lists(tmp_path / name, made) == 5
        assert list(read_lists(tmp_path / name)) == made


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"query": "q"}', '{"query": "q", "passages": ["a"], "labels": [1]}',
             '{"query": "q", "passages": ["a", "b"], "labels": [1]}'],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.jsonl").write_text(json.dumps(lists(1)[0].to_dict()) + "\n" + line + "\n")
    with pytest.raises(InvalidInputError, match="line 2"):
        list(read_lists(tmp_path / "bad.jsonl"))


def test_negatives_come_from_all_bands_and_are_not_false() -> None:
    likeness = np.linspace(1, 0, 500, dtype=np.float32)
    drawn = draw_negatives(np.arange(500), positives=[100], likeness=likeness, rng=np.random.default_rng(0))
    assert len(drawn) == len(set(drawn)) == 7
    assert 100 not in drawn
    assert all(likeness[row] < 0.9 for row in drawn)
    assert max(drawn) > 100


def test_users_pairs_of_every_format(tmp_path: Path) -> None:
    rows = [("q1", "right one", 1), ("q1", "wrong one", 0), ("q2", "other right", 2)]
    (tmp_path / "a.csv").write_text("query,document,label\n" + "\n".join(f"{q},{d},{n}" for q, d, n in rows))
    (tmp_path / "a.tsv").write_text(
        "Query\tDocument\tLabel\n" + "\n".join(f"{q}\t{d}\t{n}" for q, d, n in rows)
    )
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"query": q, "document": d, "label": n}) for q, d, n in rows)
    )
    expected = {"q1": {"right one": 1.0, "wrong one": 0.0}, "q2": {"other right": 2.0}}
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        assert read_training_pairs(tmp_path / name) == expected
    (tmp_path / "clicks.jsonl").write_text('{"query": "q", "positive": "p"}')
    assert read_training_pairs(tmp_path / "clicks.jsonl") == {"q": {"p": 1.0}}
    write_lists(tmp_path / "lists.jsonl", lists(2))
    assert read_training_pairs(tmp_path / "lists.jsonl") == lists(2)


def test_users_mistakes_are_named(tmp_path: Path) -> None:
    for text, said in (("", "empty"), ("{", "line 1: not JSON"), ('{"query": "q"}', "missing"),
                       ('{"query": "q", "document": "d", "label": "x"}', "not a number")):  # fmt: skip
        (tmp_path / "bad.jsonl").write_text(text)
        with pytest.raises(InvalidInputError, match=said):
            read_training_pairs(tmp_path / "bad.jsonl")
    with pytest.raises(InvalidInputError, match="not a file"):
        read_training_pairs(tmp_path / "nowhere.jsonl")


def test_mined_negatives_come_from_the_first_stage() -> None:
    grades = {f"q{n}": {f"right {n}": 1.0} for n in range(12)}

    def first_stage(documents):
        return lambda query, k: list(range(len(documents)))[:k]

    made = mine_lists(grades, first_stage, negatives=3)
    assert len(made) == 12
    assert all(len(one.passages) == 4 and one.labels[0] == 1.0 for one in made)
    assert not any({"right 0", "right 1"} & set(one.passages[1:]) for one in made)
    with pytest.raises(InvalidInputError, match="no order to learn"):
        mine_lists({"q": {"only": 1.0}}, None)


def test_a_training_of_other_data_start_or_settings_is_refused(tmp_path: Path) -> None:
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(until=6)
    for other in (
        Trainer(model(), tokenizer(), lists(60, seed=1), tmp_path, settings()),
        Trainer(model(seed=1), tokenizer(), lists(60), tmp_path, settings()),
        Trainer(model(), tokenizer(), lists(60), tmp_path, settings(label_loss="pairwise")),
    ):
        with pytest.raises(InvalidInputError, match="holds a training from other data"):
            other.run()


def test_a_checkpoint_that_was_being_replaced_is_gone_on_with(tmp_path: Path) -> None:
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(until=6)
    (tmp_path / "latest").rename(tmp_path / "previous")
    steps: list[int] = []
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(lambda step, _: steps.append(step))
    assert steps[0] == 7


def test_labels_below_0_are_not_relevant() -> None:
    one = RankingList("q", ("a", "b"), (1.0, -1.0))
    assert one.labels == (1.0, 0.0)
    with pytest.raises(InvalidInputError, match="no order to learn"):
        mine_lists({"q": {"a": 1.0, "b": 1.0}}, None)
    alike = torch.zeros(1, 2, requires_grad=True)
    assert float(losses.pairwise(alike, torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))) == 0.0


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    long = "word " * 40_000
    (tmp_path / "long.csv").write_text(f'query,document,label\nq,"{long}",1\nq,other,0\n')
    grades = read_training_pairs(tmp_path / "long.csv")
    assert isinstance(grades, dict) and len(grades["q"]) == 2
    whole = gzip.compress(b'{"query": "q", "document": "d"}\n' * 1000)
    for name, content in (
        ("latin.csv", "query,document\nq,caf\xe9\n".encode("latin-1")),
        ("latin.jsonl", '{"query": "q", "document": "caf\xe9"}\n'.encode("latin-1")),
        ("cut.jsonl.gz", whole[: len(whole) // 2]),
        ("plain.jsonl.gz", b'{"query": "q", "document": "d"}\n'),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match=f"{name} cannot be read"):
            read_training_pairs(tmp_path / name)


def test_a_start_that_is_not_there_is_a_model_error(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(ModelError, match=r"config\.json is missing or damaged"):
            start_from(folder)


def test_teachers_without_a_weight_are_named(tmp_path: Path) -> None:
    taught = [replace(one, teachers={"gpt": (9.0, 1.0, 0.0)}) for one in lists(20)]
    with pytest.raises(InvalidInputError, match=r"only of gpt; .*\(bm25, cosine\)"):
        Trainer(model(), tokenizer(), taught, tmp_path, settings())
    Trainer(model(), tokenizer(), taught, tmp_path, settings(teacher_weight=0.0))
    beside = [replace(one, teachers=one.teachers | {"bm25": (9.0, 1.0, 0.0)}) for one in taught]
    Trainer(model(), tokenizer(), beside, tmp_path / "beside", settings())
    weighed = Trainer(model(), tokenizer(), taught, tmp_path, settings(teachers={"gpt": 1.0}))
    batch = weighed.collate(taught[:2])
    assert batch.taught.all()
    assert (batch.teacher[:, 0] > 0).all()


def test_a_teacher_of_weight_0_pulls_nowhere(tmp_path: Path) -> None:
    trainer = Trainer(model(), tokenizer(), lists(20), tmp_path, settings(teachers={"cosine": 0.0}))
    assert not trainer.collate(trainer.lists[:3]).taught.any()


def test_lists_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    unlabelled = [replace(one, labels=(0.0, 0.0, 0.0)) for one in lists(20)]
    Trainer(model(), tokenizer(), unlabelled, tmp_path, settings())  # the teacher's scores are an order
    plain = [replace(one, teachers={}) for one in unlabelled]
    with pytest.raises(InvalidInputError, match="no order to learn"):
        Trainer(model(), tokenizer(), plain, tmp_path, settings())


def test_what_is_not_held_out_is_not_measured(tmp_path: Path) -> None:
    assert Trainer(model(), tokenizer(), lists(4), tmp_path, settings()).measure() == {}
    irrelevant = [replace(one, labels=(0.0, 0.0, 0.0)) for one in lists(2)]
    trainer = Trainer(model(), tokenizer(), [*irrelevant, *lists(8)], tmp_path, settings())
    assert len(trainer.dev) == 2
    assert trainer.measure() == {}


@pytest.mark.parametrize(
    "name", ["state.json", "weights.safetensors", "average.safetensors", "optimizer.safetensors"]
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(until=7)
    path = tmp_path / "latest" / name
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(ModelError, match=rf"{name} is damaged .*; delete .*latest"):
        Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run()
    shutil.rmtree(tmp_path / "latest")
    steps: list[int] = []
    Trainer(model(), tokenizer(), lists(60), tmp_path, settings()).run(lambda step, _: steps.append(step))
    assert steps[0] == 7


def test_what_training_compiles_an_export_does_not_see(tmp_path: Path) -> None:
    trainer = Trainer(model(), tokenizer(), lists(20), tmp_path, settings())
    for layer in trainer.model.layers:
        layer._compiled_call_impl = layer._call_impl  # what `layer.compile()` sets, without its minute
    assert all(layer._compiled_call_impl is None for layer in trainer.averaged().layers)
