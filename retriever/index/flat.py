"""Exact search: FAISS's flat inner-product index."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class FlatIndex:
    """Every vector compared with the query: right to about 100,000 passages, and the measure of the others.

    :param dimensions: width of the vectors.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimensions))
        self._mapped = False

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, pids: IntArray, vectors: FloatArray) -> None:
        """Add vectors of shape (n, d) under n new passage ids."""
        self._own()
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), pids)

    def remove(self, pids: IntArray) -> None:
        """Remove vectors; ids that are not there are passed over."""
        if len(pids):
            self._own()
            self._index.remove_ids(faiss.IDSelectorBatch(pids))

    def search(
        self, queries: FloatArray, k: int, *, allowed: IntArray | None = None
    ) -> list[tuple[IntArray, FloatArray]]:
        """Return, for each query of shape (m, d), ids and cosine similarities, best first."""
        k = min(k, len(self) if allowed is None else len(allowed), len(self))
        if k == 0 or len(queries) == 0:
            empty = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
            return [empty for _ in queries]
        parameters = None
        if allowed is not None:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))  # type: ignore[call-arg]
        similarities, pids = self._index.search(queries, k, params=parameters)
        # FAISS pads with id -1 when it finds fewer than k.
        return [(row[row >= 0], scores[row >= 0]) for row, scores in zip(pids, similarities, strict=True)]

    def similarity(self, query: FloatArray, pids: IntArray) -> FloatArray:
        """Return the cosine similarity of one query, shape (d,), to passages of the index."""
        if len(pids) == 0:
            return np.empty(0, dtype=np.float32)
        vectors = self._index.reconstruct_batch(pids)
        similarities: FloatArray = vectors @ query
        return similarities

    def _own(self) -> None:
        """Copy the vectors out of the file before the first change: FAISS aborts on a change to a mapped one."""
        if self._mapped:
            pids = faiss.vector_to_array(self._index.id_map)
            vectors = self._index.index.reconstruct_n(0, len(self))
            self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(self.dimensions))
            self._index.add_with_ids(vectors, pids)
            self._mapped = False

    def save(self, path: Path) -> None:
        """Write the index to a file."""
        faiss.write_index(self._index, str(path))

    @classmethod
    def load(cls, path: Path, dimensions: int) -> FlatIndex:
        """Map an index written by `save` into memory; processes share it until one changes it.

        :raises CorruptCollectionError: if the file is truncated, damaged or of another width.
        """
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (RuntimeError, MemoryError) as error:
            raise CorruptCollectionError(f"{path} cannot be read ({str(error)[:200]})") from error
        if not isinstance(index, faiss.IndexIDMap2) or index.d != dimensions:
            raise CorruptCollectionError(f"{path} is no flat index of {dimensions} dimensions")
        loaded = cls(dimensions)
        loaded._index, loaded._mapped = index, True
        return loaded
