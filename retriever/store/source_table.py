"""The files that documents were read from, by which `sync` knows what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from retriever.store.connections import Connections


class SourceTable:
    """For each file that was read, its digest and the ids of its documents.

    :param database: of the documents.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    def all(self) -> dict[str, tuple[str, list[str]]]:
        """Return (digest, ids of the documents) of every file that was read."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT path, digest, ids FROM sources").fetchall()
        return {path: (digest, json.loads(ids)) for path, digest, ids in found}

    def note(self, read: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        """Remember what was read from files: for each its digest and the ids of its documents."""
        with self._database.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)",
                ((path, digest, json.dumps(list(ids))) for path, (digest, ids) in read.items()),
            )

    def forget(self, path: str) -> None:
        """Forget a file."""
        with self._database.changing() as connection:
            connection.execute("DELETE FROM sources WHERE path = ?", (path,))
