"""Exact search: FAISS's flat inner-product index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import FaissEngine

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class FlatIndex(FaissEngine):
    """Every vector compared with the query: right to about 100,000 passages, and the measure of the others.

    :param dimensions: width of the vectors.
    """

    name = "flat"

    def __init__(self, dimensions: int) -> None:
        super().__init__(dimensions)
        self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int) -> FlatIndex:
        """Map an index written by `save` into memory; processes share it until one changes it.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        return cls(dimensions)._load(path)

    def _empty(self) -> Any:
        return faiss.IndexFlatIP(self.dimensions)

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        similarities, places = self._index.search(queries, k, params=parameters)
        return similarities, places
