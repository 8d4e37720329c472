"""A collection seen through the leading dimensions of its vectors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from retriever.collection import Collection
from retriever.errors import InvalidInputError
from retriever.index.flat import FlatIndex
from retriever.read_write_lock import ReadWriteLock

_MOST_PASSAGES = 250_000  # encoding them again takes seconds; beyond that a request should not wait for it


class NarrowedCollection(Collection):
    """A read-only view whose vectors keep only their leading dimensions (Matryoshka).

    Documents and BM25 are the whole collection's own. The vectors are made from the texts when first needed,
    kept in memory, searched exactly, and follow every change.

    :param whole: the collection; it stays open as long as the view is used.
    :param dimensions: how many dimensions are kept.
    :raises InvalidInputError: if there are fewer dimensions, or too many passages to encode at once.
    """

    def __init__(self, whole: Collection, dimensions: int) -> None:
        # Not Collection's: the view owns neither a store nor a lock on a folder.
        if whole.store.count_passages() > _MOST_PASSAGES:
            raise InvalidInputError(
                f"dimensions can be chosen for each search up to {_MOST_PASSAGES:,} passages; "
                f"build a collection with RetrieverConfig(dimensions={dimensions}) for more"
            )
        self._whole = whole
        self.path = None
        self.config = whole.config
        self.encoder = whole.encoder.truncate(dimensions)
        self.store = whole.store
        self.lexical = whole.lexical
        self.vectors = FlatIndex(dimensions) if whole.config.dense else None
        self.recovered = self._unpersisted = self._seq = self._vector_seq = 0
        self._closed = False
        self._lock = ReadWriteLock()
        self._writing = threading.RLock()
        self._sample = 0, np.empty((0, dimensions), dtype=np.float32)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep writers out of the whole collection, and follow it first."""
        with self._whole.reading():
            self.lexical = self._whole.lexical
            seq = self.store.seq
            if self.vectors is not None and self._vector_seq < seq:
                with self._lock.writing():
                    if self._vector_seq < seq:
                        self._seq = seq
                        self._replay_vectors(self.vectors)
            with self._lock.reading():
                yield

    def close(self) -> None:
        """Let go of the vectors; the whole collection stays open."""
        self.vectors = None
