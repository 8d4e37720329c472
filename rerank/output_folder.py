"""A folder that a model will be written into, looked at before any work is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from rerank.errors import InvalidInputError


def check_output_folder(folder: Path, *, replaceable: Callable[[Path], bool]) -> None:
    """Refuse a folder that something else is in, or that cannot be written.

    :param folder: need not exist, and does not afterwards if it did not.
    :param replaceable: whether what a folder holds may be written over.
    :raises InvalidInputError: if it is a file, holds anything else, or cannot be made or written to.
    """
    missing: list[Path] = []
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"{folder} is a file; name a folder")
        if folder.is_dir() and any(folder.iterdir()) and not replaceable(folder):
            raise InvalidInputError(f"{folder} is a folder with other files in it; name a new one")
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"{folder} cannot be written to ({error.strerror}); name another folder"
        ) from error
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def config_of(folder: Path) -> dict[str, Any]:
    """Return what a folder's config.json says; nothing where there is none to be read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def config_says(folder: Path, key: str, value: str) -> bool:
    """Tell whether a folder's config.json has a value; False where there is none to be read."""
    return config_of(folder).get(key) == value
