"""Tantivy's files as they lie on disk: which of them the last commit needs, and whether those are whole."""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from pathlib import Path

from retriever.errors import CorruptCollectionError, rebuild_remedy

_FOOTER_MAGIC = 1337
_OF_A_SEGMENT = re.compile(r"[0-9a-f]{32}\.")


def check_segments(folder: Path) -> None:
    """Check the lexical index's files against the checksums that tantivy puts at their ends.

    :raises CorruptCollectionError: if one of them is truncated or changed.
    """
    for path in committed_files(folder):
        if not _intact(path.read_bytes()):
            raise CorruptCollectionError(f"{path} is truncated or damaged; {rebuild_remedy(folder.parent)}")


def remove_uncommitted(folder: Path) -> None:
    """Delete what a killed writer left; nobody may be writing.

    Tantivy numbers its operations from the last commit on, so that the next writer may need the same names;
    it does not write over a file.

    :raises CorruptCollectionError: if what was committed cannot be told.
    """
    if not folder.is_dir():
        return
    committed = set(committed_files(folder))
    for path in folder.iterdir():
        if _OF_A_SEGMENT.match(path.name) and path not in committed:
            with suppress(PermissionError):  # Windows keeps what another process reads
                path.unlink(missing_ok=True)


def committed_files(folder: Path) -> list[Path]:
    """Return the files of the last commit; a killed writer leaves others, which no one reads.

    :raises CorruptCollectionError: if the list of segments is damaged.
    """
    path = folder / "meta.json"
    if not path.exists():
        return []
    try:
        segments = json.loads(path.read_bytes())["segments"]
        known = {
            segment["segment_id"].replace("-", ""): (segment["deletes"] or {}).get("opstamp")
            for segment in segments
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = rebuild_remedy(folder.parent)
        raise CorruptCollectionError(f"{path} is damaged ({error}); {remedy}") from error
    return [
        file
        for file in sorted(folder.iterdir())
        for name, *rest in [file.name.split(".")]
        if name in known and (len(rest) == 1 or rest[0] == str(known[name]))
    ]


def _intact(content: bytes) -> bool:
    """Read tantivy's footer: JSON with the CRC-32 of what comes before, its length, a magic number."""
    length = int.from_bytes(content[-8:-4], "little")
    if len(content) < 8 + length or int.from_bytes(content[-4:], "little") != _FOOTER_MAGIC:
        return False
    try:
        footer = json.loads(content[-8 - length : -8])
        return bool(footer["crc"] == zlib.crc32(content[: -8 - length]))
    except (ValueError, KeyError, TypeError):
        return False
