"""Codes of leading dimensions find candidates, and 8 bits a dimension of the whole vector decide."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import one_thread, rows_of_codes
from retriever.index.fast_scan import FastScanEngine, copy_codes, fast_scan, quicken

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_NARROW = 20_000  # passages that a filter leaves, all compared in full; tuning searches among more


@dataclass(frozen=True, slots=True)
class _Few:
    """The vectors that a narrow filter leaves, and their places in the whole index; the last is for -1."""

    codes: Any
    places: IntArray


class RefinedIndex(FastScanEngine):
    """4-bit codes of leading dimensions find candidates, which 8-bit codes of all dimensions order.

    The scan reads an eighth of what 8 bits take, and what it blurs is made good for the candidates.

    Jégou, Tavenard, Douze and Amsaleg, "Searching in one billion vectors: re-rank with source coding", 2011.

    :param dimensions: width of the vectors.
    :param sample: vectors that the codes are fitted to, shape (n, d).
    :param leading: leading dimensions that candidates are found by; a multiple of 8.
    """

    name = "refined"

    def __init__(self, dimensions: int, *, sample: FloatArray, leading: int) -> None:
        super().__init__(dimensions, leading=leading)
        scanned, self._origin = fast_scan(leading)
        cut = faiss.RemapDimensionsTransform(dimensions, leading, False)  # type: ignore[arg-type]
        precise = faiss.IndexScalarQuantizer(
            dimensions, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        self._trained = faiss.IndexRefine(faiss.IndexPreTransform(cut, scanned), precise)
        if len(sample):
            with one_thread():
                self._trained.train(np.ascontiguousarray(sample, dtype=np.float32))
            quicken(scanned)
            self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int, *, leading: int) -> RefinedIndex:
        """Read an index written by `save`.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        nothing = np.empty((0, dimensions), dtype=np.float32)
        loaded = cls(dimensions, sample=nothing, leading=leading)._load(path)
        _copy_training(loaded._index, loaded._trained)
        return loaded

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        return self.leading / 4 + self.dimensions + 8.0 + 9.0  # codes; the place in the cell; the passage id

    def _made_selector(self, allowed: IntArray | None) -> tuple[Any, Any]:
        """Gather the codes that a narrow filter leaves: a selector is asked for every vector there is."""
        if allowed is None or len(allowed) > _NARROW:
            return super()._made_selector(allowed)
        places = self._places(allowed)
        places = places[places >= 0]
        precise: Any = faiss.downcast_index(self._index.refine_index)
        few = faiss.clone_index(self._trained.refine_index)
        few.add_sa_codes(rows_of_codes(precise)[places])
        return _Few(few, np.append(places, -1)), None

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        if isinstance(selector, _Few):
            similarities, found = selector.codes.search(queries, k)
            return similarities, selector.places[found]
        scan = faiss.SearchParametersIVF(sel=selector, nprobe=1)  # type: ignore[call-arg]
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=1.0,  # type: ignore[call-arg]
            base_index_params=faiss.SearchParametersPreTransform(index_params=scan),  # type: ignore[call-arg]
        )
        wide = min(max(k, self._rescored), reachable)
        similarities, places = self._index.search(queries, wide, params=parameters)
        return similarities[:, :k], places[:, :k]


def _copy_training(source: Any, target: Any) -> None:
    """Copy what was fitted, and no vectors: a clone would hold all of them twice."""
    precise: list[Any] = [faiss.downcast_index(index.refine_index) for index in (source, target)]
    copy_codes(_codes(source), _codes(target))
    faiss.copy_array_to_vector(faiss.vector_to_array(precise[0].sq.trained), precise[1].sq.trained)
    for fitted in (faiss.downcast_index(target.base_index), precise[1], target):
        fitted.is_trained = True


def _codes(index: Any) -> Any:
    """Return the part that finds candidates."""
    scan: Any = faiss.downcast_index(index.base_index)
    return faiss.downcast_index(scan.index)
