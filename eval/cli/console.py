"""What the commands print with: tables for people, JSON for machines, bars for what takes long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from retriever.errors import SourceError

out = Console()
messages = Console(stderr=True)


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with the time left; nothing where the output is no terminal.

    :param description: what is being done.
    :return: a callback for the number done and of all.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_json(value: Any) -> None:
    """Print JSON to the standard output, unwrapped and uncoloured.

    :param value: plain values.
    """
    out.out(json.dumps(value, ensure_ascii=False, indent=2), highlight=False)


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a file, making its folder.

    :param path: the file.
    :param value: plain values.
    :raises SourceError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write {path}: {error.strerror or error}") from error
