"""`retriever demo`: the whole pipeline on text that every machine has."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from retriever.pipeline import Retriever

QUESTIONS = (
    "read a file line by line",
    "run a shell command and capture its output",
    "how do I turn a string into a date?",
    "pick a random element from a list",
    "wait until several threads have finished",
    "what counts how often each word occurs?",
)
_ABOUT = 7_000  # documents, for the bar alone; Python versions differ


def demo(
    question: Annotated[
        str | None, typer.Argument(help="Your own question, in place of the six.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="At most this many results a question.")] = 5,
    open_page: Annotated[
        bool, typer.Option("--open", help="Serve the collection and open its page in a browser.")
    ] = False,
) -> None:
    """Ask Python's own documentation six questions, or one of yours.

    The docstrings of the standard library become a collection, which is kept in RETRIEVER_HOME or the user's
    cache folder, and used again.
    """
    if open_page:
        _serve(question)
        return
    from retriever.cli.console import out, say
    from retriever.cli.opening import warm_up
    from retriever.cli.results_table import results_table, timings_line

    with _collection() as retriever:
        count = f"{len(retriever):,} docstrings of Python's standard library"
        say(f"{count}, both models loaded in {warm_up(retriever):.1f} s\n")
        for asked in QUESTIONS if question is None else (question,):
            results, timings = retriever.search_timed(asked, k=k)
            out.print(results_table(results, query=asked, ids=False, width=out.width))
            out.print(f"{timings_line(timings)}\n", style="dim", highlight=False)
    _say_what_next()


def _serve(question: str | None) -> None:
    """Serve the demo's collection on a free port until Ctrl-C, and open its page."""
    from urllib.parse import urlencode

    from retriever.cli.serve import announcer
    from retriever.serve.run import serve
    from retriever.serve.settings import ServeSettings

    asked = "/?" + urlencode({"q": QUESTIONS[0] if question is None else question})
    serve(
        {"stdlib": _collection()},
        ServeSettings(port=0),
        log_level="warning",
        started=announcer(open_browser=True, path=asked),
    )


def home() -> Path:
    """Return the folder for what is kept between runs: `RETRIEVER_HOME`, else one in the user's cache."""
    chosen = os.environ.get("RETRIEVER_HOME")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "two-stage-retriever"


def _collection() -> Retriever:
    """Open the demo's collection, or build it where it is missing, damaged or of another version."""
    from retriever.cli.console import say
    from retriever.errors import (
        CollectionNotFoundError,
        CollectionVersionError,
        ConfigError,
        CorruptCollectionError,
    )
    from retriever.pipeline import Retriever

    path = home() / f"stdlib-{'.'.join(map(str, sys.version_info[:3]))}"
    try:
        return Retriever.open(path)
    except CollectionNotFoundError:
        pass
    except (CollectionVersionError, ConfigError, CorruptCollectionError) as error:
        # Everything in it can be made again, so nobody has to repair anything.
        say(f"building the demo's collection again: {error}")
    _build(path)
    return Retriever.open(path)


def _build(path: Path) -> None:
    """Build beside the place and move it there when it is whole; a stopped build leaves nothing half."""
    import time

    from retriever.cli.console import bar, say
    from retriever.cli.stdlib_corpus import stdlib_documents
    from retriever.errors import SourceError
    from retriever.pipeline import Retriever

    started = time.perf_counter()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix="building-", dir=path.parent))
    except OSError as error:
        raise SourceError(
            f"{path.parent} cannot be written ({error.strerror}); set RETRIEVER_HOME to a folder of yours"
        ) from error
    try:
        with bar("reading and indexing the standard library's docstrings", _ABOUT) as moving:
            documents = moving.over(stdlib_documents())
            with Retriever.from_corpus(documents, path=building / "collection") as retriever:
                count = len(retriever)
        if path.exists():
            shutil.rmtree(path)
        (building / "collection").rename(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    seconds = time.perf_counter() - started
    say(f"{count:,} docstrings indexed in {seconds:.1f} s, kept in {path}")


def _say_what_next() -> None:
    from retriever.cli.console import out, program

    name = program()
    lines = {
        f'{name} demo "your question"': "ask the same collection",
        f"{name} index FOLDER --out DIR": "make your own text, Markdown, HTML or PDF searchable",
        f'{name} search DIR "your question"': "ask it",
    }
    for command, meaning in lines.items():
        out.out(f"{command:<{max(map(len, lines))}}   {meaning}", highlight=False)
