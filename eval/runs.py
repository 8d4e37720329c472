"""Runs and relevance judgments in the formats that trec_eval reads and writes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np

from retriever.errors import SourceError

# White space in ids is written as its symbols, which no other id has: "%20" may be somebody's own.
_SPACE = re.compile(r"\s")
_QUOTED = re.compile("␠|␣([0-9a-f]{1,5});")

Qrels = Mapping[str, Mapping[str, int]]
"""Query id to document id to grade; a grade of 0 is a judged document that is not relevant."""

Rankings = Mapping[str, Sequence[str]]
"""Query id to document ids, best first, without repetition."""

Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score; higher is better."""


def ranking(scores: Mapping[str, float]) -> list[str]:
    """Order documents the way trec_eval does, whatever rank a run file claims.

    :param scores: document id to score.
    :return: ids by falling score in single precision; ties by falling id, as bytes.
    """
    return sorted(
        scores, key=lambda document: (np.float32(scores[document]), document.encode()), reverse=True
    )


def rankings(run: Run) -> dict[str, list[str]]:
    """Order each query's documents the way trec_eval does.

    :param run: scores by query and document.
    :return: document ids by query, best first.
    """
    return {query: ranking(scores) for query, scores in run.items()}


def strictly_falling(scores: Sequence[float]) -> list[float]:
    """Nudge scores so that sorting by them gives the order they came in.

    trec_eval breaks ties by document id and keeps single precision, so a list with equal scores, or
    a reranked head whose scores are on another scale than its tail, would be measured in another order.

    :param scores: n scores in the order of the ranking, best first.
    :return: n scores, equal to the given ones where those fall already, each strictly below the one before.
    """
    falling: list[float] = []
    previous = np.float32(np.inf)
    for score in scores:
        single = np.float32(score)
        if not single < previous:
            single = np.nextafter(previous, np.float32(-np.inf), dtype=np.float32)
        falling.append(float(single))
        previous = single
    return falling


def write_run(
    path: str | Path, run: Mapping[str, Sequence[tuple[str, float]]], *, tag: str = "retriever"
) -> None:
    """Write a TREC run: ``query Q0 document rank score tag``.

    :param path: the file to write.
    :param run: query id to (document id, score), best first; scores are nudged to fall strictly. White space
        in ids is written as `␠`, for the columns are parted by it.
    :param tag: the run's name, the last column.
    :raises SourceError: if the file cannot be written.
    """
    last = _spaceless(tag)
    with _writing(Path(path)) as out:
        for query, ranked in run.items():
            scores = strictly_falling([score for _, score in ranked])
            for rank, ((document, _), score) in enumerate(zip(ranked, scores, strict=True), 1):
                out.write(f"{_spaceless(query)} Q0 {_spaceless(document)} {rank} {score:.9g} {last}\n")


def read_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read a TREC run.

    :param path: a file of ``query Q0 document rank score tag`` lines.
    :return: query id to document id to score.
    :raises SourceError: if the file cannot be read, or a line is not of that form; the line is named.
    """
    run: dict[str, dict[str, float]] = {}
    for number, fields in _fields(Path(path)):
        if len(fields) != 6:
            raise SourceError(
                f"{path}, line {number}: {len(fields)} columns, "
                "a TREC run has six: query Q0 document rank score tag"
            )
        query, _, document, _, score, _ = fields
        try:
            value = float(score)
        except ValueError:
            raise SourceError(f"{path}, line {number}: the score '{score}' is not a number") from None
        scores = run.setdefault(query, {})
        if document in scores:
            raise SourceError(
                f"{path}, line {number}: document '{document}' is listed twice for query '{query}'; "
                "keep its best line"
            )
        scores[document] = value
    if not run:
        raise SourceError(f"{path} is empty: expected TREC run lines, query Q0 document rank score tag")
    return run


def write_qrels(path: str | Path, qrels: Qrels) -> None:
    """Write TREC judgments: ``query 0 document grade``.

    :param path: the file to write.
    :param qrels: grades by query and document; white space in ids is written as `␠`.
    :raises SourceError: if the file cannot be written.
    """
    with _writing(Path(path)) as out:
        for query, grades in qrels.items():
            for document, grade in grades.items():
                out.write(f"{_spaceless(query)} 0 {_spaceless(document)} {grade}\n")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read judgments, TREC (``query 0 document grade``) or BEIR (a header, then three tab-separated columns).

    :param path: the file to read.
    :return: query id to document id to grade.
    :raises SourceError: if the file cannot be read, or a line is of neither form; the line is named.
    """
    source = Path(path)
    with _open(source) as handle:
        first = handle.readline()
    beir = first.count("\t") == 2 and first.lower().startswith("query")
    qrels: dict[str, dict[str, int]] = {}
    for number, fields in _tab_fields(source) if beir else _fields(source):
        if len(fields) != (3 if beir else 4):
            raise SourceError(
                f"{path}, line {number}: {len(fields)} columns; expected TREC judgments "
                "(query 0 document grade) or BEIR ones (query-id, corpus-id, score with that header)"
            )
        try:
            grade = int(fields[-1])
        except ValueError:
            raise SourceError(
                f"{path}, line {number}: the grade '{fields[-1]}' is not a whole number"
            ) from None
        qrels.setdefault(fields[0], {})[fields[-2]] = grade
    if not qrels:
        raise SourceError(f"{path} holds no judgments: expected lines of query 0 document grade")
    return qrels


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """Open a text file, or say which one cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield handle
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"cannot read {path}: {error}; write it again as UTF-8") from error


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and white-space separated fields, without empty lines."""
    with _open(path) as handle:
        for number, line in enumerate(handle, 1):
            if fields := line.split():
                yield number, [_QUOTED.sub(_unquoted, field) for field in fields]


def _tab_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and tab-separated fields after the header, without empty lines."""
    with _open(path) as handle:
        for number, row in enumerate(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if number > 1 and row:
                yield number, row


@contextmanager
def _writing(path: Path) -> Iterator[TextIO]:
    """Open a file to be written, or say which one cannot be."""
    try:
        with path.open("w", encoding="utf-8") as out:
            yield out
    except OSError as error:
        raise SourceError(f"cannot write {path}: {error.strerror or error}") from error


def _spaceless(name: str) -> str:
    """Return an id as one column can hold it."""
    return _SPACE.sub(lambda found: "␠" if found[0] == " " else f"␣{ord(found[0]):x};", name)


def _unquoted(found: re.Match[str]) -> str:
    """Undo `_spaceless`."""
    return " " if found[1] is None else chr(int(found[1], 16))
