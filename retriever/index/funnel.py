"""The funnel: a few bytes a passage find candidates, and their texts, encoded again, decide at full width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import one_thread
from retriever.index.fast_scan import FastScanEngine, copy_codes, fast_scan, quicken
from retriever.index.protocol import Ranked

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Encode = Callable[[IntArray], FloatArray]
"""Gives the full vectors of passages, shape (n, d), by encoding their texts."""

RESCORED = (200, 300, 500, 1000, 2000, 4000)  # candidates; tuned to the recall asked for
_ENCODED_AT_ONCE = 4096


class FunnelIndex(FastScanEngine):
    """Codes of leading dimensions find candidates; their texts, encoded again, are scored in full.

    For collections that memory does not hold at 8 bits a dimension: the index keeps 64 bytes for 256 leading
    dimensions, and the best candidates' texts are read and encoded again.

    Kusupati et al., "Matryoshka Representation Learning", 2022 (leading dimensions, then rescoring).

    :param dimensions: width of the vectors.
    :param encode: gives the full vectors of passages.
    :param sample: vectors that the codes are fitted to, shape (n, d).
    :param leading: leading dimensions that the codes are made from; a multiple of 4.
    """

    name = "funnel"

    def __init__(self, dimensions: int, *, encode: Encode, sample: FloatArray, leading: int) -> None:
        super().__init__(dimensions, leading=leading)
        self._encode = encode
        self._trained, self._origin = fast_scan(leading)
        if len(sample):
            with one_thread():
                self._trained.train(np.ascontiguousarray(sample[:, :leading], dtype=np.float32))
            quicken(self._trained)
            self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int, *, encode: Encode, leading: int) -> FunnelIndex:
        """Read an index written by `save`.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        nothing = np.empty((0, dimensions), dtype=np.float32)
        loaded = cls(dimensions, encode=encode, sample=nothing, leading=leading)._load(path)
        copy_codes(loaded._index, loaded._trained)
        return loaded

    def add(self, pids: IntArray, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) under n passage ids, ascending; ids that are there are passed over."""
        super().add(pids, vectors[:, : self.leading])

    def search(self, queries: FloatArray, k: int, *, allowed: IntArray | None = None) -> list[Ranked]:
        """Return, for each query of shape (m, d), ids and cosine similarities, best first."""
        wide = max(k, self._rescored)
        candidates = super().search(queries[:, : self.leading], wide, allowed=allowed)
        pids = np.unique(np.concatenate([found for found, _ in candidates])) if candidates else None
        if pids is None or not len(pids):
            return candidates
        if len(queries) > 1 and len(pids) > _ENCODED_AT_ONCE:
            return [
                self._rescore(query, found, k) for query, (found, _) in zip(queries, candidates, strict=True)
            ]
        vectors = self._encode(pids)
        return [
            _best(found, vectors[np.searchsorted(pids, found)] @ query, k)
            for query, (found, _) in zip(queries, candidates, strict=True)
        ]

    def _rescore(self, query: FloatArray, pids: IntArray, k: int) -> Ranked:
        return _best(pids, self.similarity(query, pids), k)

    def similarity(self, query: FloatArray, pids: IntArray) -> FloatArray:
        """Return the cosine similarity of one query, shape (d,), to passages of the index."""
        if len(pids) == 0:
            return np.empty(0, dtype=np.float32)
        similarities: FloatArray = self._encode(pids) @ query
        return similarities

    def vectors(self, *, batch: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield ids and vectors of everything in the index, encoded again."""
        pids = self._pids[: self._used][self._live[: self._used]]
        for start in range(0, len(pids), batch):
            chosen = pids[start : start + batch]
            yield chosen, self._encode(chosen)

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        return self.leading / 4 + 8.0 + 9.0  # codes; the place in the cell; the passage id

    def compact(self) -> None:
        """Close the gaps that removed vectors left; the codes are made again from the texts."""
        if not self._dead:
            return
        fresh = self._empty()
        for _, vectors in self.vectors(batch=_ENCODED_AT_ONCE):
            fresh.add(np.ascontiguousarray(vectors[:, : self.leading]))
        live = self._live[: self._used]
        self._pids = self._pids[: self._used][live]
        self._used, self._dead = len(self._pids), 0
        self._live = np.ones(self._used, dtype=np.bool_)
        self._index, self._mapped, self._selected = fresh, False, None

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=1)  # type: ignore[call-arg]
        similarities, places = self._index.search(queries, k, params=parameters)
        return similarities, places


def _best(pids: IntArray, similarities: FloatArray, k: int) -> Ranked:
    """Return the k best, equal ones in the order of their ids."""
    order = np.lexsort((pids, -similarities))[:k]
    return pids[order], similarities[order]
