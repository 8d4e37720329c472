"""`retriever rerank-train`: from a file of judgments to a folder that loads."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rerank import OnnxReranker
from rerank.cli import rerank_train
from rerank.errors import MissingExtraError, ModelNotFoundError
from tests.rerank.factories import Letters, reranker_folder, sentence

if TYPE_CHECKING:
    from rerank.train.lists import RankingList
    from rerank.train.trainer import Settings

pytest.importorskip("torch")
pytest.importorskip("onnx")

APP = typer.Typer()
APP.command()(rerank_train)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than these models train, and random weights make rounding loud."""
    from rerank.train.student import StudentSettings

    monkeypatch.setattr("rerank.train.export.LEAST_CORRELATION", 0.5)
    monkeypatch.setattr("rerank.train.loop.shutil.which", lambda _: None)
    monkeypatch.setattr("rerank.train.student.StudentSettings", partial(StudentSettings, steps=4, tokens=32))


@pytest.fixture
def judgments(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = [
        {"query": f"the {animal} {sentence(rng, 6)}", "document": f"{animal} {sentence(rng, 4)}", "label": 1}
        for animal in ("cat", "dog", "bird", "house")
        for _ in range(12)
    ]
    path = tmp_path / "judgments.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def train(judgments: Path, out: Path, *options: object, start: Path | None = None) -> dict[str, object]:
    start = start or reranker_folder(out.parent / "start")
    asked = [
        judgments,
        "--out",
        out,
        "--start",
        start,
        "--steps",
        2,
        "--mining",
        "random",
        "--json",
        *options,
    ]
    done = CliRunner().invoke(APP, [str(one) for one in asked], catch_exceptions=False)
    assert done.exit_code == 0
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_judgments_become_a_reranker(judgments: Path, tmp_path: Path) -> None:
    report = train(judgments, tmp_path / "mine")
    assert report["lists"] == 48
    assert len(OnnxReranker(tmp_path / "mine").score("the cat", ["cat old", "dog new"])) == 2


def test_layers_are_left_out_on_demand(judgments: Path, tmp_path: Path) -> None:
    start = reranker_folder(tmp_path / "start")
    config = json.loads((start / "config.json").read_text(encoding="utf-8")) | {"recommended_weight": 0.7}
    (start / "config.json").write_text(json.dumps(config), encoding="utf-8")
    train(judgments, tmp_path / "mine", "--layers", 2, start=start)
    made = OnnxReranker(tmp_path / "mine")
    assert made.config["architecture"]["layers"] == 2
    assert made.recommended_weight == 0.7


def test_a_training_stopped_while_its_model_was_written_goes_on(judgments: Path, tmp_path: Path) -> None:
    train(judgments, tmp_path / "mine")
    (tmp_path / "mine" / "config.json").write_text("{", encoding="utf-8")
    train(judgments, tmp_path / "mine")
    assert OnnxReranker(tmp_path / "mine").config["format"] == "late-crossing"


def test_without_torch_the_extra_is_named(
    judgments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="train"):
        train(judgments, tmp_path / "mine")


def test_too_few_lists_are_not_called_measured(tmp_path: Path) -> None:
    rows = [
        {"query": f"the {one}", "passages": [one, "old river"], "labels": [1, 0]} for one in ("cat", "dog")
    ]
    path = tmp_path / "lists.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = train(path, tmp_path / "mine")
    assert report["before"] == report["after"] == {}
    start = str(tmp_path / "start")
    asked = [str(path), "--out", str(tmp_path / "other"), "--start", start, "--steps", "1"]
    said = CliRunner().invoke(APP, asked, catch_exceptions=False).stdout
    assert "not measured: of 2 lists" in said
    assert "nDCG" not in said


def test_a_negative_seed_is_refused(judgments: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(APP, [str(judgments), "--out", str(tmp_path / "mine"), "--seed", "-1"])
    assert done.exit_code == 2


def test_teachers_are_asked_once_and_weighed_alike(
    judgments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerank.train import api

    learnt: list[RankingList] = []
    settings: list[Settings] = []

    def noted(lists: list[RankingList], **options: Any) -> api.Trained:
        learnt[:] = lists
        settings.append(options["settings"])
        return really(lists, **options)

    really = api.train
    monkeypatch.setattr(api, "train", noted)
    read: list[str] = []
    monkeypatch.setattr("rerank.train.teachers.load_sentence_model", lambda *_, **__: Letters(read))
    options = ("--teacher", "bm25", "--teacher", "some/encoder", "--teacher-loss", "margin")
    start = reranker_folder(tmp_path / "start")
    train(judgments, tmp_path / "mine", *options, "--teacher-weight", 0.5, start=start)
    assert {tuple(one.teachers) for one in learnt} == {("bm25", "encoder")}
    assert (settings[0].teachers, settings[0].teacher_loss, settings[0].teacher_weight) == (
        {"bm25": 0.5, "encoder": 0.5},
        "margin",
        0.5,
    )
    one = learnt[0]
    assert one.teachers["bm25"][0] > 0 < one.teachers["encoder"][0]
    assert len(read) == len(set(read))
    train(judgments, tmp_path / "mine", *options, "--teacher-weight", 0.5, start=start)
    assert len(read) == len(set(read))  # nothing was encoded again


def test_a_teacher_that_is_not_there_is_told_before_the_work(
    judgments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rerank.train.mine_lists", lambda *_, **__: pytest.fail("negatives were mined"))
    with pytest.raises(ModelNotFoundError, match="no teacher"):
        train(judgments, tmp_path / "mine", "--teacher", "bm25", "--teacher", tmp_path / "no/such")
