"""The guard fails when a figure falls below its committed interval, and only then."""

import json

import pytest
from typer.testing import CliRunner

import eval.baselines as baselines
from eval.datasets import write_beir
from tests.eval.factories import topical_dataset


def result(mean, low):
    return {
        "dataset": "topics",
        "stages": {"dense": {"measures": {"nDCG@10": {"mean": mean, "low": low, "high": 1.0}}}},
    }


@pytest.mark.parametrize(("now", "missed"), [(0.5, False), (0.41, False), (0.39, True), (0.9, False)])
def test_a_figure_is_missed_below_its_interval(now, missed):
    (figure,) = baselines.figures(result(0.5, 0.4), result(now, 0.0))
    assert figure.missed is missed


def test_stages_that_were_not_measured_again_are_passed_over():
    assert list(baselines.figures(result(0.5, 0.4), {"dataset": "topics", "stages": {}})) == []


@pytest.fixture
def run(tmp_path, monkeypatch):
    import typer

    write_beir(tmp_path / "data" / "topics", topical_dataset())
    now = {"value": result(0.5, 0.4)}
    monkeypatch.setattr(baselines, "_measure", lambda folder, *, rerank, queries: now["value"])
    app = typer.Typer()
    app.command()(baselines.main)

    def call(*options, value=None):
        now["value"] = value or now["value"]
        arguments = [str(tmp_path / "data"), "--results", str(tmp_path / "results"), *options]
        return CliRunner().invoke(app, arguments)

    return call


def test_update_writes_and_the_guard_then_holds_or_fails(run, tmp_path):
    assert run("--update").exit_code == 0
    written = json.loads((tmp_path / "results" / "topics.json").read_text())
    assert written["stages"]["dense"]["measures"]["nDCG@10"]["mean"] == 0.5
    assert written["command"].startswith("python -m eval.baselines")
    assert run().exit_code == 0
    assert run(value=result(0.3, 0.2)).exit_code == 1
    assert run("--update").exit_code == 0
    assert run().exit_code == 0


def test_without_committed_figures_the_remedy_is_named(run):
    found = run()
    assert found.exit_code == 1
    assert "--update" in found.output
