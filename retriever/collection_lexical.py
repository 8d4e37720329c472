"""The lexical half of a collection: a BM25 index that follows the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from retriever.errors import RetrieverError
from retriever.lexical.bm25_index import BM25Index
from retriever.read_write_lock import ReadWriteLock
from retriever.store.document_store import DocumentStore
from retriever.store.manifest import IndexState, read_state, write_atomically
from retriever.store.records import Change

LEXICAL = "lexical"
_REPLAYED = 2048  # passages read at once when the index is behind
_COMMIT_CHANGES = 1000  # passages; a commit takes tens of milliseconds however few
_COMMIT_SECONDS = 1.0  # until other processes see a change


class CollectionLexical:
    """A BM25 index, the number of the last change it contains, and whether that is committed.

    :param store: the source of truth.
    :param folder: the collection's, or None for memory.
    :param lock: held by searches, and by whoever changes what they see.
    :param writing: held by the collection's writer.
    """

    def __init__(
        self, store: DocumentStore, folder: Path | None, lock: ReadWriteLock, writing: threading.RLock
    ) -> None:
        self._store, self._folder = store, folder
        self._lock, self._writing = lock, writing
        self._timer: threading.Timer | None = None
        self._stopped = False
        self.index = BM25Index(None if folder is None else folder / LEXICAL)
        self.seq = self._noted_seq()
        self.uncommitted = False
        self._committed_at = 0.0

    @property
    def unseen(self) -> bool:
        """Whether there are changes that BM25 shows only after a commit."""
        return self.uncommitted and not self.index.visible

    def see_others(self) -> None:
        """Note how far another process has brought the index."""
        seq = self._noted_seq()
        # The state is written after the commit, so what is read now holds at least as much.
        self.index.reload()
        self.seq = seq

    def apply(self, change: Change, stems: Sequence[str]) -> None:
        """Bring the index up to a change.

        :param stems: of the passages that were added, see `BM25Index.stem`.
        """
        self.uncommitted = True
        self.index.remove(change.removed)
        self.index.add_stemmed(change.added, stems)
        self.seq = change.seq

    def fall_back(self) -> None:
        """Forget all that is not committed."""
        self.index.close()
        self.index.reload()
        self.uncommitted = False
        self.seq = self._noted_seq()

    def strays(self) -> bool:
        """Whether the index, brought up to the store's last change, holds another number of passages."""
        return not self.uncommitted and len(self.index) != self._store.count_passages()

    def replay(self, seq: int, *, anew: bool = False) -> int:
        """Bring the index up to what the store holds; return how many passages were read.

        :param seq: the store's last change.
        :param anew: make all of it again.
        """
        if anew or 0 < self.seq < self._store.forgotten_seq:
            # What was removed is no longer known.
            self.index.clear()
            self.seq = 0
        self.index.remove(self._store.removed_since(self.seq))
        replayed = 0
        for batch in self._store.passages_since(self.seq, batch=_REPLAYED):
            pids = np.asarray([passage.pid for passage in batch], dtype=np.int64)
            self.index.remove(pids)
            self.index.add(pids, [passage.searched for passage in batch])
            replayed += len(batch)
        self.seq = seq
        self.uncommitted = True
        return replayed

    def commit(self) -> None:
        """Make the changes durable and visible, then note how far the index has come."""
        self.index.commit()
        self._committed()

    def commit_all(self) -> None:
        """Commit what is not committed yet, as soon as no search goes on."""
        if self.uncommitted:
            with self._lock.writing():
                self.commit()

    @property
    def waiting(self) -> bool:
        """Whether there are changes that other processes do not see yet."""
        return self._folder is not None and self.uncommitted

    def commit_in_time(self) -> None:
        """Commit when it is time; otherwise see to it that it is done soon. For the writer."""
        if not self.waiting:
            return
        enough = self.index.uncommitted >= _COMMIT_CHANGES
        late = time.monotonic() - self._committed_at >= _COMMIT_SECONDS
        if self.index.visible and (enough or late):
            self._take_in()
        elif self._timer is None:
            self._start_timer()

    def stop_timer(self) -> None:
        """Commit no more unless asked to: what is not committed by the end is dropped and made again."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(_COMMIT_SECONDS, self._commit_at_rest, [self.seq])
        self._timer.daemon = True
        self._timer.start()

    def _commit_at_rest(self, seen: int) -> None:
        """Let other processes see the last changes of a writer that has gone quiet since `seen`."""
        with self._writing:
            self._timer = None
            if self._stopped or not self.waiting:  # whoever closed or handed over has committed
                return
            if self.seq > seen:
                self._start_timer()
            else:
                with suppress(RetrieverError, OSError):  # a full disk is reported by the next write
                    self._take_in()

    def _take_in(self) -> None:
        """Commit what waits, while searches go on."""
        self.index.write()
        with self._lock.writing():
            self.index.reload()
            self._committed()

    def _committed(self) -> None:
        self.uncommitted = False
        self._committed_at = time.monotonic()
        if self._folder is not None:
            state = IndexState(seq=self.seq)
            write_atomically(self._folder / f"{LEXICAL}.json", state.model_dump_json().encode())

    def _noted_seq(self) -> int:
        """The last change that the committed index contains."""
        state = None if self._folder is None else read_state(self._folder / f"{LEXICAL}.json")
        return 0 if state is None else state.seq
