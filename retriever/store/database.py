"""The SQLite file: its tables, its settings, and its errors turned into ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retriever.errors import RESTORE, CorruptCollectionError, StorageFullError
from retriever.store.format_version import FORMAT_VERSION, check_version

DATABASE = "documents.sqlite"

_PAGE_BYTES = 8192  # a dozen passages a page; half the depth of the tree that 4096 gives

_SCHEMA = """
-- AUTOINCREMENT: no number is ever used twice, so a derived index can tell old from new.
CREATE TABLE documents (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    pid INTEGER NOT NULL,       -- of the first passage; the others follow
    passages INTEGER NOT NULL,
    spans BLOB,                 -- int32 pairs; NULL where the only passage is the whole text
    digest BLOB NOT NULL,
    title TEXT NOT NULL,
    metadata TEXT NOT NULL,     -- before the text: a filter then reads no overflow page
    text TEXT NOT NULL
);
CREATE INDEX documents_seq ON documents (seq, pid, passages);
CREATE TABLE removed (
    seq INTEGER NOT NULL, pid INTEGER NOT NULL, passages INTEGER NOT NULL, PRIMARY KEY (seq, pid)
) WITHOUT ROWID;
CREATE TABLE sources (
    path TEXT PRIMARY KEY, digest TEXT NOT NULL, ids TEXT NOT NULL, fields TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE state (seq INTEGER NOT NULL, pid INTEGER NOT NULL, forgotten INTEGER NOT NULL);
INSERT INTO state VALUES (0, 0, 0);
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open a connection that any thread may use, one at a time.

    :param path: the database file, or None for one in memory.
    """
    connection = sqlite3.connect(
        ":memory:" if path is None else str(path),
        check_same_thread=False,
        isolation_level=None,
        timeout=30.0,
    )
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    if path is not None:
        connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode NORMAL survives a killed process; only a power cut may lose the last changes.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -32768")
    # 64 MB of log: pages of the index over ids are written to many times before they are copied once.
    connection.execute(f"PRAGMA wal_autocheckpoint = {(64 << 20) // _PAGE_BYTES}")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Create the tables in a new database, or check that an old one is ours.

    :raises CollectionVersionError: if another version wrote it.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version:
        check_version(path, version)
        return
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT_VERSION}; COMMIT;")


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Let all reads inside see the same state, unless a transaction does so already."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def reported(path: Path | None) -> Iterator[None]:
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
        raise CorruptCollectionError(f"{path} is damaged ({error}); {RESTORE}") from error
