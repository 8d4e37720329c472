"""What the commands print with, beside what all commands print with: JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from retriever.cli.console import counted, messages, out, print_json
from retriever.errors import SourceError

__all__ = ["counted", "made_folder", "messages", "out", "print_json", "write_json"]


def made_folder(path: Path) -> None:
    """Make a folder that something will be written to, before it takes the work of hours.

    :raises SourceError: if there cannot be one.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(f"cannot write to {path}: {error.strerror or error}; name a folder") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a file, making its folder.

    :param path: the file.
    :param value: plain values.
    :raises SourceError: if it cannot be written.
    """
    made_folder(path.parent)
    try:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write {path}: {error.strerror or error}") from error
