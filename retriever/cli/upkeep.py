"""`retriever compact` and `retriever rebuild`: upkeep of a collection."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

_Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="The collection's folder.", show_default=False)
]


def compact(directory: _Directory) -> None:
    """Close the gaps that changes left in a collection, and give the disk space back."""
    from retriever.cli.console import out
    from retriever.cli.opening import open_collection

    before, started = _disk(directory), time.perf_counter()
    with open_collection(directory) as retriever:
        retriever.compact()
    seconds = time.perf_counter() - started
    out.out(
        f"{directory}: {before / 1e6:,.1f} MB before, {_disk(directory) / 1e6:,.1f} MB now; {seconds:.1f} s",
        highlight=False,
    )


def rebuild(
    directory: _Directory,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Another static encoder: a folder, which has to stay where it is, or a hub id.",
            show_default="the collection's",
        ),
    ] = None,
) -> None:
    """Make a collection's indexes again from its documents, with another encoder if you like."""
    from retriever.cli.console import out
    from retriever.pipeline import Retriever

    started = time.perf_counter()
    with Retriever.rebuild(directory, encoder=encoder) as retriever:
        size, name = len(retriever), retriever.config.encoder
    out.out(
        f"{directory}: indexes of {size:,} documents made again in {time.perf_counter() - started:.1f} s "
        f"with the encoder {name}",
        highlight=False,
    )


def _disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
