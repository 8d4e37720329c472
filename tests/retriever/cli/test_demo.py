"""`retriever demo`: builds once, keeps it, answers."""

from __future__ import annotations

import json

import pytest

from retriever.cli import demo
from retriever.types import Document
from tests.factories import tiny_encoder

DOCUMENTS = [
    Document("open", "Open a file and return a stream.", "open"),
    Document("random.choice", "Choose a random element from a sequence.", "random.choice"),
]


@pytest.fixture(autouse=True)
def small_library(monkeypatch, tmp_path):
    """Two documents in place of seven thousand, in a home of their own."""
    monkeypatch.setenv("RETRIEVER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("retriever.cli.stdlib_corpus.stdlib_documents", lambda: iter(DOCUMENTS))
    monkeypatch.setattr("retriever.pipeline.StaticEncoder.load", lambda name: tiny_encoder())


def test_six_questions_then_three_lines_what_to_type(run):
    result = run("demo")
    assert result.exit_code == 0, result.output
    assert "2 docstrings indexed in" in result.stderr
    assert all(question in result.stdout for question in demo.QUESTIONS)
    assert len(demo.QUESTIONS) == 6
    assert result.stdout.count("first stage ") >= 6
    last = result.stdout.strip().splitlines()[-3:]
    assert [word in line for word, line in zip(["demo", "index", "search"], last, strict=True)] == [True] * 3


def test_the_collection_is_kept_and_used_again(run):
    run("demo")
    result = run("demo", "random element")
    assert "indexed" not in result.stderr
    assert "2 docstrings of Python's standard library, both models loaded in" in result.stderr
    rows = [line for line in result.stdout.splitlines() if "random.choice" in line]
    assert rows
    assert rows[0].split()[0] == "1"


def test_another_encoder_means_building_again(run, monkeypatch):
    run("demo")
    monkeypatch.setattr("retriever.pipeline.StaticEncoder.load", lambda name: tiny_encoder(seed=1))
    result = run("demo", "random element")
    assert result.exit_code == 0
    assert "building the demo's collection again" in result.stderr


@pytest.mark.parametrize("version", [2, 99])
def test_a_collection_of_another_version_is_built_again(run, tmp_path, version):
    run("demo")
    manifest = next((tmp_path / "home").glob("*/collection.json"))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": version}))
    result = run("demo", "random element")
    assert result.exit_code == 0
    assert f"building the demo's collection again: {manifest} has format {version}" in result.stderr


def test_a_stopped_build_leaves_nothing_half(run, monkeypatch, tmp_path):
    def stopped():
        yield DOCUMENTS[0]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("retriever.cli.stdlib_corpus.stdlib_documents", stopped)
        assert run("demo").exit_code == 130
    assert list((tmp_path / "home").iterdir()) == []
    assert run("demo", "random").exit_code == 0


def test_a_home_that_cannot_be_written(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RETRIEVER_HOME", str(tmp_path / "file" / "below"))
    result = run("demo")
    assert result.exit_code == 1
    assert "set RETRIEVER_HOME" in result.stderr


def test_home_follows_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("RETRIEVER_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert demo.home() == tmp_path / "two-stage-retriever"
