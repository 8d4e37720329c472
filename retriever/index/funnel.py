"""The funnel: a few bytes a passage find candidates, and their texts, encoded again, decide at full width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from retriever.index.fast_scan import FastScanEngine
from retriever.index.layered_codes import (
    PARTS,
    LayeredSearch,
    add_vectors,
    best_of,
    bytes_in_codes,
    copy_fitted,
    fit,
    layered_codes,
)

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
T = TypeVar("T")
Encode = Callable[[IntArray], FloatArray]
"""Gives the full vectors of passages, shape (n, d), by encoding their texts."""

_SHARED_FROM = 100  # texts; fewer are encoded before another thread is awake


@dataclass(frozen=True, slots=True)
class _Few:
    """Places that a narrow filter leaves, all scored in full."""

    places: IntArray


class FunnelIndex(FastScanEngine):
    """Ever more bytes for ever fewer passages: coarse codes, fine codes, the text encoded again.

    For collections that memory does not hold at 8 bits a dimension: codes take 80 bytes a passage, of which
    32 are scanned. One passage in 1,250 is looked up in the other 48, and the texts of the best of these are
    read and encoded again.

    Kusupati et al., "Matryoshka Representation Learning", 2022 (leading dimensions, then rescoring).

    :param dimensions: width of the vectors.
    :param encode: gives the full vectors of passages.
    :param sample: vectors that the codes are fitted to, shape (n, d).
    :param leading: leading dimensions that coarse codes are made from; a multiple of 8.
    """

    name = "funnel"

    def __init__(self, dimensions: int, *, encode: Encode, sample: FloatArray, leading: int) -> None:
        super().__init__(dimensions, leading=leading)
        self._encode = encode
        self._trained, self._needed = layered_codes(dimensions, leading)
        if len(sample):
            fit(self._trained, sample)
            self._search = LayeredSearch(self._trained)
            self._index = self._empty()

    @classmethod
    def load(cls, path: Path, dimensions: int, *, encode: Encode, leading: int) -> FunnelIndex:
        """Read an index written by `save`.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        nothing = np.empty((0, dimensions), dtype=np.float32)
        loaded = cls(dimensions, encode=encode, sample=nothing, leading=leading)._load(path)
        copy_fitted(loaded._index, loaded._trained)
        loaded._search = LayeredSearch(loaded._trained)
        return loaded

    def _vectors_at(self, places: IntArray) -> FloatArray:
        pids = self._pids[places]
        parts = np.array_split(pids, PARTS) if len(pids) >= _SHARED_FROM else [pids]
        return np.concatenate(_beside([partial(self._encode, part) for part in parts]))

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        place, passage_id = 8.0, 9.0
        return bytes_in_codes(self.dimensions, self.leading) + place + passage_id

    def _append(self, index: Any, vectors: FloatArray) -> None:
        add_vectors(index, vectors)

    def _made_selector(self, allowed: IntArray | None) -> tuple[Any, Any]:
        """Scan nothing where a filter leaves no more passages than are scored in full anyway."""
        if allowed is None or len(allowed) > self._rescored:
            return super()._made_selector(allowed)
        places = self._places(allowed)
        return _Few(places[places >= 0]), None

    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        places = np.full((len(queries), k), -1, dtype=np.int64)
        for row, query in enumerate(queries):
            if isinstance(selector, _Few):
                at = selector.places
            else:
                at = self._candidates(query, max(k, self._rescored), selector, reachable)
            near = self._vectors_at(at) @ query
            best = np.lexsort((at, -near))[:k]
            similarities[row, : len(best)], places[row, : len(best)] = near[best], at[best]
        return similarities, places

    def _candidates(self, query: FloatArray, k: int, selector: Any, reachable: int) -> IntArray:
        """Return places of the k passages that the codes put first, at the most."""
        question = self._search.question(query)
        parts = [
            partial(self._search.candidates, self._index, question, part, k, selector, reachable)
            for part in range(PARTS)
        ]
        near, places = (np.concatenate(each) for each in zip(*_beside(parts), strict=True))
        return np.sort(best_of(near, places, k)[1])


def _beside(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run jobs on several threads, the first on this one; all of them here where the others are busy."""
    waiting = [_threads().submit(job) for job in jobs[1:]]
    done = [jobs[0]()]
    for job, future in zip(jobs[1:], waiting, strict=True):
        done.append(job() if future.cancel() else future.result())
    return done


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(PARTS, "retriever-funnel")
