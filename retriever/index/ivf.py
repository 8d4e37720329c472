"""Search in the nearest cells only: FAISS's inverted file over 16-bit vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import FaissEngine, one_thread

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_NARROW = 0.05  # share of vectors that a filter leaves, below which all cells are searched


class IVFIndex(FaissEngine):
    """Vectors sorted into cells, of which those nearest to the query are searched.

    Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011, section IV.

    :param dimensions: width of the vectors.
    :param sample: vectors that the cells are fitted to, shape (n, d).
    :param cells: how many cells; the square root of the number of vectors is usual.
    """

    name = "ivf"
    _mappable = False

    def __init__(self, dimensions: int, *, sample: FloatArray, cells: int) -> None:
        super().__init__(dimensions)
        self.cells = cells
        self._nprobe = max(1, cells // 8)
        quantizer = faiss.IndexFlatIP(dimensions)
        self._trained = faiss.IndexIVFScalarQuantizer(
            quantizer, dimensions, cells, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        self._quantizer = quantizer
        self._trained.cp.min_points_per_centroid = 1
        self._trained.cp.spherical = True
        if len(sample):
            with one_thread():
                self._trained.train(np.ascontiguousarray(sample, dtype=np.float32))
        self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int) -> IVFIndex:
        """Read an index written by `save`.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        loaded = cls(dimensions, sample=np.empty((0, dimensions), dtype=np.float32), cells=1)._load(path)
        loaded.cells = loaded._index.nlist
        loaded._index.make_direct_map()
        loaded._trained = faiss.clone_index(loaded._index)
        loaded._trained.reset()
        return loaded

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        return super().bytes_per_passage() + 16.0  # the place in its cell and the way back

    def settings(self) -> dict[str, int]:
        """Return how many cells are searched."""
        return {"nprobe": self._nprobe}

    def tune(self, settings: dict[str, int]) -> None:
        """Set how many cells are searched."""
        self._nprobe = max(1, min(int(settings["nprobe"]), self.cells))

    def _empty(self) -> Any:
        empty: Any = faiss.clone_index(self._trained)
        empty.make_direct_map()
        return empty

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        nprobe = self.cells if reachable < _NARROW * self._used else self._nprobe
        while True:
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)  # type: ignore[call-arg]
            similarities, places = self._index.search(queries, k, params=parameters)
            if nprobe == self.cells or (places >= 0).all():
                return similarities, places
            # k results are there, in cells further off.
            nprobe = min(self.cells, 4 * nprobe)
