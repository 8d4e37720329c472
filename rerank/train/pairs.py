"""Reading what users have, (query, document, label) triples or clicks, and making ranking lists of it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rerank.errors import InvalidInputError
from rerank.train.lists import RankingList, read_lists, reported

FirstStage = Callable[
    [Sequence[str]], Callable[[str, int], list[int]]
]  # documents -> (query, k) -> rows, best first
NEGATIVES = 7  # a list of eight is what a step of the bundled models saw
REACH = 100  # ranks of the first stage that negatives are drawn from
SKIPPED = 2  # top ranks passed over: where no teacher is asked, these are most likely unlabelled positives


@dataclass(slots=True)
class _Judged:
    """What is known of one query."""

    grades: dict[str, float] = field(default_factory=dict)


def read_training_pairs(path: Path) -> list[RankingList] | dict[str, dict[str, float]]:
    """Read a file of training data.

    :param path: JSONL (.jsonl, .jsonl.gz) of ranking lists {"query", "passages", "labels"}; or JSONL, CSV
        or TSV of {"query", "document", "label"}, a missing label being 1 (a click), or {"query", "positive"}.
    :return: the lists as they are, or the grades by query and document.
    :raises InvalidInputError: if the file is absent, empty or malformed; the message names the line.
    """
    if not path.is_file():
        raise InvalidInputError(
            f"{path} is not a file; give JSONL, CSV or TSV with query, document and label"
        )
    if path.suffix in (".csv", ".tsv"):
        return _grades(_table(path), path)
    rows = _objects(path)
    first = next(rows, None)
    if first is None:
        raise InvalidInputError(f"{path} is empty; give at least one (query, document, label)")
    if "passages" in first[1]:
        return list(read_lists(path))
    return _grades(_objects(path), path)


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
    :raises InvalidInputError: if no query has both a relevant document and another.
    """
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
        reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        for row in reader:
            yield reader.line_num, {str(name).strip().lower(): value for name, value in row.items()}


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSONL file, by line number."""
    import gzip

    opened = gzip.open if path.suffix == ".gz" else open
    with reported(path), opened(path, "rt", encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InvalidInputError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InvalidInputError(
                    f"{path}, line {number}: expected an object with query, document and label"
                )
            yield number, row


def _grades(rows: Iterator[tuple[int, dict[str, Any]]], path: Path) -> dict[str, dict[str, float]]:
    """Collect rows by query; of a document graded twice the higher grade counts."""
    found: dict[str, _Judged] = {}
    for number, row in rows:
        query, document = row.get("query"), row.get("document", row.get("positive", row.get("passage")))
        if not query or not document:
            raise InvalidInputError(f"{path}, line {number}: query or document is missing or empty")
        label = row.get("label", row.get("clicks", 1))
        try:
            grade = float(label)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"{path}, line {number}: the label {label!r} is not a number") from error
        if not np.isfinite(grade):
            raise InvalidInputError(f"{path}, line {number}: the label {label!r} is not finite")
        judged = found.setdefault(str(query), _Judged()).grades
        judged[str(document)] = max(grade, judged.get(str(document), grade))
    if not found:
        raise InvalidInputError(f"{path} is empty; give at least one (query, document, label)")
    return {query: judged.grades for query, judged in found.items()}
