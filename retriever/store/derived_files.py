"""Files made from the store: under a new name each time, with a small file that says which one holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from retriever.errors import CorruptCollectionError
from retriever.store.manifest import IndexState, disk_error, file_checksum, read_state, write_atomically


def write_derived(
    folder: Path, name: str, suffix: str, seq: int, save: Callable[[Path], None], **facts: Any
) -> None:
    """Write a file under a new name, point its state at it, then drop the old one.

    :param name: what it is.
    :param suffix: how the file's name ends.
    :param seq: number of the last change that it contains.
    :param save: writes the file.
    :param facts: what else is to be kept in the state.
    :raises CollectionError: if it cannot be written; the old one stays then.
    """
    path = folder / f"{name}-{seq}{suffix}"
    temporary = path.with_name(path.name + ".tmp")
    try:
        save(temporary)
        state = IndexState(
            seq=seq, file=path.name, size=temporary.stat().st_size, checksum=file_checksum(temporary), **facts
        )
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from error
    write_atomically(folder / f"{name}.json", state.model_dump_json().encode())
    for old in folder.glob(f"{name}-*{suffix}*"):
        if old.name != path.name:
            old.unlink(missing_ok=True)


def read_derived(folder: Path, name: str) -> tuple[IndexState, Path] | None:
    """Return what is known of a file and where it is; None where it was never written.

    :raises CorruptCollectionError: if it is missing, truncated or damaged.
    """
    for attempt in range(2):
        state = read_state(folder / f"{name}.json")
        if state is None:
            return None
        path = folder / state.file
        remedy = f"delete {folder / name}.json, and it is made again from the documents"
        if path.is_file():
            if path.stat().st_size != state.size or file_checksum(path) != state.checksum:
                raise CorruptCollectionError(f"{path} is truncated or damaged; {remedy}")
            return state, path
        # A writer in another process may just have put a newer one in its place.
        if attempt:
            raise CorruptCollectionError(f"{path} is missing; {remedy}")
    return None
