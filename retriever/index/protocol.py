"""What a vector index is to the rest of the project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]
"""Passage ids and cosine similarities, best first."""


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over normalised vectors, keyed by passage id.

    Not thread-safe for writes: the collection lets no search run during one.
    """

    name: str
    """The engine, as in `RetrieverConfig.index`."""

    dimensions: int
    """Width of the vectors."""

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def add(self, pids: IntArray, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) under n passage ids, ascending; ids that are there are passed over."""
        ...

    def remove(self, pids: IntArray) -> None:
        """Remove vectors; ids that are not there are passed over."""
        ...

    def search(self, queries: FloatArray, k: int, *, allowed: IntArray | None = None) -> list[Ranked]:
        """Return, for each query of shape (m, d), ids and cosine similarities, best first.

        :param k: at most this many a query; fewer when fewer exist.
        :param allowed: only these passage ids, ascending; None for all.
        """
        ...

    def vectors_of(self, pids: IntArray) -> FloatArray:
        """Return the vectors of n passages of the index, shape (n, d), as precisely as it keeps them."""
        ...

    def vectors(self, *, batch: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield ids and vectors of everything in the index, as precisely as it keeps them."""
        ...

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        ...

    def settings(self) -> dict[str, int]:
        """Return what was tuned: nprobe, efSearch, rescored candidates."""
        ...

    def tune(self, settings: dict[str, int]) -> None:
        """Change what `settings` returns."""
        ...

    def compact(self) -> None:
        """Close the gaps that removed vectors left."""
        ...

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        ...
