"""Which process may write to a collection: one at a time, and none unnoticed."""

from __future__ import annotations

import threading
from pathlib import Path

from filelock import FileLock, Timeout

from retriever.errors import CollectionLockedError
from retriever.store.seal import break_seal, write_seal

_LOCK = "lock"


class WriterLock:
    """A lock on a collection's folder. Taking it breaks the seal; a process that dies gives it back.

    :param path: the folder; None for a collection in memory, which no other process can write to.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock: FileLock | None = None
        self._taking = threading.Lock()  # two threads that take it at once are one process

    @property
    def held(self) -> bool:
        """Whether this process may write."""
        return self._path is None or self._lock is not None

    def take(self, *, wait: float = 0.0) -> bool:
        """Take the lock unless another process holds it; tell whether it is held now.

        :param wait: seconds that the other process is given to let go of it.
        """
        # Who has no time does not wait for a thread that waits for another process either.
        if not self._taking.acquire(blocking=wait > 0):
            return False
        try:
            if self._path is None or self._lock is not None:
                return True
            lock = FileLock(self._path / _LOCK, thread_local=False)
            try:
                lock.acquire(timeout=wait)
            except Timeout:
                return False
            break_seal(self._path)
            self._lock = lock
            return True
        finally:
            self._taking.release()

    def refused(self) -> CollectionLockedError:
        """Return the error of who needs the lock and cannot have it."""
        return CollectionLockedError(
            f"another process is writing to {self._path}; wait for it to finish or close it there"
        )

    def release(self, *, seal: bool = False) -> None:
        """Give the lock back, so that another process may write; harmless where it is not held.

        :param seal: the files are as they are to be found: seal them first.
        """
        if self._lock is None:
            return
        try:
            if seal and self._path is not None:
                write_seal(self._path)
        finally:
            self._lock.release()
            self._lock = None
