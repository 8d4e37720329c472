"""What a reranker is: anything that scores a query against passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@runtime_checkable
class Reranker(Protocol):
    """Scores passages for a query; higher is more relevant.

    Scores are logits (any real number, not squashed): a sigmoid would tie good candidates.
    The score of a pair depends on that pair alone, never on what it is batched with.
    """

    def score(self, query: str, passages: Sequence[str]) -> FloatArray:
        """Score each passage for the query.

        :param query: the question, not empty.
        :param passages: n texts.
        :return: float32 logits, shape (n,), in the order of the passages.
        """
        ...


@runtime_checkable
class PairReranker(Reranker, Protocol):
    """A reranker that can also share its batches between queries."""

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """Score (query, passage) pairs.

        :param pairs: n pairs of query and passage; queries may differ.
        :return: float32 logits, shape (n,), in the order of the pairs.
        """
        ...


class TextReader(Protocol):
    """The part of a reranker that reads a text by itself: a sentence encoder."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> FloatArray:
        """Encode texts into vectors of length 1.

        :param texts: n of them; what exceeds the reranker's window is not read.
        :param progress: called with the number of texts read since the last call.
        :return: float32, shape (n, d).
        """
        ...


@runtime_checkable
class ReadingReranker(Reranker, Protocol):
    """A reranker that may read query and passage apart, and then serves as a sentence encoder too."""

    @property
    def reader(self) -> TextReader | None:
        """What reads the texts; None where they are read together."""
        ...


@runtime_checkable
class WindowedReranker(Protocol):
    """A reranker that can count tokens and read less of a long passage when told to."""

    window: int

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> FloatArray:
        """Score passages, reading at most `window` tokens at once."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Count the tokens of texts."""
        ...
