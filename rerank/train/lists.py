"""Ranking lists: a query, passages, a label for each, and what teachers thought of them."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rerank.errors import InvalidInputError

LEAST_PASSAGES = 2  # a list of one teaches no order


@dataclass(frozen=True, slots=True)
class RankingList:
    """What is learnt from at once: passages of one query.

    :param query: the query.
    :param passages: n texts, at least two.
    :param labels: n relevance grades; 0 is not relevant, and so is what is given as less.
    :param teachers: for each teacher n scores, in the teacher's own unit.
    :param kind: where the list comes from; dev figures are given by kind.
    """

    query: str
    passages: tuple[str, ...]
    labels: tuple[float, ...]
    teachers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    kind: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(max(0.0, label) for label in self.labels))

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
    with reported(path), _open(path, "rt") as file:
        for number, line in enumerate(file, start=1):
            yield _parse(line, f"{path}, line {number}")


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
    """Open a text file, compressed or not."""
    if path.suffix == ".gz":
        return gzip.open(path, mode, encoding="utf-8")  # type: ignore[return-value]
    return path.open(mode, encoding="utf-8")


def _parse(line: str, place: str) -> RankingList:
    """Read one line."""
    try:
        row = json.loads(line)
        passages, labels = tuple(map(str, row["passages"])), tuple(map(float, row["labels"]))
        teachers = {name: tuple(map(float, scores)) for name, scores in row.get("teachers", {}).items()}
        one = RankingList(str(row["query"]), passages, labels, teachers, str(row.get("kind", "")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInputError(
            f"{place} is not a ranking list ({error!r}); expected an object with query, passages and labels"
        ) from error
    lengths = {len(passages), len(labels), *map(len, teachers.values())}
    if len(lengths) != 1 or len(passages) < LEAST_PASSAGES:
        raise InvalidInputError(
            f"{place}: passages, labels and teacher scores must be equally many, at least {LEAST_PASSAGES}"
        )
    return one
