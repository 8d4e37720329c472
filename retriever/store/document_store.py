"""Documents, passages and the history of changes in one SQLite database."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from retriever.errors import RESTORE, CorruptCollectionError
from retriever.store.connections import Connections
from retriever.store.content_id import content_digest
from retriever.store.database import snapshot
from retriever.store.filter_cache import FilterCache
from retriever.store.filters import answerable, compile_filter, field_path, field_value
from retriever.store.passage_table import PassageTable
from retriever.store.records import (
    Change,
    SplitDocument,
    StoredDocument,
    StoredPassage,
    packed_spans,
    runs,
    unpacked_spans,
)
from retriever.store.source_table import SourceTable
from retriever.types import Filter

IntArray = NDArray[np.int64]

_CHUNK = 10_000  # parameters a statement; SQLite allows 32,766
_ROWS_A_STATEMENT = 1024  # documents; one call of SQLite for all, during which other threads run
_INDEXED_FIELDS = 8  # metadata fields; each index costs a write more a document
_INDEXED_SHARE = 0.2  # of documents that have a field, from which on it is worth an index

_FIELD_INDEX = "metadata:"

_COLUMNS = "row, id, seq, pid, passages, spans, digest, title, metadata, text"


class DocumentStore:
    """The source of truth. One writer at a time; readers in any number of threads.

    :param path: the database file, made if absent; None keeps everything in memory.
    :raises CorruptCollectionError: if the file is no database of this project.
    :raises CollectionVersionError: if it was written by a newer version.
    """

    def __init__(self, path: Path | None) -> None:
        self._database = Connections(path)
        self.sources = SourceTable(self._database)
        self._filters = FilterCache()
        self.passages = PassageTable()
        self.known_seq = 0

    # Reading

    @property
    def seq(self) -> int:
        """Number of the last committed change; 0 for a new collection."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT seq FROM state").fetchone()[0])

    @property
    def forgotten_seq(self) -> int:
        """Removals up to this change are no longer known: what has not seen them must be made again."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT forgotten FROM state").fetchone()[0])

    def refresh(self) -> int:
        """Bring the table of passages up to the last committed change; return that change's number.

        Not thread-safe: nobody may search meanwhile.
        """
        with self._database.reading() as connection, snapshot(connection):
            seq, forgotten = connection.execute("SELECT seq, forgotten FROM state").fetchone()
            if forgotten > self.known_seq > 0:
                self.passages, self.known_seq = PassageTable(), 0
            if seq > self.known_seq:
                self.passages.remove(_removed_pids(connection, self.known_seq))
                self._append_since(connection)
                self.known_seq = int(seq)
        return self.known_seq

    def _append_since(self, connection: sqlite3.Connection) -> None:
        """Append the passages of later changes."""
        query = "SELECT pid, passages, row FROM documents WHERE seq > ? ORDER BY seq, pid"
        cursor = connection.execute(query, (self.known_seq,))
        while found := cursor.fetchmany(100_000):
            first, counts, rows = np.asarray(found, dtype=np.int64).T
            self.passages.append(runs(first, counts), np.repeat(rows, counts))

    def count_documents(self) -> int:
        """Return the number of documents."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    def count_passages(self) -> int:
        """Return the number of passages."""
        return len(self.passages)

    def get(self, id: str) -> tuple[str, str, str] | None:
        """Return (title, text, metadata JSON) of a document, or None."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT row FROM documents WHERE id = ?", (id,)).fetchone()
        documents = {} if found is None else self.documents([found[0]])
        return next(((one.title, one.text, one.metadata) for one in documents.values()), None)

    def contains(self, id: str) -> bool:
        """Tell whether there is a document with this id."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT 1 FROM documents WHERE id = ?", (id,)).fetchone()
        return found is not None

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield (id, title, text, metadata JSON) of every document in the order of insertion."""
        last = -1
        while True:
            with self._database.reading() as connection:
                page = connection.execute(
                    "SELECT row, id, title, text, metadata, digest FROM documents WHERE row > ? "
                    "ORDER BY row LIMIT 1000",
                    (last,),
                ).fetchall()
            if not page:
                return
            last = page[-1][0]
            yield from (self._checked(found) for found in page)

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content digests of those of the ids that exist."""
        return dict(self._select("SELECT id, digest FROM documents WHERE id IN ({})", ids))

    def documents(self, rows: Sequence[int]) -> dict[int, SplitDocument]:
        """Return documents with their passages by row; rows deleted meanwhile are missing.

        :raises CorruptCollectionError: if a document is not what was written.
        """
        query = (
            "SELECT row, id, title, text, metadata, digest, pid, passages, spans FROM documents "
            "WHERE row IN ({})"
        )
        return {
            found[0]: SplitDocument(
                *self._checked(found), pid, unpacked_spans(passages, spans, len(found[3]))
            )
            for *found, pid, passages, spans in self._select(query, rows)
        }

    def _checked(self, found: Sequence[Any]) -> tuple[str, str, str, str]:
        """Return (id, title, text, metadata JSON) where they are what was written."""
        row, id, title, text, metadata, digest = found
        # A bit of a row's header may have made a string bytes.
        if not isinstance(id, str) or content_digest(title, text, metadata) != digest:
            raise CorruptCollectionError(
                f"{self._database.path}: the document {id!r} (row {row}) is damaged; delete it and write it "
                "again, or restore the file from a copy"
            )
        return id, title, text, metadata

    def passage_texts(self, pids: IntArray) -> list[str]:
        """Return the texts of passages as they are encoded: the document's title, then the passage.

        :param pids: ids of passages.
        :return: one text each, in their order; "" for those deleted meanwhile.
        """
        rows = self.passages.rows_of(pids)
        wanted = json.dumps(np.unique(rows[rows >= 0]).tolist())
        with self._database.reading() as connection, snapshot(connection):
            texts = _whole_texts(connection, wanted)
            split = {} if len(texts) == len(set(rows.tolist())) else _split_texts(connection, wanted, pids)
        return [
            split[pid] if pid in split else texts.get(row, "")
            for pid, row in zip(pids.tolist(), rows.tolist(), strict=True)
        ]

    def _select(self, query: str, values: Sequence[str] | Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Run a query with an IN list of any length."""
        for start in range(0, len(values), _CHUNK):
            chunk = list(values[start : start + _CHUNK])
            with self._database.reading() as connection:
                found = connection.execute(query.format(",".join("?" * len(chunk))), chunk).fetchall()
            yield from found

    def sample(self, size: int, *, seed: int, last: int | None = None) -> IntArray:
        """Return ids of at most `size` passages drawn at random, ascending; the same for the same seed.

        :param last: draw from the ids up to this one; None for all.
        """
        pids = self.passages.pids
        if last is not None:
            pids = pids[: np.searchsorted(pids, last, side="right")]
        if len(pids) <= size:
            return pids
        return np.sort(np.random.default_rng(seed).choice(pids, size, replace=False))

    def titles_and_openings(self, pids: IntArray) -> list[tuple[str, str]]:
        """Return the title and the first 600 characters of the documents of passages, in no order."""
        rows = np.unique(self.passages.rows_of(pids)).tolist()
        query = "SELECT title, substr(text, 1, 600) FROM documents WHERE row IN ({})"
        return [(title, text) for title, text in self._select(query, rows)]

    def matching(self, filter: Filter) -> IntArray:
        """Return the ids of all passages whose document passes a filter, ascending.

        :raises FilterError: if the filter is malformed.
        """
        clause = compile_filter(filter)
        with self._database.reading() as connection, answerable():
            return self._filters.passages(connection, clause, self.known_seq, self.passages)

    def matching_ids(self, filter: Filter) -> list[str]:
        """Return the ids of all documents that pass a filter.

        :raises FilterError: if the filter is malformed.
        """
        sql, values = compile_filter(filter)
        with self._database.reading() as connection, answerable():
            return [id for (id,) in connection.execute(f"SELECT id FROM documents WHERE {sql}", values)]

    def passages_since(self, seq: int, *, batch: int) -> Iterator[list[StoredPassage]]:
        """Yield live passages of changes after `seq`, ascending by id, in batches of about this many."""
        last = (seq, np.iinfo(np.int64).max)
        query = (
            "SELECT seq, pid, passages, spans, title, text FROM documents WHERE (seq, pid) > (?, ?) "
            "ORDER BY seq, pid LIMIT ?"
        )
        last = (last[0], int(last[1]))
        while True:
            with self._database.reading() as connection:
                page = connection.execute(query, (*last, batch)).fetchall()
            if not page:
                return
            last = (page[-1][0], page[-1][1])
            passages = [
                StoredPassage(first + place, start, stop, title, text[start:stop])
                for _, first, count, spans, title, text in page
                for place, (start, stop) in enumerate(unpacked_spans(count, spans, len(text)))
            ]
            for start in range(0, len(passages), 2 * batch):
                yield passages[start : start + 2 * batch]

    def removed_since(self, seq: int) -> IntArray:
        """Return the ids of passages removed by changes after `seq`."""
        with self._database.reading() as connection:
            return _removed_pids(connection, seq)

    # Writing

    def apply(
        self,
        *,
        insert: Sequence[StoredDocument] = (),
        remove: Sequence[str] = (),
        foreseen: Callable[[Change], None] | None = None,
    ) -> Change:
        """Remove and insert documents in one transaction; an id in both is replaced in its place.

        :param insert: new documents; their ids must not exist unless they are in `remove`.
        :param remove: ids of documents to remove; ids that do not exist are passed over.
        :param foreseen: told what will have changed before it is written; it may still fail.
        :return: what changed.
        :raises StorageFullError: if the disk is full; nothing was changed then.
        """
        with self._database.changing() as connection:
            seq, pid = connection.execute("UPDATE state SET seq = seq + 1 RETURNING seq, pid").fetchall()[0]
            kept = {document.id for document in insert}
            removed, rows = _remove(connection, remove, kept, seq)
            counts = np.asarray([len(document.spans) for document in insert], dtype=np.int64)
            added = np.arange(pid + 1, pid + 1 + counts.sum(), dtype=np.int64)
            change = Change(seq, added, removed)
            if foreseen is not None:
                foreseen(change)
            document_rows = _insert(connection, insert, rows, seq, pid + 1)
            connection.execute("UPDATE state SET pid = ?", (pid + int(counts.sum()),))
        if self.known_seq == seq - 1:
            # The table follows at once; where it is behind, `refresh` will bring it up.
            self.passages.remove(removed)
            self.passages.append(added, np.repeat(document_rows, counts))
            self.known_seq = seq
        return change

    def index_fields(self) -> list[str]:
        """Make indexes over the metadata fields that many documents have, so that filters read less.

        Fields are discovered in a sample; strings, numbers and booleans count.

        :return: the fields that are indexed.
        """
        rows = self.passages.rows_of(self.sample(1000, seed=0)).tolist()
        seen: Counter[str] = Counter()
        for (metadata,) in self._select("SELECT metadata FROM documents WHERE row IN ({})", rows):
            seen.update(field for field, value in json.loads(metadata).items() if _indexable(field, value))
        least = _INDEXED_SHARE * len(rows)
        fields = sorted(field for field, count in seen.most_common(_INDEXED_FIELDS) if count >= least)
        with self._database.changing() as connection:
            for field in fields:
                value = field_value(field_path(field)).replace("documents.", "")
                name = f"{_FIELD_INDEX}{field}"
                connection.execute(f'CREATE INDEX IF NOT EXISTS "{name}" ON documents ({value})')
        return fields

    def forget_removals(self) -> None:
        """Drop the history of removals and give free pages back; every index must have seen them."""
        with self._database.changing() as connection:
            connection.execute("DELETE FROM removed")
            connection.execute("UPDATE state SET forgotten = seq")
        self._database.vacuum()

    def indexed_fields(self) -> list[str]:
        """Return the metadata fields that have an index."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        return sorted(name.removeprefix(_FIELD_INDEX) for (name,) in found if name.startswith(_FIELD_INDEX))

    def check_pages(self) -> None:
        """Check that the database hangs together.

        :raises CorruptCollectionError: if a page is damaged.
        """
        with self._database.reading() as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise CorruptCollectionError(f"{self._database.path} is damaged ({found}); {RESTORE}")

    def check(self) -> None:
        """Check the whole database and every document.

        :raises CorruptCollectionError: if a page, an index or a document is damaged.
        """
        with self._database.reading() as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise CorruptCollectionError(f"{self._database.path} is damaged ({found}); {RESTORE}")
        for _ in self.rows():
            pass

    # Life

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database, as far as no reader needs it."""
        self._database.checkpoint()

    def copy_to(self, path: Path) -> None:
        """Write a copy of the whole database to a new file."""
        self._database.copy_to(path)

    def close(self) -> None:
        """Close every connection; closing twice is harmless."""
        self._database.close()


def _whole_texts(connection: sqlite3.Connection, rows: str) -> dict[int, str]:
    """Return the texts of documents of one passage by row, as they are encoded.

    :param rows: a JSON array.
    """
    found = "row, title || ' ' || text"
    chosen = "FROM documents WHERE spans IS NULL AND row IN (SELECT value FROM json_each(?))"
    try:
        # All in one value: a row at a time would hand the interpreter lock over each time.
        query = f"SELECT json_group_array(json_array({found})) {chosen}"
        texts = orjson.loads(connection.execute(query, (rows,)).fetchone()[0])
    except sqlite3.DataError:  # no value can be larger than a gigabyte
        texts = connection.execute(f"SELECT {found} {chosen}", (rows,))
    return {row: text.strip() for row, text in texts}


def _split_texts(connection: sqlite3.Connection, rows: str, pids: IntArray) -> dict[int, str]:
    """Return the texts of passages of documents that have several, by id, as they are encoded."""
    query = (
        "SELECT title, text, pid, passages, spans FROM documents "
        "WHERE spans IS NOT NULL AND row IN (SELECT value FROM json_each(?))"
    )
    wanted = np.unique(pids)
    texts = {}
    # One document at a time in memory: they may be books.
    for title, text, first, passages, packed in connection.execute(query, (rows,)):
        spans = unpacked_spans(passages, packed, len(text))
        begin, end = np.searchsorted(wanted, [first, first + passages])
        for pid in wanted[begin:end].tolist():
            start, stop = spans[pid - first]
            texts[pid] = f"{title} {text[start:stop]}".strip()
    return texts


def _indexable(field: str, value: object) -> bool:
    return isinstance(value, str | int | float) and bool(field) and not {'"', ".", "\0"} & set(field)


def _removed_pids(connection: sqlite3.Connection, seq: int) -> IntArray:
    found = connection.execute("SELECT pid, passages FROM removed WHERE seq > ?", (seq,)).fetchall()
    first, counts = np.asarray(found, dtype=np.int64).reshape(-1, 2).T
    return np.sort(runs(first, counts))


def _remove(
    connection: sqlite3.Connection, ids: Sequence[str], kept: set[str], seq: int
) -> tuple[IntArray, dict[str, int]]:
    """Remove documents; return their passages, and the rows of those that are to be replaced."""
    query = "SELECT id, row, pid, passages FROM documents WHERE id IN ({})"
    found = [
        row
        for start in range(0, len(ids), _CHUNK)
        for row in connection.execute(
            query.format(",".join("?" * len(ids[start : start + _CHUNK]))),
            list(ids[start : start + _CHUNK]),
        )
    ]
    gone = [(seq, pid, passages) for _, _, pid, passages in found]
    connection.executemany("INSERT INTO removed VALUES (?, ?, ?)", gone)
    connection.executemany("DELETE FROM documents WHERE row = ?", [(row,) for _, row, _, _ in found])
    _, first, counts = np.asarray(gone, dtype=np.int64).reshape(-1, 3).T
    return np.sort(runs(first, counts)), {id: row for id, row, _, _ in found if id in kept}


def _insert(
    connection: sqlite3.Connection,
    documents: Sequence[StoredDocument],
    rows: dict[str, int],
    seq: int,
    next_pid: int,
) -> IntArray:
    """Insert documents; return their rows."""
    used = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'documents'").fetchone()
    next_row = 1 if used is None else int(used[0]) + 1
    taken: list[int] = []
    values: list[Any] = []
    for document in documents:
        row = rows.get(document.id)
        if row is None:
            row, next_row = next_row, next_row + 1
        taken.append(row)
        id, title, text, metadata, digest, spans = document
        packed = packed_spans(spans, len(text))
        values += (row, id, seq, next_pid, len(spans), packed, digest, title, metadata, text)
        next_pid += len(spans)
    columns = len(_COLUMNS.split(","))
    row_of_marks = f"({','.join('?' * columns)})"
    for start in range(0, len(values), columns * _ROWS_A_STATEMENT):
        some = values[start : start + columns * _ROWS_A_STATEMENT]
        marks = ",".join([row_of_marks] * (len(some) // columns))
        connection.execute(f"INSERT INTO documents ({_COLUMNS}) VALUES {marks}", some)
    return np.asarray(taken, dtype=np.int64)
