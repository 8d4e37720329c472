"""The write side: the store, and the two indexes that are derived from it and follow it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.collection_folder import PASSAGES, check_not_ahead, checked_folder, clear_folder, make_folder
from retriever.collection_info import CollectionInfo, collection_info
from retriever.collection_lexical import LEXICAL, CollectionLexical
from retriever.collection_vectors import VECTORS, CollectionVectors
from retriever.config import RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.errors import ClosedError
from retriever.index.protocol import VectorIndex
from retriever.lexical.bm25_index import BM25Index
from retriever.preparation import BATCH, Preparation, Prepared, select
from retriever.read_write_lock import ReadWriteLock
from retriever.store.database import DATABASE
from retriever.store.derived_files import read_derived, write_derived
from retriever.store.document_store import DocumentStore
from retriever.store.following import Follower, change_with_followers
from retriever.store.passage_table import PassageTable
from retriever.store.records import StoredDocument
from retriever.store.seal import break_seal
from retriever.store.source_table import ReadFile
from retriever.store.writer_lock import WriterLock
from retriever.types import Filter, WriteSummary
from retriever.write_stream import write_stream

Progress = Callable[[int, int | None], None]
"""Called with the number of documents done and, where known, of all."""

FloatArray = NDArray[np.float32]

_PERSIST_EVERY = 300_000  # passages; replaying that many after a crash takes some ten seconds
_WAIT_FOR_READERS = 1.0  # seconds; who opens a collection that was not closed in peace looks it over first
_INDEX_FIELDS_FROM = 20_000  # passages; before that, a filter reads all metadata in a few milliseconds


class Collection:
    """Documents with the indexes derived from them, in memory or in a folder.

    The store is the source of truth. Each index remembers the number of the last change it contains;
    `follow` replays what it missed, after a crash or an interrupted write alike.

    :param path: the folder, or None for memory.
    :param config: how it is built and searched.
    :param encoder: makes the vectors.
    """

    def __init__(self, path: Path | None, config: RetrieverConfig, encoder: StaticEncoder) -> None:
        self.path = path
        self.config = config
        self.encoder = encoder
        self.recovered = 0
        self._lock = ReadWriteLock()
        self._writing = threading.RLock()
        self._writer = WriterLock(path)
        self._closed = False
        self.store = DocumentStore(None if path is None else path / DATABASE)
        self._vectors = CollectionVectors(self.store, config, encoder) if config.dense else None
        self._lexical: CollectionLexical | None = None
        self._seq = self._persisted_seq = self._unpersisted = 0
        self._filtered_fields: list[str] = []
        try:
            self._load()
            stem = None if self.lexical is None else self.lexical.stem
            self._preparation = Preparation(config, encoder, stem)
        except BaseException:
            self.store.close()
            raise

    @classmethod
    def create(cls, path: Path | None, config: RetrieverConfig, encoder: StaticEncoder) -> Collection:
        """Make a new, empty collection.

        :raises CollectionExistsError: if the folder holds something already.
        """
        if path is not None:
            path = path.absolute()  # the process may go elsewhere
            make_folder(path, config, encoder)
        return cls(path, config, encoder)

    @classmethod
    def open(cls, path: Path, encoder: Callable[[RetrieverConfig], StaticEncoder]) -> Collection:
        """Open a collection and replay what its indexes missed.

        :param encoder: makes the encoder that a configuration asks for.
        :raises CollectionError: if it is absent, damaged or newer than this version.
        :raises ConfigError: if the encoder is not the one it was built with.
        """
        path = path.absolute()
        config, made, sealed = checked_folder(path, encoder)
        collection = cls(path, config, made)
        try:
            collection.follow()
            collection._repair_strays()
            if (collection.recovered or not sealed) and collection._try_become_writer():
                collection.persist()
                collection._release_lexical()
                collection.store.checkpoint()
                collection._writer.release(seal=True)
            else:
                collection.recovered = 0  # another process is at work: it has not written everything yet
        except BaseException:
            collection.stop_writing()
            collection.store.close()
            raise
        return collection

    @classmethod
    def rebuild(cls, path: Path, config: RetrieverConfig, encoder: StaticEncoder) -> Collection:
        """Throw away everything derived and make it again from the documents, with any encoder.

        :raises CorruptCollectionError: if the documents themselves are damaged.
        :raises CollectionLockedError: if another process is writing.
        """
        clear_folder(path, config, encoder)
        collection = cls.open(path, lambda _: encoder)
        collection.settle()
        collection.persist()
        return collection

    # Reading

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep writers out and let every change made so far be seen."""
        self._check_open()
        if self._unseen() or self._behind() or self._others_wrote():
            self.follow()
        with self._lock.reading():
            self._check_open()
            yield

    @property
    def vectors(self) -> VectorIndex | None:
        """The vector index; None where the dense half is off."""
        return None if self._vectors is None else self._vectors.index

    @property
    def lexical(self) -> BM25Index | None:
        """The BM25 index; None where the lexical half is off."""
        return None if self._lexical is None else self._lexical.index

    def dense_spread(self, queries: FloatArray) -> FloatArray:
        """Return the standard deviation of each query's similarities over the collection, shape (m,)."""
        if self._vectors is None:
            return np.zeros(len(queries), dtype=np.float32)
        return self._vectors.spread(queries)

    def info(self) -> CollectionInfo:
        """Return what the collection holds and how its vectors are searched."""
        with self.reading():
            return collection_info(self.store, self.encoder, self._vectors, changes=self._seq)

    def _behind(self) -> bool:
        """Tell whether a write was interrupted between the store and an index."""
        return any(half is not None and half.seq < self._seq for half in (self._vectors, self._lexical))

    def _unseen(self) -> bool:
        """Tell whether there are changes that BM25 shows only after a commit."""
        return self._lexical is not None and self._lexical.unseen

    def _others_wrote(self) -> bool:
        """Tell whether another process has changed the store since this one looked."""
        return not self._writer.held and self.store.seq != self._seq

    def _see_others(self) -> None:
        """Note how far other processes have brought the store and the lexical index."""
        self._seq = self.store.refresh()
        if self.path is not None and self._lexical is not None:
            self._lexical.see_others()

    # Writing

    def write(
        self,
        docs: Iterable[StoredDocument],
        *,
        replace: bool,
        total: int | None = None,
        progress: Progress | None = None,
    ) -> WriteSummary:
        """Write documents in batches, each one transaction.

        While one batch is written, the next is encoded and the one after it read.

        :param replace: whether a document whose id exists is replaced; otherwise that is an error.
        :return: what was done.
        :raises DuplicateIdError: if an id is given twice, or exists and may not be replaced.
        """
        self._check_open()
        self._become_writer()
        progress = progress or (lambda done, total: None)
        if total is not None and total <= BATCH:
            summary = self._write_prepared(self._prepare(list(docs), (), replace=replace), replace=replace)
            progress(total, total)
        else:
            summary = write_stream(
                docs,
                prepare=lambda batch, unwritten: self._prepare(batch, unwritten, replace=replace),
                write=lambda batch: self._write_prepared(batch, replace=replace),
                done=lambda count: progress(count, total),
            )
        self.settle()
        return summary

    def check_new(self, docs: Sequence[StoredDocument]) -> None:
        """Raise DuplicateIdError if any id is given twice or exists, before anything is written."""
        self._check_open()
        select(docs, self.store.digests([doc.id for doc in docs]), replace=False)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents in one transaction; return how many there were."""
        self._check_open()
        self._become_writer()
        with self._writing:
            return self._delete(ids)

    def delete_matching(self, filter: Filter) -> int:
        """Delete the documents that pass a filter in one transaction; return how many there were.

        :raises FilterError: if the filter is malformed.
        """
        self._check_open()
        self._become_writer()
        with self._writing:
            return self._delete(self.store.matching_ids(filter))

    def _delete(self, ids: Sequence[str]) -> int:
        found = list(self.store.digests(ids))
        if found:
            with self._lock.writing():
                self._change(Prepared.nothing(self.encoder.dimensions), remove=found)
            if self._lexical is not None:
                self._lexical.commit_in_time()
        return len(found)

    def note_sources(self, files: Iterable[ReadFile]) -> None:
        """Remember which documents are of which file."""
        self._check_open()
        self._become_writer()
        self.store.sources.note(files)

    def forget_source(self, path: str) -> None:
        """Forget a file; its documents stay."""
        self._check_open()
        self._become_writer()
        self.store.sources.forget(path)

    def _prepare(
        self, docs: Sequence[StoredDocument], unwritten: Sequence[set[str]], *, replace: bool
    ) -> Prepared:
        """Split and encode; what is there already as given, and will stay so, is left out before that."""
        left = docs
        if replace:
            settled = [doc.id for doc in docs if not any(doc.id in ids for ids in unwritten)]
            left = select(docs, self.store.digests(settled), replace=True)
        return self._preparation.prepare(left, given=len(docs))

    def _write_prepared(self, batch: Prepared, *, replace: bool) -> WriteSummary:
        """Change the store and both indexes at once."""
        with self._writing:
            existing = self.store.digests([doc.id for doc in batch.documents])
            batch_left = batch.only(select(batch.documents, existing, replace=replace))
            documents = batch_left.documents
            if documents:
                with self._lock.writing():
                    self._change(batch_left, [doc.id for doc in documents if doc.id in existing])
                self._unpersisted += batch_left.passages
                if self._lexical is not None:
                    self._lexical.commit_in_time()
                self._persist_in_time()
        updated = sum(doc.id in existing for doc in documents)
        return WriteSummary(len(documents) - updated, updated, batch.given - len(documents))

    def _change(self, documents: Prepared, remove: Sequence[str]) -> None:
        """Change the store and both indexes; what a failure leaves out is made good by `follow`."""
        vectors, lexical = self._vectors, self._lexical
        followers: list[Follower] = []
        if vectors is not None:
            followers.append(lambda change: vectors.apply(change, documents.vectors))
        if lexical is not None:
            followers.append(lambda change: lexical.apply(change, documents.stems))
        try:
            change_with_followers(
                self.store, followers, insert=documents.documents, remove=remove, undo=self._fall_back
            )
        finally:
            self._seq = self.store.known_seq
        if vectors is not None:
            vectors.grow()

    def _fall_back(self) -> None:
        """Let both indexes forget what the store did not take: to what is on disk, from where they follow."""
        if self._vectors is not None:
            self._vectors = CollectionVectors(self.store, self.config, self.encoder)
            if self.path is not None:
                self._vectors.load(self.path)
        if self._lexical is not None:
            self._lexical.fall_back()

    def settle(self) -> None:
        """Tune the vector index, and index metadata fields, when the collection has grown enough for that."""
        unindexed = not self._filtered_fields and self.store.count_passages() >= _INDEX_FIELDS_FROM
        with self._writing, ThreadPoolExecutor(1) as beside:
            # SQLite sorts a column on one thread for seconds.
            fields = beside.submit(self.store.index_fields) if unindexed else None
            if self._vectors is not None:
                with self._lock.writing():
                    changed = self._vectors.settle()
                if changed:
                    self._persisted_seq = min(self._persisted_seq, self._seq - 1)
            if fields is not None:
                self._filtered_fields = fields.result() or [""]

    def compact(self) -> None:
        """Close the gaps that changes left, and give the space back."""
        self._check_open()
        self._become_writer()
        with self._writing:
            self.follow()
            with self._lock.writing():
                if self.vectors is not None:
                    self.vectors.compact()
                    self._persisted_seq = min(self._persisted_seq, self._seq - 1)
            self.settle()
            self.persist()
            with self._lock.writing():
                self.store.forget_removals()
            if self.lexical is not None:
                self.lexical.collect_garbage()

    # Following the store

    def follow(self) -> None:
        """Replay the changes that an index missed, and make all of them visible."""
        with self._lock.writing():
            if not self._writer.held:
                self._see_others()
            if self._vectors is not None and self._vectors.seq < self._seq:
                replayed = self._vectors.replay(self._seq)
                self.recovered += replayed
                self._unpersisted += replayed
            if self._lexical is not None and self._lexical.seq < self._seq:
                self._repair_lexical(self._lexical)
            if self._lexical is not None and self._lexical.unseen:
                self._lexical.commit()

    def _repair_lexical(self, lexical: CollectionLexical, *, anew: bool = False) -> None:
        """Replay what a writer that is gone left undone; one that is at work will do it itself."""
        if not self._writing.acquire(blocking=False):
            return  # a writer of this process will do it
        try:
            held = self._writer.held
            if not (held or self._try_become_writer()):
                return
            if anew or lexical.seq < self._seq:
                self.recovered = max(self.recovered, lexical.replay(self._seq, anew=anew))
                lexical.commit()
            if not held:
                self.stop_writing()
        finally:
            self._writing.release()

    def _repair_strays(self) -> None:
        """Make BM25's index again where a killed writer left passages in it that the store no longer has."""
        lexical = self._lexical
        if lexical is None or lexical.seq != self._seq or not lexical.strays():
            return
        with self._lock.writing():
            self._repair_lexical(lexical, anew=True)

    def _load(self) -> None:
        """Read what is derived as far as it was written."""
        if self.path is not None and (found := read_derived(self.path, PASSAGES)) is not None:
            check_not_ahead(self.path, PASSAGES, found[0].seq, self.store)
            self.store.passages, self.store.known_seq = PassageTable.load(found[1]), found[0].seq
        self._seq = self.store.refresh()
        if self._vectors is not None and self.path is not None:
            self._vectors.load(self.path)
            self._persisted_seq = self._vectors.seq
            check_not_ahead(self.path, VECTORS, self._vectors.seq, self.store)
        if self.config.lexical:
            self._lexical = CollectionLexical(self.store, self.path, self._lock, self._writing)
            check_not_ahead(self.path, LEXICAL, self._lexical.seq, self.store)

    # Life

    def persist(self) -> None:
        """Write the derived indexes to the folder, so that the next open has nothing to replay."""
        self._check_open()
        if self.path is None or not self._take_writing():
            return
        if self._behind():
            self.follow()
        with self._writing, ThreadPoolExecutor(1) as beside:
            committed = None if self._lexical is None else beside.submit(self._lexical.commit_all)
            if self._persisted_seq < self._seq:
                self._write_derived(self.path)
                self._persisted_seq, self._unpersisted = self._seq, 0
            if committed is not None:
                committed.result()

    def _persist_in_time(self) -> None:
        if self.path is not None and self._unpersisted >= max(
            _PERSIST_EVERY, self.store.count_passages() // 2
        ):
            self.persist()

    def _write_derived(self, folder: Path) -> None:
        """Write the table of passages and the vectors."""
        write_derived(folder, PASSAGES, ".npy", self.store.known_seq, self.store.passages.save)
        if self._vectors is not None:
            self._vectors.save(folder)

    def save(self, path: Path) -> None:
        """Write a complete copy to a new folder."""
        self._check_open()
        path = path.absolute()
        with self.reading():
            target = Collection.create(path, self.config, self.encoder)
            target.close()
            (path / DATABASE).unlink()
            break_seal(path)
            self.store.copy_to(path / DATABASE)
            self._write_derived(path)
        copy = Collection.open(path, lambda _: self.encoder)
        copy._become_writer()
        copy.close()

    def close(self) -> None:
        """Persist, close and give the lock back; closing twice is harmless."""
        if self._closed:
            return
        if self._lexical is not None:
            self._lexical.stop_timer()
        try:
            if self._writer.held:
                self.persist()
        finally:
            with self._writing, self._lock.writing():
                self._closed = True
                self._release_lexical()
                if self._writer.held:
                    self.store.checkpoint()
                self.store.close()
                self._writer.release(seal=True)

    def hand_over(self) -> None:
        """Make all changes visible to other processes and let them write."""
        with self._writing:
            if self.path is not None and self._writer.held:
                self.follow()
                if self._lexical is not None:
                    self._lexical.commit_all()
                with self._lock.writing():
                    self.stop_writing()

    def stop_writing(self) -> None:
        """Give back the locks, so that another process may write."""
        self._release_lexical()
        self._writer.release()

    def _release_lexical(self) -> None:
        if self.lexical is not None:
            self.lexical.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collection is closed; open it again with Retriever.open(path)")

    def _become_writer(self) -> None:
        """Take the lock that one process holds at a time."""
        if not self._take_writing(wait=_WAIT_FOR_READERS):
            raise self._writer.refused()
        if self._behind():
            self.follow()

    def _take_writing(self, *, wait: float = 0.0) -> bool:
        """Become the writer; return whether that was possible."""
        # Under this lock, because a repair holds the other for a moment, too.
        with self._writing:
            if self._writer.held:
                return True
            if not self._writer.take(wait=wait):
                return False
            with self._lock.writing():
                return self._try_become_writer()

    def _try_become_writer(self) -> bool:
        """Become the writer where nobody searches; a repair may have given back what was held before."""
        taken = self._writer.take()
        if taken:
            self._see_others()
        return taken
