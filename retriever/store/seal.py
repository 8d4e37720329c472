"""A seal over a collection's files: written when a writer closes in peace, broken before the next change.

Every index remembers what it is made from; the seal says that the files are the very ones that were left.
"""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rerank.cores import usable_cores
from retriever.errors import RESTORE, CorruptCollectionError, rebuild_remedy
from retriever.store.manifest import file_checksum, write_atomically

SEAL = "seal.json"
_ALWAYS_READ = 256_000_000  # bytes of a file; a larger one is read only where its time or size have changed
_SEALED = ("collection.json", "documents.sqlite", "vectors*", "passages*", "lexical.json", "lexical/*")
_LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")
_STATES = ("vectors.json", "passages.json", "lexical.json")


def write_seal(folder: Path) -> None:
    """Note size, time and checksum of every file.

    A reader may hold back a part of the database's log; then there is no seal, and opening looks closer.
    """
    if any(log.stat().st_size for log in folder.glob("*.sqlite-wal")):
        return
    files = _files(folder)
    with ThreadPoolExecutor(max_workers=usable_cores()) as executor:
        checksums = list(executor.map(file_checksum, files))
    noted = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns, checksum]
        for path, checksum in zip(files, checksums, strict=True)
    }
    write_atomically(folder / SEAL, json.dumps({"files": noted, "check": _check_of(noted)}).encode())


def break_seal(folder: Path) -> None:
    """Remove the seal; what a killed writer leaves has none."""
    path = folder / SEAL
    if path.exists():
        path.unlink()
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_seal(folder: Path) -> bool:
    """Compare the files with the seal; return whether there is one.

    :raises CorruptCollectionError: if a file is missing, truncated or changed; the message names it.
    """
    path = folder / SEAL
    try:
        content = json.loads(path.read_bytes())
        noted = content["files"]
        intact = content["check"] == _check_of(noted)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorruptCollectionError(f"{path} is damaged ({error}); {_remedy(folder)}") from error
    if not intact:
        raise CorruptCollectionError(f"{path} is damaged; {_remedy(folder)}")
    with ThreadPoolExecutor(max_workers=usable_cores()) as executor:
        list(executor.map(lambda name: _check_file(folder, name, *noted[name]), noted))
    return all((folder / name).exists() for name in noted)


def _files(folder: Path) -> list[Path]:
    """Return the files that make up the collection, without locks and logs."""
    return sorted(
        path
        for pattern in _SEALED
        for path in folder.glob(pattern)
        if path.is_file() and path.name not in _LOCKS and path.suffix != ".tmp"
    )


def _check_file(folder: Path, name: str, size: int, time: int, checksum: str) -> None:
    """Raise unless a file is as it was left."""
    path = folder / name
    if name in _STATES and not path.exists():
        return  # deleted by hand, which is how one has an index made again
    try:
        status = path.stat()
        damaged = status.st_size != size
        if not damaged and (size <= _ALWAYS_READ or status.st_mtime_ns != time):
            damaged = file_checksum(path) != checksum
    except OSError as error:
        raise CorruptCollectionError(f"{path} cannot be read ({error}); {_remedy(folder, name)}") from error
    if damaged:
        raise CorruptCollectionError(f"{path} is truncated or damaged; {_remedy(folder, name)}")


def _check_of(noted: object) -> str:
    return hashlib.sha256(json.dumps(noted, sort_keys=True).encode()).hexdigest()[:32]


def _remedy(folder: Path, name: str = "") -> str:
    if name in ("documents.sqlite", "collection.json"):
        return RESTORE
    return rebuild_remedy(folder)
