"""Which document every passage belongs to, in memory: searching needs no SQL until the texts are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError
from retriever.sorted_ids import places_in

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_DEAD_SHARE = (
    0.25  # removed passages kept before the arrays are written anew; moving them costs more than a gap
)


class PassageTable:
    """Passage ids, ascending, with the rows of their documents.

    A removed passage leaves a gap that is closed when a quarter are gaps. Not thread-safe for writes.
    """

    def __init__(self) -> None:
        self._pids = np.empty(0, dtype=np.int64)
        self._rows = np.empty(0, dtype=np.int32)
        self._live = np.empty(0, dtype=np.bool_)
        self._used = self._dead = 0
        self.version = 0

    def __len__(self) -> int:
        return self._used - self._dead

    @property
    def pids(self) -> IntArray:
        """Ids of all passages, ascending."""
        return self._pids[: self._used][self._live[: self._used]]

    @property
    def last_row(self) -> int:
        """The greatest row of a document; -1 where there is none."""
        return int(self._rows[: self._used].max()) if self._used else -1

    def append(self, pids: IntArray, rows: IntArray) -> None:
        """Add passages; their ids are greater than all before."""
        if not len(pids):
            return
        if self._used and pids[0] <= self._pids[self._used - 1]:
            raise CorruptCollectionError(
                f"passage {int(pids[0])} comes after passage {int(self._pids[self._used - 1])}; "
                "make the indexes again with: retriever rebuild"
            )
        end = self._used + len(pids)
        if end > len(self._pids):
            self._grow(max(end, 2 * len(self._pids), 1024))
        self._pids[self._used : end] = pids
        self._rows[self._used : end] = rows
        self._live[self._used : end] = True
        self._used = end
        self.version += 1

    def remove(self, pids: IntArray) -> None:
        """Remove passages; ids that are not there are passed over."""
        places = self._places(pids)
        places = places[places >= 0]
        if not len(places):
            return
        self._live[places] = False
        self._dead += len(places)
        self.version += 1
        if self._dead > _DEAD_SHARE * self._used:
            self._close_gaps()

    def rows_of(self, pids: IntArray) -> IntArray:
        """Return the documents' rows, shape (n,); -1 for passages that are not there."""
        places = self._places(pids)
        rows = self._rows[places].astype(np.int64) if self._used else np.empty(len(pids), dtype=np.int64)
        rows[places < 0] = -1
        return rows

    def among(self, rows: BoolArray) -> IntArray:
        """Return the ids of all passages of some documents, ascending.

        :param rows: True at the documents' rows; at least `last_row` + 1 long.
        """
        chosen = rows[self._rows[: self._used]] & self._live[: self._used]
        return self._pids[: self._used][chosen]

    def save(self, path: Path) -> None:
        """Write the table to a file of int64, shape (2, n): ids and rows."""
        live = self._live[: self._used]
        with path.open("wb") as file:
            np.save(
                file,
                np.stack([self._pids[: self._used][live], self._rows[: self._used][live].astype(np.int64)]),
                allow_pickle=False,
            )

    @classmethod
    def load(cls, path: Path) -> PassageTable:
        """Read a table written by `save`.

        :raises CorruptCollectionError: if the file is damaged.
        """
        try:
            content = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CorruptCollectionError(f"{path} cannot be read ({error})") from error
        if content.dtype != np.int64 or content.ndim != 2 or len(content) != 2:
            raise CorruptCollectionError(f"{path} is no table of passages")
        table = cls()
        table.append(content[0], content[1])
        return table

    def _places(self, pids: IntArray) -> IntArray:
        """Return where passages stand, -1 for those that are not there."""
        places = places_in(self._pids[: self._used], pids)
        if self._dead:
            places[~self._live[places]] = -1
        return places

    def _close_gaps(self) -> None:
        live = self._live[: self._used]
        self._pids, self._rows = self._pids[: self._used][live], self._rows[: self._used][live]
        self._used, self._dead = len(self._pids), 0
        self._live = np.ones(self._used, dtype=np.bool_)

    def _grow(self, size: int) -> None:
        self._pids = np.concatenate([self._pids[: self._used], np.empty(size - self._used, dtype=np.int64)])
        self._rows = np.concatenate([self._rows[: self._used], np.empty(size - self._used, dtype=np.int32)])
        self._live = np.concatenate([self._live[: self._used], np.empty(size - self._used, dtype=np.bool_)])
