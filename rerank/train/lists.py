"""Ranking lists: a query, passages, a label for each, and what teachers thought of them."""

from __future__ import annotations

import csv
import gzip
import json
import reprlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rerank.checks import check_finite
from rerank.errors import InvalidInputError

LEAST_PASSAGES = 2  # a list of one teaches no order


@dataclass(frozen=True, slots=True)
class RankingList:
    """What is learnt from at once: passages of one query.

    :param query: the query.
    :param passages: n texts, at least two.
    :param labels: n relevance grades; 0 is not relevant, and so is what is given as less.
    :param teachers: for each teacher n scores, in the teacher's own unit; the settings of a training weigh
        teachers by these names.
    :param kind: where the list comes from; dev figures are given by kind.
    :raises InvalidInputError: if these are not texts and finite numbers, or not equally many.
    """

    query: str
    passages: tuple[str, ...]
    labels: tuple[float, ...]
    teachers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    kind: str = ""

    def __post_init__(self) -> None:
        _check_texts("the query", (self.query,))
        _check_texts("the kind", (self.kind,))
        _check_texts("passages", self.passages)
        self._check_numbers("labels", self.labels)
        for name, scores in self.teachers.items():
            self._check_numbers(f"scores of {name}", scores)
        if len(self.passages) < LEAST_PASSAGES:
            raise InvalidInputError(
                f"a ranking list of {len(self.passages)} passages teaches no order; "
                f"give at least {LEAST_PASSAGES}"
            )
        labels = tuple(max(0.0, float(label)) for label in self.labels)
        teachers = {name: tuple(map(float, scores)) for name, scores in self.teachers.items()}
        object.__setattr__(self, "passages", tuple(self.passages))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "teachers", teachers)

    def _check_numbers(self, called: str, values: Sequence[float]) -> None:
        """Raise where there is not one finite number a passage."""
        check_finite(called, values)
        if len(values) != len(self.passages):
            raise InvalidInputError(
                f"{len(self.passages)} passages have {len(values)} {called}; give one a passage"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the list as plain JSON-ready values."""
        return {
            "query": self.query,
            "passages": list(self.passages),
            "labels": list(self.labels),
            "teachers": {name: list(scores) for name, scores in self.teachers.items()},
            "kind": self.kind,
        }


def read_lists(path: Path) -> Iterator[RankingList]:
    """Read ranking lists from a JSONL file, gzipped or not.

    :param path: one object a line: query, passages, labels, and optionally teachers and kind.
    :return: the lists, in order.
    :raises InvalidInputError: on the first line that is not a ranking list; the message has its number.
    """
    for number, row in read_objects(path):
        yield _parse(row, f"{path}, line {number}")


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSONL file, gzipped or not; blank lines are passed over.

    :param path: one object a line.
    :return: number of the line and the object, in order.
    :raises InvalidInputError: on the first line that is no object; the message has its number.
    """
    with reported(path), _open(path, "rt") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InvalidInputError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InvalidInputError(
                    f"{path}, line {number}: expected an object with a query, not {type(row).__name__}"
                )
            yield number, row


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what a file that cannot be read raises into an error that names it."""
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error}); write it again, as UTF-8, and whole"
        ) from error


def write_lists(path: Path, lists: Iterable[RankingList]) -> int:
    """Write ranking lists as JSONL, gzipped if the name ends in .gz.

    :param path: the file; replaced if it exists.
    :param lists: what to write.
    :return: how many were written.
    """
    count = 0
    with _open(path, "wt") as file:
        for one in lists:
            file.write(json.dumps(one.to_dict(), ensure_ascii=False) + "\n")
            count += 1
    return count


def _open(path: Path, mode: str) -> IO[str]:
    """Open a text file, compressed or not; one that is read may begin with a byte order mark."""
    encoding = "utf-8-sig" if mode == "rt" else "utf-8"
    if path.suffix.lower() == ".gz":
        return gzip.open(path, mode, encoding=encoding)  # type: ignore[return-value]
    return path.open(mode, encoding=encoding)


def _parse(row: dict[str, Any], place: str) -> RankingList:
    """Make a ranking list of one line."""
    try:
        teachers = row.get("teachers") or {}
        if not isinstance(teachers, dict):
            raise InvalidInputError(f"teachers must be an object, not {reprlib.repr(teachers)}")
        if "query" not in row:
            raise InvalidInputError("it has no query")
        passages, labels = _list("passages", row.get("passages")), _list("labels", row.get("labels"))
        scores = {name: _list(f"scores of {name}", given) for name, given in teachers.items()}
        return RankingList(row["query"], passages, labels, scores, row.get("kind") or "")
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{place} is not a ranking list of query, passages and labels: {error}"
        ) from error


def _list(called: str, given: object) -> tuple[Any, ...]:
    """Return what a list of JSON holds."""
    if not isinstance(given, list):
        raise InvalidInputError(f"{called} must be a list, not {reprlib.repr(given)}")
    return tuple(given)


def _check_texts(called: str, texts: Sequence[object]) -> None:
    """Raise for the first that is not text, and for one text in place of several."""
    if isinstance(texts, str):
        raise InvalidInputError(f"{called} must be a list of texts, not {reprlib.repr(texts)}")
    for text in texts:
        if not isinstance(text, str):
            raise InvalidInputError(f"{called} must be text, not {reprlib.repr(text)}")
