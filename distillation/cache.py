"""Teacher vectors on disk: computed once, found again by the text's hash, resumable after a kill.

A cache is a folder: `meta.json` names the teacher and the text length, `keys.bin` holds one uint64 a
text (the first eight bytes of its BLAKE2b) and `vectors.bin` one float16 row a text, in the same order.
Both files only grow. Whatever a killed process left half written is passed over by readers
and cut off by the next writer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retriever.errors import InvalidInputError

BLOCK = 4096  # texts between two writes: what a kill can cost


class TextEncoder(Protocol):
    """Anything that turns texts into L2-normalised vectors."""

    name: str
    dimensions: int
    max_length: int

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return float32 (n, dimensions)."""
        ...


def text_keys(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the key of each text: the first eight bytes of its BLAKE2b, little endian.

    :param texts: any texts.
    :return: uint64 (n,).
    """
    digests = b"".join(blake2b(text.encode("utf-8"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class TeacherCache:
    """Vectors of one teacher at one text length.

    :param folder: where the cache lives; made if it is not there.
    :param name: the teacher's name.
    :param dimensions: width of its vectors.
    :param max_length: tokens after which it cuts a text.
    :raises InvalidInputError: if the folder holds the vectors of another teacher or length.
    """

    def __init__(self, folder: str | Path, *, name: str, dimensions: int, max_length: int) -> None:
        self.folder = Path(folder)
        self.dimensions = dimensions
        self.folder.mkdir(parents=True, exist_ok=True)
        meta = {"teacher": name, "dimensions": dimensions, "max_length": max_length}
        path = self.folder / "meta.json"
        if not path.exists():
            path.write_text(json.dumps(meta), encoding="utf-8")
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != meta:
            raise InvalidInputError(f"the cache {self.folder} holds {found}, not {meta}; use another folder")
        for data in (self._keys_path, self._vectors_path):
            data.touch()
        self._read()

    @classmethod
    def beside(cls, root: str | Path, teacher: TextEncoder) -> TeacherCache:
        """Open the cache of a teacher in the folder `root/<name>-<max_length>`."""
        return cls(
            Path(root) / f"{teacher.name}-{teacher.max_length}",
            name=teacher.name,
            dimensions=teacher.dimensions,
            max_length=teacher.max_length,
        )

    def __len__(self) -> int:
        return len(self._sorted_keys)

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return where each text's vector is.

        :param texts: any texts.
        :return: int64 (n,), row of `vectors`; -1 where the text is not in the cache.
        """
        keys = text_keys(texts)
        if not len(self):
            return np.full(len(keys), -1, dtype=np.int64)
        position = np.minimum(np.searchsorted(self._sorted_keys, keys), len(self) - 1)
        return np.where(self._sorted_keys[position] == keys, self._order[position], -1)

    @property
    def vectors(self) -> NDArray[np.float16]:
        """All vectors, float16 (n, dimensions), mapped from disk."""
        if not len(self):
            return np.empty((0, self.dimensions), dtype=np.float16)
        mapped: NDArray[np.float16] = np.memmap(
            self._vectors_path, dtype=np.float16, mode="r", shape=(len(self), self.dimensions)
        )
        return mapped

    def fill(
        self,
        teacher: TextEncoder,
        texts: Sequence[str],
        *,
        until: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Encode what is missing and write it, a block at a time.

        :param teacher: encodes the missing texts.
        :param texts: texts that shall be in the cache afterwards; repeated ones are encoded once.
        :param until: asked after each block; True ends early, with all finished blocks kept.
        :param progress: called with the number of texts read so far, and of all that were missing.
        :return: how many texts are still missing.
        """
        unique = list(dict.fromkeys(texts))
        missing = [text for text, row in zip(unique, self.rows(unique), strict=True) if row < 0]
        done = read = 0

        def moved(count: int) -> None:
            nonlocal read
            read += count
            if progress is not None:
                progress(read, len(missing))

        self._cut_torn_tail()
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            self._append(block, teacher.encode(block, progress=moved))
            done += len(block)
            if until is not None and until():
                break
        self._read()
        return len(missing) - done

    @property
    def _keys_path(self) -> Path:
        return self.folder / "keys.bin"

    @property
    def _vectors_path(self) -> Path:
        return self.folder / "vectors.bin"

    def _append(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write vectors first: a key without its vector would be a lie, a vector without key is cut."""
        with self._vectors_path.open("ab") as file:
            file.write(vectors.astype(np.float16).tobytes())
        with self._keys_path.open("ab") as file:
            file.write(text_keys(texts).astype("<u8").tobytes())

    def _cut_torn_tail(self) -> None:
        """Cut both files to the rows that are whole in both; only the writer does, readers look past it."""
        for path, size in self._row_bytes().items():
            if path.stat().st_size != self._whole_rows() * size:
                with path.open("r+b") as file:
                    file.truncate(self._whole_rows() * size)

    def _row_bytes(self) -> dict[Path, int]:
        """Return each file with the bytes of one of its rows."""
        return {self._vectors_path: 2 * self.dimensions, self._keys_path: 8}

    def _whole_rows(self) -> int:
        """Return how many texts are whole in both files."""
        return min(path.stat().st_size // size for path, size in self._row_bytes().items())

    def _read(self) -> None:
        """Load the keys, sorted for look-up."""
        keys = np.fromfile(self._keys_path, dtype="<u8", count=self._whole_rows()).astype(np.uint64)
        self._order = np.argsort(keys, kind="stable")
        self._sorted_keys = keys[self._order]
