"""What all FAISS engines share: passage ids, removal by tombstones, filters inside the search, files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError
from retriever.index.protocol import Ranked
from retriever.sorted_ids import places_in

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

TRAINING_SAMPLE = 16_384  # vectors; 64 a cluster center of 8 bits, a thousand of 4 bits
_BATCH = 8192  # vectors
_DEAD_SHARE = 0.25  # of vectors that are tombstones before the index is written anew
_NOTHING: Ranked = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


class FaissEngine(ABC):
    """Vectors in a FAISS index, at places in the order of their passage ids.

    A removed vector stays as a tombstone, which no search returns, until a quarter are tombstones.

    :param dimensions: width of the vectors.
    """

    name: str
    _mappable: ClassVar[bool] = True  # whether a copy of a mapped index can be changed

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._index: Any = None
        self._trained: Any = None
        self._pids = np.empty(0, dtype=np.int64)
        self._live = np.empty(0, dtype=np.bool_)
        self._used = self._dead = 0
        self._mapped = False
        self._selected: tuple[IntArray | None, Any, Any] | None = None

    @abstractmethod
    def _empty(self) -> Any:
        """Return a FAISS index like this one's, trained, without vectors."""

    @abstractmethod
    def _find(
        self, queries: FloatArray, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        """Return similarities and places, shape (m, k); place -1 where there are fewer."""

    def _append(self, index: Any, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) to a FAISS index like this one's."""
        index.add(vectors)

    def _vectors_at(self, places: IntArray) -> FloatArray:
        """Return the vectors that stand at places, as precisely as they are kept."""
        vectors: FloatArray = self._index.reconstruct_batch(places)
        return vectors

    def __len__(self) -> int:
        return self._used - self._dead

    def add(self, pids: IntArray, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) under n passage ids, ascending; ids that are there are passed over."""
        if self._used and len(pids) and pids[0] <= self._pids[self._used - 1]:
            new = pids > self._pids[self._used - 1]
            pids, vectors = pids[new], vectors[new]
        if not len(pids):
            return
        self._own()
        # A batch comes while others read, encode and stem: FAISS's threads would wait for each other.
        with one_thread() if len(pids) <= _BATCH else nullcontext():
            self._append(self._index, np.ascontiguousarray(vectors, dtype=np.float32))
        end = self._used + len(pids)
        if end > len(self._pids):
            size = max(end, 2 * len(self._pids))
            self._pids = np.concatenate([self._pids[: self._used], np.empty(size - self._used, np.int64)])
            self._live = np.concatenate([self._live[: self._used], np.empty(size - self._used, np.bool_)])
        self._pids[self._used : end], self._live[self._used : end] = pids, True
        self._used, self._selected = end, None

    def remove(self, pids: IntArray) -> None:
        """Remove vectors; ids that are not there are passed over."""
        places = self._places(pids)
        places = places[places >= 0]
        if not len(places):
            return
        self._live[places] = False
        self._dead += len(places)
        self._selected = None
        if self._dead > _DEAD_SHARE * self._used:
            self.compact()

    def search(self, queries: FloatArray, k: int, *, allowed: IntArray | None = None) -> list[Ranked]:
        """Return, for each query of shape (m, d), ids and cosine similarities, best first."""
        reachable = len(self) if allowed is None else min(len(allowed), len(self))
        k = min(k, reachable)
        if k == 0 or len(queries) == 0:
            return [_NOTHING for _ in queries]
        selector = self._selector(allowed)
        queries = np.ascontiguousarray(queries)
        if len(queries) == 1:
            # One query is no work to share, and the threads would wait for each other.
            with one_thread():
                similarities, places = self._find(queries, k, selector, reachable)
        else:
            similarities, places = self._find(queries, k, selector, reachable)
        # FAISS pads with place -1 when it finds fewer than k.
        return [
            (self._pids[row[row >= 0]], scores[row >= 0])
            for row, scores in zip(places, similarities, strict=True)
        ]

    def vectors_of(self, pids: IntArray) -> FloatArray:
        """Return the vectors of n passages of the index, shape (n, d), as precisely as it keeps them."""
        if len(pids) == 0:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return self._vectors_at(self._places(pids))

    def vectors(self, *, batch: int) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield ids and vectors of everything in the index, as precisely as it keeps them."""
        places = np.flatnonzero(self._live[: self._used])
        for start in range(0, len(places), batch):
            chosen = places[start : start + batch]
            yield self._pids[chosen], self._vectors_at(chosen)

    def bytes_per_passage(self) -> float:
        """Return the memory that the index takes, in bytes a vector."""
        return float(self._index.sa_code_size()) + 9.0  # the passage id and whether it is there

    def settings(self) -> dict[str, int]:
        """Return what was tuned; an engine that compares every vector has nothing to tune."""
        return {}

    def tune(self, settings: dict[str, int]) -> None:  # noqa: B027 - most engines have nothing to tune
        """Change what `settings` returns."""

    def compact(self) -> None:
        """Close the gaps that removed vectors left."""
        if not self._dead:
            return
        fresh = self._empty()
        for _, vectors in self.vectors(batch=65_536):
            self._append(fresh, vectors)
        live = self._live[: self._used]
        self._pids = self._pids[: self._used][live]
        self._used, self._dead = len(self._pids), 0
        self._live = np.ones(self._used, dtype=np.bool_)
        self._index, self._mapped, self._selected = fresh, False, None

    def save(self, path: Path) -> None:
        """Write the index to a file; a tombstone is the complement of its passage's id."""
        # FAISS's own container for ids; filled by hand, for ours may hold vectors already.
        container = faiss.IndexIDMap(self._empty())
        live = self._live[: self._used]
        container.index = self._index
        container.ntotal = self._used
        faiss.copy_array_to_vector(
            np.where(live, self._pids[: self._used], ~self._pids[: self._used]), container.id_map
        )
        container.own_fields = False
        faiss.write_index(container, str(path))

    def _load(self, path: Path) -> Self:
        """Take over a file written by `save`; processes share it until one changes it."""
        try:
            container = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if self._mappable else 0)
        except (RuntimeError, MemoryError) as error:
            raise CorruptCollectionError(f"{path} cannot be read ({str(error)[:200]})") from error
        if not isinstance(container, faiss.IndexIDMap) or container.d != self._empty().d:
            raise CorruptCollectionError(f"{path} is no {self.name} index of {self.dimensions} dimensions")
        ids = faiss.vector_to_array(container.id_map)
        self._container = container  # owns the index
        self._index = faiss.downcast_index(container.index)
        self._pids, self._live = np.where(ids >= 0, ids, ~ids), ids >= 0
        self._used = len(ids)
        self._dead = int(self._used - self._live.sum())
        self._mapped = self._mappable
        return self

    def _own(self) -> None:
        """Copy the vectors out of the file before the first change, which FAISS would abort on."""
        if self._mapped:
            # Not a clone, which would still point into the file.
            fresh = self._empty()
            for start in range(0, self._used, 65_536):
                fresh.add(self._index.reconstruct_n(start, min(65_536, self._used - start)))
            self._index, self._mapped = fresh, False

    def _places(self, pids: IntArray) -> IntArray:
        """Return where vectors stand, -1 for those that are not there."""
        places = places_in(self._pids[: self._used], pids)
        if self._dead:
            places[~self._live[places]] = -1
        return places

    def _selector(self, allowed: IntArray | None) -> Any:
        """Return what lets FAISS see only the vectors that may be found; None where it may see all."""
        if allowed is None and not self._dead:
            return None
        selected = self._selected
        # A filter comes as the same array as long as nothing changes.
        if selected is None or selected[0] is not allowed:
            selected = self._selected = allowed, *self._made_selector(allowed)
        return selected[1]

    def _made_selector(self, allowed: IntArray | None) -> tuple[Any, Any]:
        """Return a selector, and what has to live as long."""
        bits = self._live[: self._used]
        if allowed is not None:
            bits = np.zeros(self._used, dtype=np.bool_)
            places = self._places(allowed)
            bits[places[places >= 0]] = True
        packed = np.packbits(bits, bitorder="little")
        return faiss.IDSelectorBitmap(packed), packed  # type: ignore[call-arg, arg-type]


def rows_of_codes(flat: Any) -> NDArray[np.uint8]:
    """Return a view of the codes in a flat FAISS index, one row a vector; nothing may be added meanwhile."""
    codes: NDArray[np.uint8] = faiss.rev_swig_ptr(flat.codes.data(), flat.codes.size())
    return codes.reshape(-1, flat.code_size)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS work on this thread alone: in many small steps, several mostly wait for each other."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
