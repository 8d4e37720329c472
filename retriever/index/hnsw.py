"""Search along a graph of neighbours: FAISS's HNSW over 16-bit vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import FaissEngine

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

NEIGHBOURS = (
    32  # a vector in each layer, twice that in the lowest; recall .98 needs no more at 384 dimensions
)
_CONSTRUCTION = 80  # candidates looked at while a vector is added
_NARROW = (
    0.05  # share of vectors that a filter leaves, below which the graph falls apart and all are compared
)


class HNSWIndex(FaissEngine):
    """Vectors linked to their neighbours; a search walks towards the query.

    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs", 2018.

    :param dimensions: width of the vectors.
    """

    name = "hnsw"
    _mappable = False

    def __init__(self, dimensions: int) -> None:
        super().__init__(dimensions)
        self._ef = 128
        self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int) -> HNSWIndex:
        """Read an index written by `save`.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        return cls(dimensions)._load(path)

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        return 2.0 * self.dimensions + 4.0 * 2 * NEIGHBOURS * 1.03 + 9.0  # vector, links, passage id

    def settings(self) -> dict[str, int]:
        """Return how many candidates a walk keeps."""
        return {"efSearch": self._ef}

    def tune(self, settings: dict[str, int]) -> None:
        """Set how many candidates a walk keeps."""
        self._ef = max(1, int(settings["efSearch"]))

    def _empty(self) -> Any:
        # The metric is given: HNSW takes Euclidean distance by default.
        index: Any = faiss.index_factory(
            self.dimensions, f"HNSW{NEIGHBOURS},SQfp16", faiss.METRIC_INNER_PRODUCT
        )
        index.hnsw.efConstruction = _CONSTRUCTION
        index.is_trained = True
        index.storage.is_trained = True
        return index

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        if selector is None or reachable >= _NARROW * self._used:
            parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(self._ef, 2 * k))  # type: ignore[attr-defined]
            similarities, places = self._index.search(queries, k, params=parameters)
            if (places >= 0).all():
                return similarities, places
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        similarities, places = faiss.downcast_index(self._index.storage).search(queries, k, params=parameters)
        return similarities, places
