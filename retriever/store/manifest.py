"""The small files that say what a collection is and how far its derived indexes have come."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from retriever.config import RetrieverConfig
from retriever.errors import (
    CollectionNotFoundError,
    ConfigError,
    CorruptCollectionError,
    StorageFullError,
    rebuild_remedy,
)
from retriever.store.database import DATABASE
from retriever.store.format_version import check_version

MANIFEST = "collection.json"
_CHECKED_AT_ONCE = 1 << 20  # bytes


class Manifest(BaseModel):
    """What a collection was made with.

    :param format: version of the folder's layout.
    :param config: the configuration it was made with.
    :param encoder: fingerprint of the encoder whose vectors it holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int
    config: RetrieverConfig
    encoder: str


class IndexState(BaseModel):
    """How far a derived index has followed the store.

    :param seq: number of the last change it contains.
    :param file: name of the file that holds it, or "" where the index is a folder of its own.
    :param size: bytes of that file.
    :param checksum: CRC-32 of that file, so that damage is noticed before it gives wrong answers.
    :param engine: kind of a vector index.
    :param settings: what was tuned of a vector index.
    :param measured: recall and latency at those settings, where they were measured.
    :param reason: why this kind.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seq: int
    file: str = ""
    size: int = 0
    checksum: str = ""
    engine: str = "flat"
    settings: dict[str, int] = {}
    measured: dict[str, float] = {}
    reason: str = ""


def read_manifest(folder: Path) -> Manifest:
    """Read what a collection was made with.

    :raises CollectionNotFoundError: if there is none in the folder.
    :raises CollectionVersionError: if another version wrote it.
    :raises CorruptCollectionError: if it is damaged.
    """
    path = folder / MANIFEST
    remedy = f"{rebuild_remedy(folder)} --encoder bundled, which leaves it with the default settings"
    if not path.is_file():
        if (folder / DATABASE).is_file():
            raise CorruptCollectionError(f"{path} is missing; {remedy}")
        raise CollectionNotFoundError(
            f"there is no collection in {folder}; make one with Retriever.from_corpus(docs, path=...) "
            "or `retriever index SOURCE --out DIR`"
        )
    content = _read_json(path, remedy)
    version = content.get("format")
    if isinstance(version, int):
        check_version(path, version)
    try:
        return Manifest.model_validate(content)
    except (ValidationError, ConfigError) as error:
        raise CorruptCollectionError(f"{path} is damaged; {remedy}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what a collection was made with; this is what makes a folder a collection."""
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=2).encode())


def read_state(path: Path) -> IndexState | None:
    """Read how far an index has come; None where it was never written."""
    if not path.is_file():
        return None
    remedy = "delete it, and the index is made again from the documents"
    try:
        return IndexState.model_validate(_read_json(path, remedy))
    except ValidationError as error:
        raise CorruptCollectionError(f"{path} is damaged; {remedy}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file so that a reader or a crash sees the old one or the new one, never a part."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from error


def disk_error(path: Path, error: Exception) -> Exception:
    """Turn a failed write into an error that says what to do."""
    if getattr(error, "errno", None) == 28 or "No space left" in str(error):
        return StorageFullError(f"the disk holding {path} is full; free some space and repeat the change")
    return CorruptCollectionError(f"{path} cannot be written ({error}); check the folder's permissions")


def file_digest(path: Path) -> str:
    """Return the BLAKE2b digest of a file: files of one digest have one content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def file_checksum(path: Path) -> str:
    """Return the CRC-32 of a file: it notices damage, and costs a fifth of what a digest does."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(_CHECKED_AT_ONCE))
        while read := file.readinto(block):
            checksum = zlib.crc32(block[:read], checksum)
    return f"{checksum:08x}"


def _read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptCollectionError(f"{path} is damaged ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise CorruptCollectionError(f"{path} is damaged (no JSON object); {remedy}")
    return content
