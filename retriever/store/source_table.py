"""The files that documents were read from, by which `sync` knows what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from retriever.store.connections import Connections


class ReadFile(NamedTuple):
    """A file that was read.

    :param path: by which it is known.
    :param digest: of its content; "" where it has to be read again.
    :param ids: of its documents.
    :param fields: which fields of its records were named to be what, as whoever read it writes that down.
    """

    path: str
    digest: str
    ids: list[str]
    fields: str = ""


class SourceTable:
    """Every file that was read.

    :param database: of the documents.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database

    def all(self) -> dict[str, ReadFile]:
        """Return every file by its path."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT path, digest, ids, fields FROM sources").fetchall()
        return {path: ReadFile(path, digest, json.loads(ids), fields) for path, digest, ids, fields in found}

    def note(self, files: Iterable[ReadFile]) -> None:
        """Remember files, in place of what was known of them."""
        with self._database.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO sources (path, digest, ids, fields) VALUES (?, ?, ?, ?)",
                ((path, digest, json.dumps(ids), fields) for path, digest, ids, fields in files),
            )

    def forget(self, path: str) -> None:
        """Forget a file."""
        with self._database.changing() as connection:
            connection.execute("DELETE FROM sources WHERE path = ?", (path,))
