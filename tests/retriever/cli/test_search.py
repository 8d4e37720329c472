"""`retriever search`: a table for people, JSON for machines."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from retriever import Retriever


def test_the_table_has_both_ranks_and_both_scores(run, collection):
    result = run("search", collection, "Where is the cat?")
    assert result.exit_code == 0
    assert all(heading in result.output for heading in ("final", "first stage", "reranker", "best passage"))
    first = next(line for line in result.output.splitlines() if "The cat sat" in line)
    assert first.split()[0] == "1"
    assert "Pets [cat.md]" in first
    assert "candidates" in result.output.splitlines()[-1]


def test_json_is_the_results_and_the_timings(run, collection):
    result = run("search", collection, "Where is the cat?", "-k", 2, "--json")
    answer = json.loads(result.stdout)
    assert answer["query"] == "Where is the cat?"
    assert answer["reranked"] == 3
    assert answer["first_stage_ms"] > 0
    assert answer["load_ms"] > 0
    assert [found["rank"] for found in answer["results"]] == [1, 2]
    assert answer["results"][0]["id"] == "cat.md"
    assert answer["results"][0]["stages"]["reranked"]["rank"] == 1


def test_without_reranking(run, collection):
    answer = json.loads(run("search", collection, "cat", "--no-rerank", "--json").stdout)
    assert answer["reranked"] == 0
    assert answer["results"][0]["stages"]["reranked"] is None
    assert "not reranked" in run("search", collection, "cat", "--no-rerank").output


def test_auto_depth_a_budget_and_a_probability(run, collection):
    answer = json.loads(run("search", collection, "cat", "--depth", "auto", "--json").stdout)
    assert 1 <= answer["reranked"] <= 50
    assert json.loads(run("search", collection, "cat", "--budget-ms", 5000, "--json").stdout)["results"]
    uncalibrated = run("search", collection, "cat", "--min-probability", 0.5)
    assert uncalibrated.exit_code == 1
    assert "fitted calibration" in uncalibrated.stderr


@pytest.mark.parametrize("depth", ["0", "-1", "deep", "1.5"])
def test_a_depth_that_is_none_is_wrong_use(run, collection, depth):
    result = run("search", collection, "cat", "--depth", depth)
    assert result.exit_code == 2
    assert "--depth" in result.stderr


def test_filter(run, collection):
    answer = json.loads(run("search", collection, "cat", "--filter", '{"format": "html"}', "--json").stdout)
    assert [found["id"] for found in answer["results"]] == ["storm.html"]
    nothing = run("search", collection, "cat", "--filter", '{"format": "pdf"}')
    assert nothing.exit_code == 0
    assert "Nothing found that passes the filter." in nothing.output
    assert "The metadata field 'format' holds, for example, \"" in nothing.output
    misspelt = run("search", collection, "cat", "--filter", '{"langg": "en", "or": [{"x": 1}]}')
    assert "No document has the metadata field 'langg'." in misspelt.output


@pytest.mark.parametrize("text", ["{", "[1]", "lang"])
def test_a_filter_that_is_no_json_object_is_wrong_use(run, collection, text):
    result = run("search", collection, "cat", "--filter", text)
    assert result.exit_code == 2
    assert "is no JSON" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "the query is empty"),
        (["cat", "--filter", '{"year": {"about": 3}}'], "about"),
        (["cat", "--filter", '{"year": [2024]}'], "year"),
        (["cat", "--depth", "deep"], "neither a number from 1 nor auto"),
    ],
)
def test_wrong_use_is_told_before_the_collection_is_opened(run, tmp_path, arguments, message):
    result = run("search", tmp_path / "none", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert arguments[-2:][0] in result.stderr or arguments == [""]
    assert "Traceback" not in result.output


def test_a_document_cannot_steer_the_terminal(run, tmp_path, encoder_folder):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("cat \x1b[2J\x1b]0;owned\x07 [bold]mat[/bold]")
    assert run("index", source, "--out", tmp_path / "c", "--encoder", encoder_folder).exit_code == 0
    output = run("search", tmp_path / "c", "cat").output
    assert "\x1b[2J" not in output
    assert "\x07" not in output
    assert "[bold]mat[/bold]" in output


def test_a_probability_that_nothing_reaches_is_named(run, collection, monkeypatch):
    found = Retriever.search_timed
    monkeypatch.setattr(
        Retriever,
        "search_timed",
        lambda self, query, *, min_probability, **rest: (
            [],
            replace(found(self, query, **rest)[1], reranked=2),
        ),
    )
    answer = run(
        "search", collection, "cat", "--min-probability", "0.3", "--filter", '{"path": {"exists": true}}'
    )
    assert answer.exit_code == 0
    assert "lower --min-probability" in answer.output
    assert "passes the filter" not in answer.output


def test_values_with_square_brackets_are_text(run, tmp_path, encoder_folder):
    (tmp_path / "m.jsonl").write_text('{"id": "m1", "text": "alpha", "k": "[/x]"}\n')
    assert (
        run("index", tmp_path / "m.jsonl", "--out", tmp_path / "m", "--encoder", encoder_folder).exit_code
        == 0
    )
    found = run("search", tmp_path / "m", "alpha", "--filter", '{"k": "q"}')
    assert found.exit_code == 0, found.output
    assert "[/x]" in found.output
