"""The connections to one SQLite database: one that writes, and one a thread that reads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from retriever.errors import ClosedError
from retriever.store.database import connect, prepare, reported


class _Reader:
    """A thread's connection; it goes with the thread."""

    def __init__(self, path: Path) -> None:
        self.connection = connect(path)

    def __del__(self) -> None:
        with suppress(AttributeError):  # where connecting failed
            self.connection.close()


class Connections:
    """A database that one thread at a time changes while any number read.

    :param path: the database file, made if absent; None keeps everything in memory.
    :raises CorruptCollectionError: if the file is no database of this project.
    :raises CollectionVersionError: if another version wrote it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._closed = False
        self._local = threading.local()
        self._readers: WeakSet[_Reader] = WeakSet()
        self._lock = threading.RLock()
        with reported(path):
            self._writer = connect(path)
            prepare(self._writer, path)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection; the memory database has only one, so it is lent under a lock."""
        self._check_open()
        if self.path is None:
            with self._lock:
                yield self._writer
            return
        reader: _Reader | None = getattr(self._local, "reader", None)
        with reported(self.path):
            if reader is None:
                reader = self._local.reader = _Reader(self.path)
                with self._lock:
                    self._readers.add(reader)
            yield reader.connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Make one transaction of what is done inside."""
        self._check_open()
        with self._lock, reported(self.path):
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def vacuum(self) -> None:
        """Give free pages back."""
        with self._lock, reported(self.path):
            self._writer.execute("VACUUM")
            self.checkpoint()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database, as far as no reader needs it."""
        if self.path is not None:
            with self._lock, reported(self.path):
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def copy_to(self, path: Path) -> None:
        """Write a copy of the whole database to a new file."""
        with self.reading() as connection, reported(path):
            target = sqlite3.connect(path)
            try:
                connection.backup(target)
                target.execute("PRAGMA journal_mode = WAL")
            finally:
                target.close()

    def close(self) -> None:
        """Close every connection; closing twice is harmless."""
        with self._lock:
            self._closed = True
            for connection in [*(reader.connection for reader in self._readers), self._writer]:
                connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the collection is closed; open it again with Retriever.open(path)")
