"""`retriever coverage`: what the vocabulary does not cover."""

from __future__ import annotations

import json

import pytest

from tests.retriever.encoder.tokenizer_factory import make_encoder


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    make_encoder(dimensions=16).save(folder)
    return str(folder)


def test_for_people(run, notes, trained_folder):
    result = run("coverage", notes, "--encoder", trained_folder)
    assert result.exit_code == 0, result.output
    assert "tokens each" in result.output and "with_vocabulary" in result.output


def test_for_machines(run, notes, trained_folder):
    report = json.loads(run("coverage", notes, "--encoder", trained_folder, "--top", "3", "--json").stdout)
    assert report["texts"] == 3 and len(report["fragmented"]) <= 3
    assert report["tokens"] >= report["words"] > 0
    assert report["cost_bytes"] == 16 * 4 * len(report["fragmented"])


def test_a_source_that_is_not_there(run, tmp_path, trained_folder):
    result = run("coverage", tmp_path / "nothing", "--encoder", trained_folder)
    assert result.exit_code == 1
    assert "nothing" in result.stderr
