"""A student comes to read as its teacher does, and an interrupted training comes to the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rerank import OnnxReranker
from rerank.errors import InvalidInputError
from rerank.train.lists import RankingList
from tests.rerank.factories import check_resumes, model, reranker_folder, sentence, tokenizer

torch = pytest.importorskip("torch")

from rerank.train.api import shorten  # noqa: E402 -- after the check for torch
from rerank.train.start import start_from  # noqa: E402
from rerank.train.student import StudentSettings, StudentTrainer  # noqa: E402


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than these models train."""
    monkeypatch.setattr("rerank.train.loop.shutil.which", lambda _: None)


def texts(count: int) -> list[list[int]]:
    rng = np.random.default_rng(0)
    return [tokenizer().encode(sentence(rng, 2 + n % 5)).ids for n in range(count)]


def settings(**changed: object) -> StudentSettings:
    return StudentSettings(**({"steps": 12, "tokens": 64, "measure_every": 6, "rate": 3e-3} | changed))  # type: ignore[arg-type]


def trainer(folder: Path, **changed: object) -> StudentTrainer:
    teacher = model()
    return StudentTrainer(teacher, teacher.shortened((0, 2)), texts(400), folder, settings(**changed))


def test_the_student_comes_closer_to_its_teacher(tmp_path: Path) -> None:
    learning = trainer(tmp_path, steps=60)
    before = learning.measure()
    after = learning.run()
    assert all(after[name] > before[name] for name in ("tokens", "views"))
    assert after["tokens"] > 0.5


def test_a_narrowed_model_keeps_the_units_that_say_most() -> None:
    whole = model()
    half = whole.shape.intermediate // 2
    loud = torch.arange(half) * 2
    for layer in whole.layers:
        with torch.no_grad():
            layer.down.weight *= 1e-9
            layer.down.weight[:, loud] *= 1e9
    small = whole.narrowed(half)
    ids, mask = torch.tensor([[1, 5, 6, 2]]), torch.ones(1, 4)
    assert torch.equal(small.layers[0].up.weight, whole.layers[0].up.weight[loud])
    with torch.no_grad():
        torch.testing.assert_close(small.read(ids, mask).states, whole.read(ids, mask).states)


def test_what_stands_behind_the_reader_is_the_teachers(tmp_path: Path) -> None:
    learning = trainer(tmp_path)
    learning.run()
    own, wanted = learning.model.state_dict(), learning.teacher.state_dict()
    kept = [name for name in own if not name.startswith(("layers.", "comparison.view."))]
    assert "comparison.out.weight" in kept
    assert all(torch.equal(own[name], wanted[name]) for name in kept)


def test_an_interrupted_training_comes_to_the_same_weights(tmp_path: Path) -> None:
    check_resumes(trainer, tmp_path, cut=8, last=12)


def test_a_shorter_reranker_scores_and_can_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    monkeypatch.setattr("rerank.train.export.LEAST_CORRELATION", 0.5)
    rng = np.random.default_rng(0)
    lists = [
        RankingList(sentence(rng, 2), tuple(sentence(rng, 4) for _ in range(3)), (1.0, 0.0, 0.0), {}, "drawn")
        for _ in range(60)
    ]
    whole = reranker_folder(tmp_path / "whole")
    figures = shorten(lists, start=whole, layers=2, out=tmp_path / "short", settings=settings(tokens=32))
    assert set(figures) == {"tokens", "pooled", "views"}
    short = OnnxReranker(tmp_path / "short")
    assert short.config["architecture"]["layers"] == 2
    assert len(short.score("red cat", ["the cat", "a dog"])) == 2
    assert start_from(tmp_path / "short")[0].shape.layers == 2


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="too few"):
        StudentTrainer(model(), model(), texts(3), tmp_path, settings())


def test_settings_are_checked() -> None:
    for changed in ({"steps": 0}, {"tokens": 0}, {"measure_every": 0}, {"seed": -1}, {"rate": -1.0}):
        with pytest.raises(InvalidInputError, match="must be"):
            settings(**changed)
