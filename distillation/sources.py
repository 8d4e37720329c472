"""Pairs of query and passage out of JSON lines, and an order that gives every source its share.

A large source must not drown a small one: what unseen domains ask of the table is breadth. Pairs are
ordered so that every prefix of the list holds each source in proportion to the square root of its size.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retriever.errors import SourceError

_LOWER_CASE_END = re.compile(r"(?<=[.!?])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a passage that answers it.

    :param query: a question, claim, title or heading.
    :param positive: the passage.
    :param source: where it comes from; pairs are balanced by it.
    """

    query: str
    positive: str
    source: str


def read_pairs(path: str | Path) -> list[Pair]:
    """Read `{"query", "positive", "source"?}` objects, one a line, gzipped or not.

    :param path: the file; its stem is the source of pairs that name none.
    :return: the pairs in file order.
    :raises SourceError: if the file cannot be read or a line is not such an object.
    """
    path = Path(path)
    stem = path.name.split(".")[0]
    pairs = []
    for number, record in enumerate(_records(path), start=1):
        try:
            inner = record.get("source")
            pairs.append(
                Pair(record["query"], record["positive"], f"{stem}/{inner}" if inner is not None else stem)
            )
        except (KeyError, AttributeError) as error:
            raise SourceError(
                f'{path}, line {number}: expected an object with "query" and "positive"'
            ) from error
    return pairs


def cloze_pairs(passages: Iterable[tuple[str, str]], *, source: str, seed: int = 0) -> list[Pair]:
    """Make pairs out of passages alone: one sentence asks, title and remaining sentences answer.

    Lee, Chang and Toutanova, "Latent Retrieval for Weakly Supervised Open Domain Question Answering"
    (2019), section 4: the inverse cloze task.

    :param passages: (title, text) each.
    :param source: the name that the pairs carry.
    :param seed: chooses the sentences.
    :return: one pair for each passage of two sentences or more.
    """
    generator = np.random.default_rng(seed)
    pairs = []
    for title, text in passages:
        sentences = (_LOWER_CASE_END if text.islower() else _SENTENCE_END).split(text)
        if len(sentences) < 2:
            continue
        chosen = int(generator.integers(len(sentences)))
        rest = " ".join(sentences[:chosen] + sentences[chosen + 1 :])
        pairs.append(Pair(sentences[chosen], f"{title}\n{rest}" if title else rest, source))
    return pairs


def read_passages(path: str | Path) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of `{"title", "text"}` objects, one a line, gzipped or not."""
    for record in _records(Path(path)):
        yield record.get("title", ""), record["text"]


def balanced_order(sources: Sequence[str], *, seed: int = 0) -> list[int]:
    """Order rows so that every prefix draws on each source by the square root of its size.

    The i-th row (in shuffled order) of a source of n rows gets the key (i + 1/2) / sqrt(n); rows are
    sorted by it.

    :param sources: the source of each row.
    :param seed: shuffles within a source.
    :return: a permutation of the row numbers.
    """
    generator = np.random.default_rng(seed)
    names = np.asarray(sources)
    keys = np.empty(len(names))
    for name in sorted(set(sources)):
        rows = np.flatnonzero(names == name)
        keys[generator.permutation(rows)] = (np.arange(len(rows)) + 0.5) / np.sqrt(len(rows))
    order: list[int] = np.argsort(keys, kind="stable").tolist()
    return order


def _records(path: Path) -> Iterator[dict[str, str]]:
    """Yield the JSON objects of a file."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise SourceError(f"{path}, line {number}: not JSON ({error})") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read pairs from {path}: {error}") from error
