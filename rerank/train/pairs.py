"""Reading what users have, (query, document, label) triples or clicks, and making ranking lists of it."""

from __future__ import annotations

import csv
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerank.checks import check_counts
from rerank.errors import InvalidInputError
from rerank.train.lists import RankingList, read_lists, read_objects, reported

FirstStage = Callable[
    [Sequence[str]], Callable[[str, int], list[int]]
]  # documents -> (query, k) -> rows, best first
NEGATIVES = 7  # a list of eight is what a step of the bundled models saw
REACH = 100  # ranks of the first stage that negatives are drawn from
LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")  # endings of JSONL files' names
SKIPPED = 2  # top ranks passed over: where no teacher is asked, these are most likely unlabelled positives


def read_training_pairs(path: Path) -> list[RankingList] | dict[str, dict[str, float]]:
    """Read a file of training data.

    :param path: JSONL (.jsonl, .ndjson, .json, each also gzipped) of ranking lists {"query", "passages",
        "labels"}; or JSONL, CSV or TSV of {"query", "document", "label"}, a missing label being 1 (a
        click), or of {"query", "positive", "negative"}, the negative, which may be missing, being a document
        of label 0. In JSONL, documents, positives and negatives may be lists of texts.
    :return: the lists as they are, or the grades by query and document.
    :raises InvalidInputError: if the file is absent, empty, malformed or of another format; the message names
        the line.
    """
    if not path.is_file():
        raise InvalidInputError(
            f"{path} is not a file; give JSONL, CSV or TSV with query, document and label"
        )
    name = path.name.lower()
    if name.endswith((".csv", ".tsv")):
        return _grades(_table(path), path)
    if not name.endswith(LINES):
        raise InvalidInputError(
            f"{path}: training data is read from files that end in .csv, .tsv, {', '.join(LINES)}; "
            "write it as one of these"
        )
    first = next(read_objects(path), None)
    if first is None:
        raise InvalidInputError(f"{path} is empty; give at least one (query, document, label)")
    if "passages" in first[1]:
        return list(read_lists(path))
    return _grades(read_objects(path), path)


def mine_lists(
    grades: Mapping[str, Mapping[str, float]],
    first_stage: FirstStage | None,
    *,
    negatives: int = NEGATIVES,
    seed: int = 0,
) -> list[RankingList]:
    """Make ranking lists: labelled documents, and hard negatives that the first stage finds among them all.

    :param grades: by query and document; above 0 is relevant.
    :param first_stage: searches the documents; None draws negatives at random.
    :param negatives: documents that are not relevant wanted in a list, given ones counted.
    :param seed: draws.
    :return: a list for each query with a relevant document.
    :raises InvalidInputError: if no query has both a relevant document and another, or a number is negative.
    """
    check_counts(0, negatives=negatives, seed=seed)
    documents = list(dict.fromkeys(text for judged in grades.values() for text in judged))
    search = None if first_stage is None else first_stage(documents)
    rng = np.random.default_rng(seed)
    lists = []
    for query, judged in grades.items():
        if max(judged.values()) <= 0:
            continue
        texts = dict(judged)
        wanted = negatives - sum(grade <= 0 for grade in judged.values())
        if wanted > 0:
            found = (
                rng.permutation(len(documents)).tolist() if search is None else search(query, REACH)[SKIPPED:]
            )
            fresh = [documents[row] for row in found if documents[row] not in judged]
            picked = rng.permutation(len(fresh))[:wanted]
            texts |= {fresh[row]: 0.0 for row in sorted(picked)}
        if min(texts.values()) <= 0:
            lists.append(RankingList(query, tuple(texts), tuple(texts.values()), {}, "own"))
    if not lists:
        raise InvalidInputError(
            "no query has both a relevant document and another; there is no order to learn"
        )
    return [lists[row] for row in rng.permutation(len(lists))]


def _table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a CSV or TSV file with a header, by line number."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the library's 128 kB a cell are less than a document
    with reported(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        for row in reader:
            yield reader.line_num, {str(name).strip().lower(): value for name, value in row.items()}


def _grades(rows: Iterator[tuple[int, dict[str, Any]]], path: Path) -> dict[str, dict[str, float]]:
    """Collect rows by query; of a document graded twice the higher grade counts."""
    found: dict[str, dict[str, float]] = {}
    for number, row in rows:
        place = f"{path}, line {number}"
        query = _text("the query", row.get("query"), place)
        documents = row.get("document", row.get("positive", row.get("passage")))
        grade = _grade(row.get("label", row.get("clicks", 1)), place)
        judged = found.setdefault(query, {})
        for text in _texts("the document", documents, place):
            judged[text] = max(grade, judged.get(text, grade))
        negative = row.get("negative")
        if isinstance(negative, str) and not negative.strip():
            negative = None
        for text in [] if negative in (None, []) else _texts("the negative", negative, place):
            judged.setdefault(text, 0.0)
    if not found:
        raise InvalidInputError(f"{path} is empty; give at least one (query, document, label)")
    return found


def _texts(called: str, given: Any, place: str) -> list[str]:
    """Return one text or several as a list."""
    several = given if isinstance(given, list) and given else [given]
    return [_text(called, one, place) for one in several]


def _text(called: str, given: Any, place: str) -> str:
    """Return a text that is one, and not empty."""
    if given in (None, []) or (isinstance(given, str) and not given.strip()):
        raise InvalidInputError(
            f"{place}: {called} is missing or empty; every row needs a query and a document"
        )
    if not isinstance(given, str):
        raise InvalidInputError(f"{place}: {called} must be text, not {reprlib.repr(given)}")
    return given


def _grade(label: Any, place: str) -> float:
    """Return a label as a number; in a table it is written as text."""
    try:
        grade = float(label)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"{place}: the label {label!r} is not a number") from error
    if not np.isfinite(grade):
        raise InvalidInputError(f"{place}: the label {label!r} is not finite")
    return grade
