"""The write side: the store, and the two indexes that are derived from it and follow it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from retriever.config import RetrieverConfig
from retriever.documents import metadata_json
from retriever.encoder import StaticEncoder
from retriever.errors import (
    ClosedError,
    CollectionExistsError,
    CollectionLockedError,
    ConfigError,
    CorruptCollectionError,
    DuplicateIdError,
)
from retriever.index.flat import FlatIndex
from retriever.index.protocol import VectorIndex
from retriever.ingest.splitting import Splitter
from retriever.lexical.bm25_index import BM25Index
from retriever.read_write_lock import ReadWriteLock
from retriever.store.content_id import content_digest, content_id
from retriever.store.document_store import Change, DocumentStore, StoredDocument
from retriever.store.manifest import (
    FORMAT_VERSION,
    IndexState,
    Manifest,
    disk_error,
    file_digest,
    read_manifest,
    read_state,
    write_atomically,
    write_manifest,
)
from retriever.types import Document, WriteSummary

Progress = Callable[[int, int | None], None]
"""Called with the number of documents done and, where known, of all."""

FloatArray = NDArray[np.float32]

_DATABASE, _VECTORS, _LEXICAL, _LOCK = "documents.sqlite", "vectors", "lexical", "lock"
_BATCH = (
    2048  # documents a transaction: large enough to fill the encoder's threads, small enough to lose little
)
_BATCH_SECONDS = 2.0  # what a stopped process loses of documents that are slow to read, such as PDF
_SAMPLE = 2048  # passages; leaves 1.6 % of error on a standard deviation
_PERSIST_EVERY = 100_000  # passages; replaying that many after a crash takes seconds


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
        self._file_lock: FileLock | None = None
        self._closed = False
        self._splitter = Splitter(
            encoder.tokenizer,
            passage_tokens=config.passage_tokens,
            overlap=config.passage_overlap,
            count=lambda text: int(encoder.count_tokens([text])[0]),
        )
        self.store = DocumentStore(None if path is None else path / _DATABASE)
        self.vectors: VectorIndex | None = None
        self.lexical: BM25Index | None = None
        self._vector_seq = self._lexical_seq = 0
        self._persisted_seq = self._unpersisted = 0
        self._uncommitted = False
        self._sample: tuple[int, FloatArray] = 0, np.empty((0, encoder.dimensions), dtype=np.float32)
        try:
            self._load_indexes()
        except BaseException:
            self.store.close()
            raise

    @classmethod
    def create(cls, path: Path | None, config: RetrieverConfig, encoder: StaticEncoder) -> Collection:
        """Make a new, empty collection.

        :raises CollectionExistsError: if the folder holds something already.
        """
        if path is not None:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise CollectionExistsError(
                    f"{path} exists and is not empty; open it with Retriever.open({str(path)!r}) and upsert, "
                    "or choose another folder"
                )
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(path, error) from error
            write_manifest(path, Manifest(format=FORMAT_VERSION, config=config, encoder=encoder.fingerprint))
        return cls(path, config, encoder)

    @classmethod
    def open(cls, path: Path, encoder: Callable[[RetrieverConfig], StaticEncoder]) -> Collection:
        """Open a collection and replay what its indexes missed.

        :param encoder: makes the encoder that a configuration asks for.
        :raises CollectionError: if it is absent, damaged or newer than this version.
        :raises ConfigError: if the encoder is not the one it was built with.
        """
        manifest = read_manifest(path)
        made = encoder(manifest.config)
        if made.fingerprint != manifest.encoder:
            raise ConfigError(
                f"{path} was built with another encoder ({manifest.encoder}, not {made.fingerprint}); "
                "give that encoder, or build the collection again"
            )
        collection = cls(path, manifest.config, made)
        collection.follow()
        if collection.recovered:
            collection.persist()
            collection.stop_writing()
        return collection

    # Reading

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep writers out and let every change made so far be seen."""
        self._check_open()
        if self._uncommitted or self._behind() or self._others_wrote():
            self.follow()
        with self._lock.reading():
            self._check_open()
            yield

    def dense_spread(self, queries: FloatArray) -> FloatArray:
        """Return the standard deviation of each query's similarities over the collection.

        Taken over a fixed sample of passages, which is drawn again when the collection has doubled or halved.

        :param queries: query vectors, shape (m, d).
        :return: shape (m,).
        """
        total = self.store.count_passages()
        drawn_at, sample = self._sample
        if not drawn_at / 2 < total < drawn_at * 2:
            passages = self.store.sample(_SAMPLE, seed=0)
            sample = self.encoder.encode([f"{p.title} {p.text}".strip() for p in passages])
            self._sample = total, sample
        spread: FloatArray = (queries @ sample.T).std(axis=1)
        return spread

    def _behind(self) -> bool:
        """Tell whether a write was interrupted between the store and an index."""
        wanted = self._seq
        return (self.vectors is not None and self._vector_seq < wanted) or (
            self.lexical is not None and self._lexical_seq < wanted
        )

    def _others_wrote(self) -> bool:
        """Tell whether another process has changed the store since this one looked."""
        return self.path is not None and self._file_lock is None and self.store.seq != self._seq

    def _see_others(self) -> None:
        """Note how far other processes have brought the store and the lexical index."""
        self._seq = self.store.seq
        if self.path is None or self.lexical is None:
            return
        state = read_state(self.path / f"{_LEXICAL}.json")
        # The state is written after the commit, so what is read now holds at least as much.
        self.lexical.reload()
        self._lexical_seq = 0 if state is None else state.seq

    # Writing

    def write(
        self,
        docs: Iterable[Document],
        *,
        replace: bool,
        total: int | None = None,
        progress: Progress | None = None,
    ) -> WriteSummary:
        """Write documents in batches, each one transaction.

        :param replace: whether a document whose id exists is replaced; otherwise that is an error.
        :return: what was done.
        :raises DuplicateIdError: if an id is given twice, or exists and may not be replaced.
        """
        self._check_open()
        self._become_writer()
        summary, done = WriteSummary(), 0
        for batch in _batches(docs):
            with self._writing:
                summary += self._write_batch(batch, replace=replace)
            done += len(batch)
            if progress is not None:
                progress(done, total)
        return summary

    def check_new(self, docs: Sequence[Document]) -> None:
        """Raise DuplicateIdError if any id is given twice or exists, before anything is written."""
        self._check_open()
        stored = [self._stored(doc, ()) for doc in docs]
        self._select(stored, replace=False)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents in one transaction; return how many there were."""
        self._check_open()
        self._become_writer()
        with self._writing, self._lock.writing():
            before = self.store.count_documents()
            change = self.store.apply(remove=ids)
            self._seq = change.seq
            self._apply(change, np.empty((0, self.encoder.dimensions), dtype=np.float32), [])
            return before - self.store.count_documents()

    def _write_batch(self, docs: Sequence[Document], *, replace: bool) -> WriteSummary:
        """Write one batch: encode outside the lock, then change everything at once inside it."""
        chosen, existing = self._select([self._stored(doc, ()) for doc in docs], replace=replace)
        unchanged = len(docs) - len(chosen)
        if not chosen:
            return WriteSummary(unchanged=unchanged)
        chosen = self._split(chosen)
        texts = [f"{doc.title} {doc.text[start:stop]}".strip() for doc in chosen for start, stop in doc.spans]
        vectors = (
            self.encoder.encode(texts) if self.vectors is not None else np.empty((0, 0), dtype=np.float32)
        )
        replaced = [doc.id for doc in chosen if doc.id in existing]
        with self._lock.writing():
            change = self.store.apply(insert=chosen, remove=replaced)
            self._seq = change.seq
            self._apply(change, vectors, texts)
        self._unpersisted += len(texts)
        if self.path is not None and self._unpersisted >= max(
            _PERSIST_EVERY, self.store.count_passages() // 4
        ):
            self.persist()
        return WriteSummary(len(chosen) - len(replaced), len(replaced), unchanged)

    def _select(
        self, docs: Sequence[StoredDocument], *, replace: bool
    ) -> tuple[list[StoredDocument], dict[str, bytes]]:
        """Drop what is there already as given; refuse ids that clash."""
        existing = self.store.digests([doc.id for doc in docs])
        chosen: dict[str, StoredDocument] = {}
        for doc in docs:
            # An id made from the content says that the same text came twice, which is no mistake.
            made = doc.id == content_id(doc.title, doc.text)
            before = chosen[doc.id].digest if doc.id in chosen else existing.get(doc.id)
            if before == doc.digest and (made or (replace and doc.id not in chosen)):
                continue
            if doc.id in chosen:
                raise DuplicateIdError(f"the id {doc.id!r} is given to two documents; ids must be unique")
            if doc.id in existing and not replace:
                raise DuplicateIdError(
                    f"a document with the id {doc.id!r} exists already; use upsert to replace it"
                )
            chosen[doc.id] = doc
        return list(chosen.values()), existing

    def _stored(self, doc: Document, spans: tuple[tuple[int, int], ...]) -> StoredDocument:
        metadata = metadata_json(doc)
        digest = content_digest(doc.title, doc.text, metadata)
        return StoredDocument(doc.id, doc.title, doc.text, metadata, digest, spans)

    def _split(self, docs: Sequence[StoredDocument]) -> list[StoredDocument]:
        """Give every document its passages."""
        limit = self.config.passage_tokens
        # A token has at least one character, so most texts need no counting.
        long = [i for i, doc in enumerate(docs) if limit is not None and len(doc.text) > limit]
        counts = dict(
            zip(long, self.encoder.count_tokens([docs[i].text for i in long]).tolist(), strict=True)
        )
        return [
            StoredDocument(
                doc.id,
                doc.title,
                doc.text,
                doc.metadata,
                doc.digest,
                tuple(self._splitter.spans(doc.text, counts.get(i, 0))),
            )
            for i, doc in enumerate(docs)
        ]

    def _apply(self, change: Change, vectors: FloatArray, texts: Sequence[str]) -> None:
        """Bring both indexes up to a change; a failure in between is made good by `follow`."""
        if self.vectors is not None:
            self.vectors.remove(change.removed)
            if len(change.added):
                self.vectors.add(change.added, vectors)
            self._vector_seq = change.seq
        if self.lexical is not None:
            self.lexical.remove(change.removed)
            self.lexical.add(change.added, texts)
            self._uncommitted = True
            self._lexical_seq = change.seq

    # Following the store

    def follow(self) -> None:
        """Replay the changes that an index missed, and make all of them visible."""
        with self._lock.writing():
            if self._file_lock is None and self.path is not None:
                self._see_others()
            if self.vectors is not None and self._vector_seq < self._seq:
                self.recovered += self._replay_vectors(self.vectors)
            if self.lexical is not None and self._lexical_seq < self._seq:
                self._repair_lexical(self.lexical)
            if self._uncommitted:
                self._commit()

    def _repair_lexical(self, lexical: BM25Index) -> None:
        """Replay what a writer that is gone left undone; one that is at work will do it itself."""
        held = self._file_lock is not None
        if not self._try_become_writer():
            return
        if self._lexical_seq < self._seq:
            self.recovered = max(self.recovered, self._replay_lexical(lexical))
            self._commit()
        if not held and self.path is not None:
            self.stop_writing()

    def _commit(self) -> None:
        """Make the lexical index's changes durable and visible, then note how far it has come."""
        if self.lexical is not None:
            self.lexical.commit()
            self._uncommitted = False
            self._write_lexical_state()

    def _replay_vectors(self, vectors: VectorIndex) -> int:
        replayed = 0
        vectors.remove(self.store.removed_since(self._vector_seq))
        for batch in self.store.passages_since(self._vector_seq, batch=_BATCH):
            pids = np.asarray([passage.pid for passage in batch], dtype=np.int64)
            vectors.remove(pids)
            vectors.add(pids, self.encoder.encode([f"{p.title} {p.text}".strip() for p in batch]))
            replayed += len(batch)
        self._vector_seq = self._seq
        self._unpersisted += replayed
        return replayed

    def _replay_lexical(self, lexical: BM25Index) -> int:
        replayed = 0
        lexical.remove(self.store.removed_since(self._lexical_seq))
        for batch in self.store.passages_since(self._lexical_seq, batch=_BATCH):
            pids = np.asarray([passage.pid for passage in batch], dtype=np.int64)
            lexical.remove(pids)
            lexical.add(pids, [f"{p.title} {p.text}".strip() for p in batch])
            replayed += len(batch)
        self._lexical_seq = self._seq
        self._uncommitted = True
        return replayed

    def _load_indexes(self) -> None:
        """Read the derived indexes as far as they were written."""
        self._seq = self.store.seq
        if self.config.dense:
            self.vectors = self._load_vectors()
        if self.config.lexical:
            self.lexical = BM25Index(None if self.path is None else self.path / _LEXICAL)
            state = None if self.path is None else read_state(self.path / f"{_LEXICAL}.json")
            self._lexical_seq = 0 if state is None else state.seq

    def _load_vectors(self) -> VectorIndex:
        if self.path is None or (state := read_state(self.path / f"{_VECTORS}.json")) is None:
            return FlatIndex(self.encoder.dimensions)
        path = self.path / state.file
        remedy = f"delete {self.path / _VECTORS}.json, and the vectors are made again from the documents"
        if not path.is_file():
            raise CorruptCollectionError(f"{path} is missing; {remedy}")
        if path.stat().st_size != state.size or file_digest(path) != state.digest:
            raise CorruptCollectionError(f"{path} is truncated or damaged; {remedy}")
        self._vector_seq = self._persisted_seq = state.seq
        return FlatIndex.load(path, self.encoder.dimensions)

    # Life

    def persist(self) -> None:
        """Write the derived indexes to the folder, so that the next open has nothing to replay."""
        self._check_open()
        if self.path is None or not self._try_become_writer():
            return
        self.follow()
        if self.vectors is not None and self._persisted_seq < self._vector_seq:
            self._write_vectors(self.path, self.vectors)
            self._persisted_seq, self._unpersisted = self._vector_seq, 0

    def _write_vectors(self, folder: Path, vectors: VectorIndex) -> None:
        """Write the vectors under a new name, point the state at it, then drop the old file."""
        name = f"{_VECTORS}-{self._vector_seq}.faiss"
        temporary = folder / f"{name}.tmp"
        try:
            vectors.save(temporary)
            state = IndexState(
                seq=self._vector_seq, file=name, size=temporary.stat().st_size, digest=file_digest(temporary)
            )
            temporary.replace(folder / name)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            raise disk_error(folder / name, error) from error
        write_atomically(folder / f"{_VECTORS}.json", state.model_dump_json().encode())
        for old in folder.glob(f"{_VECTORS}-*.faiss*"):
            if old.name != name:
                old.unlink(missing_ok=True)

    def _write_lexical_state(self) -> None:
        if self.path is not None:
            state = IndexState(seq=self._lexical_seq)
            write_atomically(self.path / f"{_LEXICAL}.json", state.model_dump_json().encode())

    def save(self, path: Path) -> None:
        """Write a complete copy to a new folder."""
        self._check_open()
        with self.reading():
            target = Collection.create(path, self.config, self.encoder)
            target.close()
            (path / _DATABASE).unlink()
            self.store.copy_to(path / _DATABASE)
            if self.vectors is not None:
                self._write_vectors(path, self.vectors)
        copy = Collection.open(path, lambda _: self.encoder)
        copy.close()

    def close(self) -> None:
        """Persist, close and give the lock back; closing twice is harmless."""
        if self._closed:
            return
        try:
            if self._file_lock is not None:
                self.persist()
        finally:
            with self._lock.writing():
                self._closed = True
                self.stop_writing()
                self.store.close()

    def hand_over(self) -> None:
        """Make all changes visible to other processes and let them write."""
        with self._writing:
            if self._file_lock is not None:
                self.follow()
                with self._lock.writing():
                    self.stop_writing()

    def stop_writing(self) -> None:
        """Give back the locks, so that another process may write."""
        if self.lexical is not None:
            self.lexical.close()
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collection is closed; open it again with Retriever.open(path)")

    def _become_writer(self) -> None:
        """Take the collection's lock, which one process holds at a time."""
        if not self._try_become_writer():
            raise CollectionLockedError(
                f"another process is writing to {self.path}; wait for it to finish or close it there"
            )
        if self._behind():
            self.follow()

    def _try_become_writer(self) -> bool:
        if self.path is None or self._file_lock is not None:
            return True
        lock = FileLock(self.path / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._file_lock = lock
        self._see_others()
        return True


def _batches(docs: Iterable[Document]) -> Iterator[list[Document]]:
    """Yield documents by the batch, a smaller one where they come slowly."""
    batch: list[Document] = []
    started = time.monotonic()
    for doc in docs:
        batch.append(doc)
        if len(batch) >= _BATCH or time.monotonic() - started > _BATCH_SECONDS:
            yield batch
            batch, started = [], time.monotonic()
    if batch:
        yield batch
