"""Files of training data are read as they are meant, and what is meant otherwise is named, with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank.errors import InvalidInputError
from rerank.recipes.lists import sentence_lists
from rerank.train.lists import RankingList, read_lists
from rerank.train.pairs import mine_lists, read_training_pairs

LIST = {"query": "q", "passages": ["a", "b"], "labels": [1, 0]}


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": ["q"], "document": "d"}, "the query must be text"),
        ({"query": 5, "document": "d"}, "the query must be text, not 5"),
        ({"query": "  ", "document": "d"}, "the query is missing or empty"),
        ({"query": "q", "document": {"text": "d"}}, "the document must be text"),
        ({"query": "q", "positive": ["d", 5]}, "the document must be text, not 5"),
        ({"query": "q", "positive": []}, "the document is missing or empty"),
        ({"query": "q", "positive": "d", "negative": 0}, "the negative must be text, not 0"),
        ({"query": "q", "positive": "d", "negative": ["n", " "]}, "the negative is missing or empty"),
        ({"query": "q", "document": "d", "label": None}, "not a number"),
        ({"query": "q", "document": "d", "label": 10**400}, "not a number"),
        ({"query": "q", "document": "d", "label": float("nan")}, "not finite"),
    ],
)
def test_a_pair_of_wrong_types_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "bad.jsonl", {"query": "q", "document": "d"}, row)
    with pytest.raises(InvalidInputError, match=f"line 2: .*{said}"):
        read_training_pairs(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query": None}, "the query must be text"),
        ({"kind": 3}, "the kind must be text"),
        ({"passages": "ab"}, "passages must be a list"),
        ({"passages": [{"text": "a"}, "b"]}, "passages must be text"),
        ({"passages": ["a", None]}, "passages must be text, not None"),
        ({"labels": "10"}, "labels must be a list"),
        ({"labels": ["1", "0"]}, "labels must be finite numbers, not '1'"),
        ({"labels": [float("inf"), 0]}, "labels must be finite numbers, not inf"),
        ({"labels": [float("nan"), 0]}, "labels must be finite numbers, not nan"),
        ({"teachers": [1, 2]}, "teachers must be an object"),
        ({"teachers": {"bm25": "12"}}, "scores of bm25 must be a list"),
        ({"teachers": {"bm25": [1, float("nan")]}}, "scores of bm25 must be finite numbers"),
        ({"teachers": {"bm25": [1]}}, "2 passages have 1 scores of bm25"),
    ],
)
def test_a_ranking_list_of_wrong_types_is_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    path = written(tmp_path / "bad.jsonl", LIST, LIST | changed)
    with pytest.raises(InvalidInputError, match=f"line 2 is not a ranking list.*{said}"):
        read_training_pairs(path)


def test_a_ranking_list_is_checked_when_it_is_made() -> None:
    with pytest.raises(InvalidInputError, match="2 passages have 1 labels"):
        RankingList("q", ("a", "b"), (1.0,))
    with pytest.raises(InvalidInputError, match="list of 1 passages teaches no order"):
        RankingList("q", ("a",), (1.0,))
    with pytest.raises(InvalidInputError, match="passages must be a list of texts, not 'ab'"):
        RankingList("q", "ab", (1.0, 0.0))  # type: ignore[arg-type]


def test_triplets_give_documents_of_label_0(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "positive": ["p1", "p2"], "negative": ["n1", "p3"]},
        {"query": "q", "positive": "p3", "negative": "n2"},
        {"query": "r", "positive": "p4", "negative": None},
    ]
    expected = {"q": {"p1": 1.0, "p2": 1.0, "n1": 0.0, "p3": 1.0, "n2": 0.0}, "r": {"p4": 1.0}}
    assert read_training_pairs(written(tmp_path / "triplets.jsonl", *rows)) == expected
    table = "query,positive,negative\nq,p,n\nr,p,\n"
    (tmp_path / "triplets.csv").write_text(table)
    assert read_training_pairs(tmp_path / "triplets.csv") == {"q": {"p": 1.0, "n": 0.0}, "r": {"p": 1.0}}


def test_endings_count_in_any_case(tmp_path: Path) -> None:
    table, line = b"query,document\nq,d\n", b'{"query": "q", "document": "d"}\n'
    for name, content in (
        ("a.CSV", table),
        ("a.TSV", table.replace(b",", b"\t")),
        ("a.JSONL", line),
        ("a.ndjson", line),
        ("a.json", line),
        ("a.JSONL.GZ", gzip.compress(line)),
    ):
        (tmp_path / name).write_bytes(content)
        assert read_training_pairs(tmp_path / name) == {"q": {"d": 1.0}}


@pytest.mark.parametrize("name", ["a.txt", "a.csv.gz", "a.parquet", "a"])
def test_of_other_endings_those_that_are_read_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[]")
    with pytest.raises(InvalidInputError, match=r"end in \.csv, \.tsv, \.jsonl"):
        read_training_pairs(tmp_path / name)


def test_blank_lines_and_byte_order_marks_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lists.jsonl").write_text(
        f"\ufeff{json.dumps(LIST)}\n\n{json.dumps(LIST)}\n \n", encoding="utf-8"
    )
    expected = [RankingList("q", ("a", "b"), (1.0, 0.0))] * 2
    assert list(read_lists(tmp_path / "lists.jsonl")) == expected
    assert read_training_pairs(tmp_path / "lists.jsonl") == expected


def test_mining_takes_no_negative_numbers() -> None:
    for options in ({"seed": -1}, {"negatives": -1}):
        with pytest.raises(InvalidInputError, match="at least 0, not -1"):
            mine_lists({"q": {"a": 1.0, "b": 0.0}}, None, **options)


def test_lists_of_sentences_say_nothing_of_which_is_right() -> None:
    own = {"Fleming found a mould that killed bacteria.", "It was in the year 1928."}
    other = {"Bread grows mould when it is damp.", "It has to be thrown away."}
    mined = RankingList(
        "who found it",
        (" ".join([*sorted(own), "No."]), " ".join(sorted(other))),
        (1.0, 0.0),
        {"cosine": (0.9, 0.1)},
        "squad",
    )
    about, aside = sentence_lists([mined], np.random.default_rng(0))
    assert set(about.passages) == own | other
    assert set(aside.passages) == other
    for one in (about, aside):
        assert one.query == mined.query
        assert not any(one.labels)
        assert not one.teachers
