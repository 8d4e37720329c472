"""A collection seen through the leading dimensions of its vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from retriever.collection import Collection
from retriever.collection_vectors import CollectionVectors
from retriever.errors import InvalidInputError
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
        self.encoder = whole.encoder.truncate(dimensions)
        self.store = whole.store
        self.config = whole.config
        self._lexical = whole._lexical
        self._vectors = None
        if whole.config.dense:
            self._vectors = CollectionVectors(self.store, self.config, self.encoder, settles=False)
        self._closed = False
        self._lock = ReadWriteLock()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep writers out of the whole collection, and follow it first."""
        with self._whole.reading():
            seq = self.store.seq
            if self._vectors is not None and self._vectors.seq < seq:
                with self._lock.writing():
                    if self._vectors.seq < seq:
                        self._vectors.replay(seq)
            with self._lock.reading():
                yield

    def close(self) -> None:
        """Let go of the vectors; the whole collection stays open."""
        self._vectors = None
