"""What a vector index is to the rest of the project."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class VectorIndex(Protocol):
    """Nearest neighbours by inner product over normalised vectors, keyed by passage id.

    Not thread-safe for writes: the collection lets no search run during one.
    """

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def add(self, pids: IntArray, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) under n new passage ids."""
        ...

    def remove(self, pids: IntArray) -> None:
        """Remove vectors; ids that are not there are passed over."""
        ...

    def search(
        self, queries: FloatArray, k: int, *, allowed: IntArray | None = None
    ) -> list[tuple[IntArray, FloatArray]]:
        """Return, for each query of shape (m, d), ids and cosine similarities, best first.

        :param k: at most this many a query; fewer when fewer exist.
        :param allowed: only these passage ids, ascending; None for all.
        """
        ...

    def similarity(self, query: FloatArray, pids: IntArray) -> FloatArray:
        """Return the cosine similarity of one query, shape (d,), to passages of the index."""
        ...

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        ...
