"""The dense half of a collection: a vector index that follows the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.config import RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.index.engines import load_engine
from retriever.index.flat import FlatIndex
from retriever.index.protocol import VectorIndex
from retriever.index.settling import Settling
from retriever.index.tuning import pseudo_queries
from retriever.store.derived_files import read_derived, write_derived
from retriever.store.document_store import DocumentStore
from retriever.store.records import Change

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

VECTORS = "vectors"
_REPLAYED = 2048  # passages encoded at once when the index is behind
_SAMPLE = 2048  # passages; leaves 1.6 % of error on a standard deviation


class CollectionVectors:
    """A vector index, the number of the last change it contains, and what was measured of it.

    :param store: the source of truth.
    :param config: which index is wished for.
    :param encoder: makes the vectors.
    :param settles: whether the kind of index changes with its size; otherwise it stays exact.
    """

    def __init__(
        self, store: DocumentStore, config: RetrieverConfig, encoder: StaticEncoder, *, settles: bool = True
    ) -> None:
        self._store, self._encoder = store, encoder
        self.index: VectorIndex = FlatIndex(encoder.dimensions)
        self.seq = 0
        self._replayed_to: int | None = None
        self._drawn: tuple[int, FloatArray] = 0, np.zeros((encoder.dimensions,) * 2, dtype=np.float32)
        self.settling: Settling | None = None
        if settles:
            self.settling = Settling(
                config,
                encoder.dimensions,
                encode=self._encode,
                sample=lambda size, seed: store.sample(size, seed=seed, last=self._replayed_to),
                queries=lambda pids: encoder.encode(pseudo_queries(store.titles_and_openings(pids))),
            )

    def load(self, folder: Path) -> None:
        """Read the index as far as it was written; leave it empty where it was not.

        :raises CorruptCollectionError: if it is damaged.
        """
        if (found := read_derived(folder, VECTORS)) is None:
            return
        state, path = found
        self.seq = state.seq
        if self.settling is not None:
            self.settling.take_back(dict(state.measured))
        self.index = load_engine(
            state.engine, path, self._encoder.dimensions, settings=state.settings, encode=self._encode
        )

    def save(self, folder: Path) -> None:
        """Write the index, in one piece or not at all."""
        write_derived(
            folder,
            VECTORS,
            ".faiss",
            self.seq,
            self.index.save,
            engine=self.index.name,
            settings=self.index.settings(),
            measured={} if self.settling is None else self.settling.noted(),
        )

    def apply(self, change: Change, vectors: FloatArray) -> None:
        """Bring the index up to a change.

        :param vectors: of the passages that were added, shape (n, d).
        """
        self.index.remove(change.removed)
        if len(change.added):
            self.index.add(change.added, vectors)
        self.seq = change.seq

    def replay(self, seq: int) -> int:
        """Bring the index up to what the store holds; return how many passages were encoded.

        :param seq: the store's last change.
        """
        if 0 < self.seq < self._store.forgotten_seq:
            # What was removed is no longer known.
            self.index, self.seq = FlatIndex(self._encoder.dimensions), 0
        self.index.remove(self._store.removed_since(self.seq))
        replayed = 0
        for batch in self._store.passages_since(self.seq, batch=_REPLAYED):
            pids = np.asarray([passage.pid for passage in batch], dtype=np.int64)
            self.index.add(pids, self._encoder.encode([passage.searched for passage in batch]))
            replayed += len(batch)
            # An index measured with passages that it is yet to get would seem to miss them.
            self._replayed_to = int(pids[-1])
            self.grow()
        self._replayed_to = None
        self.seq = seq
        return replayed

    def settle(self) -> bool:
        """Change and tune the index where it has grown enough for that; tell whether it was measured anew."""
        if self.settling is None:
            return False
        before = self.settling.measured
        self.index = self.settling.rested(self.index)
        return self.settling.measured is not before

    def spread(self, queries: FloatArray) -> FloatArray:
        """Return the standard deviation of each query's similarities over the collection.

        Taken over a fixed sample of passages, which is drawn again when the collection has doubled or halved.

        :param queries: query vectors, shape (m, d).
        :return: shape (m,); 0 where there is nothing to compare with.
        """
        total = self._store.count_passages()
        drawn_at, covariance = self._drawn
        if not drawn_at / 2 < total < drawn_at * 2:
            sample = self._encode(self._store.sample(_SAMPLE, seed=0))
            sample -= sample.mean(axis=0) if len(sample) else 0.0
            covariance = (sample.T @ sample) / np.float32(max(len(sample), 1))
            self._drawn = total, covariance
        # The variance of q.x is q C q. Not by BLAS: its threads cost more than so small a product, and
        # many times more while others search.
        variance = [float(((covariance * query).sum(axis=1) * query).sum()) for query in queries]
        return np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)

    def grow(self) -> None:
        """Change the kind of index when the collection has outgrown it."""
        if self.settling is not None:
            self.index = self.settling.grown(self.index)

    def _encode(self, pids: IntArray) -> FloatArray:
        """Return the vectors of passages, made again from their texts."""
        texts: Sequence[str] = self._store.passage_texts(pids)
        return self._encoder.encode(texts)
