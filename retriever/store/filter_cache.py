"""Which documents pass a filter, remembered and brought up to date by what changed since."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from retriever.store.filters import Clause
from retriever.store.passage_table import PassageTable

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Key = tuple[str, tuple[Any, ...]]

_REMEMBERED = 64  # filters; one of a million documents takes a megabyte, and its passages up to eight


@dataclass(frozen=True, slots=True)
class _Entry:
    """Rows that pass as of a change, and their passages as of a version of the table."""

    seq: int
    rows: BoolArray
    version: int
    pids: IntArray


class FilterCache:
    """The passages of the last filters asked for.

    A collection is filtered by the same few conditions again and again (a tenant, a language). The first
    search reads the metadata of all documents; the next ones only that of documents changed since.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def passages(
        self, connection: sqlite3.Connection, clause: Clause, seq: int, table: PassageTable
    ) -> IntArray:
        """Return the ids of all passages whose document passes, ascending.

        :param connection: read for what is not known yet.
        :param clause: SQL condition over `documents` and its parameters.
        :param seq: number of the last change that the table contains.
        :param table: all passages.
        """
        sql, values = clause
        # A number and its boolean twin are equal as keys and different as conditions.
        key = sql, tuple((type(value), value) for value in values)
        with self._lock:
            entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(-1, np.zeros(0, dtype=np.bool_), -1, np.empty(0, dtype=np.int64))
        if entry.seq != seq or entry.version != table.version:
            # Outside the lock: another filter need not wait. The same one may be worked out twice.
            entry = _updated(entry, connection, clause, seq, table)
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > _REMEMBERED:
                self._entries.popitem(last=False)
        return entry.pids


def _updated(
    entry: _Entry, connection: sqlite3.Connection, clause: Clause, seq: int, table: PassageTable
) -> _Entry:
    """Ask for the documents changed since, and look their passages up."""
    sql, values = clause
    passing = f"SELECT json_group_array(row) FROM documents WHERE seq > ? AND {sql}"
    passing_rows = _rows(connection, passing, [entry.seq, *values])
    changed_rows = passing_rows
    if entry.seq >= 0:
        changed = "SELECT json_group_array(row) FROM documents WHERE seq > ?"
        changed_rows = _rows(connection, changed, [entry.seq])
    size = max(table.last_row, int(changed_rows.max(initial=-1)), len(entry.rows) - 1) + 1
    rows = np.zeros(size, dtype=np.bool_)
    rows[: len(entry.rows)] = entry.rows
    rows[changed_rows] = False
    rows[passing_rows] = True
    return _Entry(seq, rows, table.version, table.among(rows))


def _rows(connection: sqlite3.Connection, query: str, values: list[Any]) -> IntArray:
    """Read one column as one value: a row at a time would hand the interpreter lock over each time."""
    return np.asarray(orjson.loads(connection.execute(query, values).fetchone()[0]), dtype=np.int64)
