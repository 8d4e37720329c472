"""What the commands print with: tables for people, JSON for machines, bars for what takes long."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from retriever.types import Document

_PIPED_WIDTH = 120  # rich takes 80 where there is no terminal, too narrow for a table of results

# Square brackets are the documents' own here, never markup.
out = Console(markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
messages = Console(markup=False, stderr=True, width=None if sys.stderr.isatty() else _PIPED_WIDTH)


class _RateColumn(ProgressColumn):
    """Documents a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


class Bar:
    """A progress bar that is moves with the documents that are read."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def over(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield documents and move with each one."""
        for document in documents:
            yield document
            self._progress.advance(self._task)
        self._progress.update(self._task, description="writing")


@contextmanager
def bar(description: str, total: int | None) -> Iterator[Bar]:
    """Show documents a second and the time left; nothing where the output is no terminal.

    :param description: what is being done.
    :param total: how many documents there are; None where nobody knows.
    :return: the bar, to be moved.
    """
    with _progress(_RateColumn()) as progress:
        yield Bar(progress, progress.add_task(description, total=total))


@contextmanager
def counted(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show how much is done and the time left; nothing where the output is no terminal.

    :param description: what is being done.
    :return: a callback for the number done and of all.
    """
    with _progress() as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show one stage after the other with a bar; where the output is no terminal, the name of each.

    :return: a callback for the stage, the number done in it and of all, 0 where nobody knows.
    """
    with _progress() as progress:
        task = progress.add_task("", total=None)
        current = ""

        def moved(stage: str, done: int, total: int) -> None:
            nonlocal current
            if stage != current:
                current = stage
                progress.reset(task)
                if not messages.is_terminal:
                    say(stage)
            progress.update(task, description=stage, completed=done, total=total or None)

        yield moved


def _progress(*more: ProgressColumn) -> Progress:
    """Return a bar that is gone when it is done; nothing where the output is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not messages.is_terminal,
    )


def say(text: str) -> None:
    """Print a line for a person on the standard error, where it is in no machine's way."""
    messages.print(Text(printable(text)), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON to the standard output, unwrapped and uncoloured."""
    out.out(json.dumps(value, ensure_ascii=False, indent=2), highlight=False)


def printable(text: str) -> str:
    """Return the text on one line, without the control characters that would steer the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def program() -> str:
    """Return what to type for this command: its name if the shell finds it, else its path."""
    if shutil.which("retriever"):
        return "retriever"
    script = Path(sys.executable).parent / "retriever"
    try:
        return str(script.relative_to(Path.cwd()))
    except ValueError:
        return str(script)
