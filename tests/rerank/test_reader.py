"""A reader learns to tell sides apart, reads plain text as before, and resumes to the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerank.errors import InvalidInputError
from rerank.train.exchange import Exchange, MinimalPair
from tests.rerank.factories import check_resumes, model, sentence, tokenizer

torch = pytest.importorskip("torch")

from rerank.train.reader import ReaderSettings, ReaderTrainer  # noqa: E402

NAMES = ["cat", "dog", "bird"]


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than these models train."""
    monkeypatch.setattr("rerank.train.loop.shutil.which", lambda _: None)


def draw(rng: np.random.Generator) -> Exchange:
    """Who runs on whom: only the order says it."""
    one, other = rng.choice(NAMES, 2, replace=False)
    sides = [f"the {one} runs on the {other}", f"the {other} runs on the {one}"]
    return Exchange((*sides,), (0, 1), (*sides,), (0, 1))


def held_out() -> list[MinimalPair]:
    rng = np.random.default_rng(5)
    drawn = [draw(rng) for _ in range(40)]
    return [MinimalPair("roles", one.queries[0], *one.passages) for one in drawn]


def trainer(folder: Path, **changed: object) -> ReaderTrainer:
    rng = np.random.default_rng(0)
    settings = {"steps": 12, "exchanges": 8, "texts": 4, "rate": 2e-3, "head_rate": 5e-3, "measure_every": 6}
    return ReaderTrainer(
        model(),
        model(),
        tokenizer(),
        draw,
        [sentence(rng, 6) for _ in range(100)],
        held_out(),
        folder,
        ReaderSettings(**(settings | changed)),  # type: ignore[arg-type]
    )


def test_the_comparison_learns_who_is_who(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=150)
    before = learning.measure()
    after = learning.run()
    assert set(after) == {"all", "compared", "roles"}
    assert after["compared"] > max(before["compared"], 0.9)


def test_plain_text_is_read_nearer_to_before_the_more_that_counts(tmp_path: Path) -> None:
    missed = {}
    for weight in (0.0, 100.0):
        learning = trainer(tmp_path / str(weight), steps=40, keep_weight=weight)
        learning.run()
        missed[weight] = float(learning._kept(list(learning._texts)).detach())
    assert missed[100.0] < 0.5 * missed[0.0]


def test_words_and_scales_stay_as_they_are(tmp_path: Path) -> None:
    learning = trainer(tmp_path)
    learning.run()
    own, was = learning.averaged().state_dict(), model().state_dict()
    for name in ("words.weight", "positions.weight", "embedding_norm.weight", "cosine_scale", "match_scale"):
        assert torch.equal(own[name], was[name]), name
    assert not torch.equal(own["layers.0.up.weight"], was["layers.0.up.weight"])


def test_settling_trains_only_what_lies_behind_the_comparison(tmp_path: Path) -> None:
    first = trainer(tmp_path / "first", keep_weight=0.0, steps=30)
    first.run()
    learning = trainer(tmp_path / "second", settle=True, steps=60)
    learning.model.load_state_dict(first.averaged().state_dict())
    was = {name: value.clone() for name, value in learning.model.state_dict().items()}
    missed = float(learning._kept(list(learning._texts)).detach())
    learning.run()
    assert float(learning._kept(list(learning._texts)).detach()) < 0.8 * missed
    changed = {
        name for name, value in learning.model.state_dict().items() if not torch.equal(value, was[name])
    }
    assert changed
    assert all(name.startswith("layers.2.") for name in changed)


def test_an_interrupted_training_comes_to_the_same_weights(tmp_path: Path) -> None:
    check_resumes(trainer, tmp_path, cut=8, last=12)


def test_without_plain_text_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="plain text"):
        ReaderTrainer(model(), model(), tokenizer(), draw, [], held_out(), tmp_path, ReaderSettings())


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rate": -1.0}, {"keep_weight": -1.0}, {"decay": 2.0}])
def test_settings_that_cannot_be_used(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        ReaderSettings(**wrong)  # type: ignore[arg-type]
