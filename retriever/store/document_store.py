"""Documents, passages and the history of changes in one SQLite database."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import ClosedError, CollectionVersionError, CorruptCollectionError, StorageFullError
from retriever.store.filters import compile_filter
from retriever.types import Filter

IntArray = NDArray[np.int64]
Span = tuple[int, int]

FORMAT_VERSION = 1
_CHUNK = 10_000  # parameters a statement; SQLite allows 32,766

_PASSAGE = (
    "pid, row, start, stop, title, substr(text, start + 1, stop - start) "
    "FROM passages JOIN documents USING (row)"
)

_SCHEMA = """
-- AUTOINCREMENT: no number is ever used twice, so a derived index can tell old from new.
CREATE TABLE documents (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE passages (
    pid INTEGER PRIMARY KEY AUTOINCREMENT,
    row INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    seq INTEGER NOT NULL
);
CREATE INDEX passages_row ON passages (row);
CREATE TABLE removed (pid INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE state (seq INTEGER NOT NULL);
INSERT INTO state VALUES (0);
"""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as the database keeps it: metadata as JSON text, passages as character spans."""

    id: str
    title: str
    text: str
    metadata: str
    digest: bytes
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with its place: passage id, row of its document, and [start, stop) in characters."""

    pid: int
    row: int
    start: int
    stop: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one transaction did to the passages; what the derived indexes have to follow.

    :param seq: the sequence number of the change.
    :param added: ids of new passages, in the order of the documents given and of their spans.
    :param removed: ids of passages that are gone.
    """

    seq: int
    added: IntArray
    removed: IntArray


class DocumentStore:
    """The source of truth. One writer at a time; readers in any number of threads.

    :param path: the database file, made if absent; None keeps everything in memory.
    :raises CorruptCollectionError: if the file is no database of this project.
    :raises CollectionVersionError: if it was written by a newer version.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._closed = False
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        with _reported(path):
            self._writer = self._connect()
            self._prepare()

    def _connect(self) -> sqlite3.Connection:
        target = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(target, check_same_thread=False, isolation_level=None, timeout=30.0)
        if self._path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL survives a killed process; only a power cut may lose the last changes.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        return connection

    def _prepare(self) -> None:
        """Create the tables in a new database, or check that an old one is ours."""
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT_VERSION:
            raise CollectionVersionError(
                f"{self._path} has format {version}, this version reads up to {FORMAT_VERSION}; "
                "upgrade two-stage-retriever"
            )
        if version == 0:
            self._writer.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;"
            )

    # Reading

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection; the memory database has only one, so it is lent under a lock."""
        if self._closed:
            raise ClosedError("the collection is closed; open it again with Retriever.open(path)")
        if self._path is None:
            with self._lock:
                yield self._writer
            return
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        with _reported(self._path):
            if connection is None:
                connection = self._local.connection = self._connect()
                with self._lock:
                    self._readers.append(connection)
            yield connection

    @property
    def seq(self) -> int:
        """Number of the last committed change; 0 for a new collection."""
        with self._reading() as connection:
            return int(connection.execute("SELECT seq FROM state").fetchone()[0])

    def count_documents(self) -> int:
        """Return the number of documents."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    def count_passages(self) -> int:
        """Return the number of passages."""
        with self._reading() as connection:
            return int(connection.execute("SELECT count(*) FROM passages").fetchone()[0])

    def get(self, id: str) -> tuple[str, str, str] | None:
        """Return (title, text, metadata JSON) of a document, or None."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT title, text, metadata FROM documents WHERE id = ?", (id,)
            ).fetchone()
            return None if found is None else (found[0], found[1], found[2])

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (id, title, text, metadata JSON) of every document in the order of insertion."""
        last = -1
        while True:
            with self._reading() as connection:
                page = connection.execute(
                    "SELECT row, id, title, text, metadata FROM documents WHERE row > ? "
                    "ORDER BY row LIMIT 1000",
                    (last,),
                ).fetchall()
            if not page:
                return
            last = page[-1][0]
            for _, *document in page:
                yield (document[0], document[1], document[2], document[3])

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content digests of those of the ids that exist."""
        return dict(self._select("SELECT id, digest FROM documents WHERE id IN ({})", ids))

    def documents(self, rows: Sequence[int]) -> dict[int, tuple[str, str, str, str]]:
        """Return (id, title, text, metadata JSON) by row; rows deleted meanwhile are missing."""
        query = "SELECT row, id, title, text, metadata FROM documents WHERE row IN ({})"
        return {
            row: (id, title, text, metadata) for row, id, title, text, metadata in self._select(query, rows)
        }

    def spans(self, pids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
        """Return (row, start, stop) by passage id; passages deleted meanwhile are missing."""
        query = "SELECT pid, row, start, stop FROM passages WHERE pid IN ({})"
        return {pid: (row, start, stop) for pid, row, start, stop in self._select(query, pids)}

    def _select(self, query: str, values: Sequence[str] | Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Run a query with an IN list of any length."""
        for start in range(0, len(values), _CHUNK):
            chunk = list(values[start : start + _CHUNK])
            with self._reading() as connection:
                found = connection.execute(query.format(",".join("?" * len(chunk))), chunk).fetchall()
            yield from found

    def sample(self, size: int, *, seed: int) -> list[StoredPassage]:
        """Return about `size` passages drawn at random, the same ones for the same passages and seed."""
        with self._reading() as connection:
            last = connection.execute("SELECT coalesce(max(pid), 0) FROM passages").fetchone()[0]
        drawn = np.random.default_rng(seed).permutation(last)[:size] + 1
        query = f"SELECT {_PASSAGE} WHERE pid IN ({{}})"
        return [StoredPassage(*row) for row in self._select(query, np.sort(drawn).tolist())]

    def matching(self, filter: Filter) -> IntArray:
        """Return the ids of all passages whose document passes a filter, ascending.

        :raises FilterError: if the filter is malformed.
        """
        condition, values = compile_filter(filter)
        query = f"SELECT pid FROM passages JOIN documents USING (row) WHERE {condition} ORDER BY pid"
        with self._reading() as connection:
            return _ids(connection.execute(query, values))

    def passages_since(self, seq: int, *, batch: int) -> Iterator[list[StoredPassage]]:
        """Yield live passages of changes after `seq` in batches, ascending by id."""
        last = -1
        query = f"SELECT {_PASSAGE} WHERE seq > ? AND pid > ? ORDER BY pid LIMIT ?"
        while True:
            with self._reading() as connection:
                page = connection.execute(query, (seq, last, batch)).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield [StoredPassage(*row) for row in page]

    def removed_since(self, seq: int) -> IntArray:
        """Return the ids of passages removed by changes after `seq`."""
        with self._reading() as connection:
            return _ids(connection.execute("SELECT pid FROM removed WHERE seq > ?", (seq,)))

    # Writing

    def apply(self, *, insert: Sequence[StoredDocument] = (), remove: Sequence[str] = ()) -> Change:
        """Remove and insert documents in one transaction; an id in both is replaced in its place.

        :param insert: new documents; their ids must not exist unless they are in `remove`.
        :param remove: ids of documents to remove; ids that do not exist are passed over.
        :return: what changed.
        :raises StorageFullError: if the disk is full; nothing was changed then.
        """
        if self._closed:
            raise ClosedError("the collection is closed; open it again with Retriever.open(path)")
        with self._lock, _reported(self._path):
            connection = self._writer
            connection.execute("BEGIN IMMEDIATE")
            try:
                seq = int(connection.execute("UPDATE state SET seq = seq + 1 RETURNING seq").fetchall()[0][0])
                kept = {document.id for document in insert}
                removed, rows = self._remove(remove, kept, seq)
                added = self._insert(insert, rows, seq)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return Change(seq, added, removed)

    def _remove(self, ids: Sequence[str], kept: set[str], seq: int) -> tuple[IntArray, dict[str, int]]:
        """Remove passages, and documents that are not to be replaced; return the rows of those that are."""
        rows: dict[str, int] = dict(self._select("SELECT id, row FROM documents WHERE id IN ({})", ids))
        values = [(row,) for row in rows.values()]
        removed: list[int] = []
        for value in values:
            removed += [
                pid for (pid,) in self._writer.execute("SELECT pid FROM passages WHERE row = ?", value)
            ]
        self._writer.executemany("DELETE FROM passages WHERE row = ?", values)
        self._writer.executemany("INSERT INTO removed VALUES (?, ?)", [(pid, seq) for pid in removed])
        self._writer.executemany("DELETE FROM documents WHERE row = ?", values)
        return np.asarray(removed, dtype=np.int64), {id: row for id, row in rows.items() if id in kept}

    def _insert(self, documents: Sequence[StoredDocument], rows: dict[str, int], seq: int) -> IntArray:
        """Insert documents and their passages; return the new passage ids."""
        connection = self._writer
        used = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        next_row = int(used.get("documents", 0)) + 1
        next_pid = first_pid = int(used.get("passages", 0)) + 1
        document_rows: list[tuple[object, ...]] = []
        passage_rows: list[tuple[int, ...]] = []
        for document in documents:
            row = rows.get(document.id)
            if row is None:
                row, next_row = next_row, next_row + 1
            content = (document.id, document.title, document.text, document.metadata, document.digest)
            document_rows.append((row, *content))
            for start, stop in document.spans:
                passage_rows.append((next_pid, row, start, stop, seq))
                next_pid += 1
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)", document_rows)
        connection.executemany("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", passage_rows)
        return np.arange(first_pid, next_pid, dtype=np.int64)

    # Life

    def copy_to(self, path: Path) -> None:
        """Write a copy of the whole database to a new file."""
        with self._reading() as connection, _reported(path):
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
            for connection in [*self._readers, self._writer]:
                connection.close()
            self._readers.clear()


def _ids(rows: Iterable[tuple[int]]) -> IntArray:
    return np.fromiter((pid for (pid,) in rows), dtype=np.int64)


@contextmanager
def _reported(path: Path | None) -> Iterator[None]:
    """Turn SQLite's errors into ours, which say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise StorageFullError(
                f"the disk holding {path} is full; the change was not made. Free some space and repeat it"
            ) from error
        raise CorruptCollectionError(f"{path} cannot be used ({error}); restore it from a copy") from error
    except sqlite3.DatabaseError as error:
        raise CorruptCollectionError(
            f"{path} is damaged ({error}); restore it from a copy or index the documents again"
        ) from error
