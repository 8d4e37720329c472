"""`retriever info`: what a collection holds and how it is searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retriever.pipeline import Retriever


def info(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The collection's folder.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show what a collection holds and how it is searched."""
    from rich.table import Table
    from rich.text import Text

    from retriever.cli.console import out, print_json
    from retriever.cli.opening import open_collection
    from retriever.config import RetrieverConfig

    with open_collection(directory) as retriever:
        facts = _facts(retriever, directory)
    if as_json:
        print_json(facts)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("collection", Text(str(directory)))
    table.add_row("documents", f"{facts['documents']:,} in {facts['passages']:,} passages")
    disk = " · ".join(f"{name} {_size(size)}" for name, size in facts["disk_bytes"].items() if size)
    table.add_row("disk", f"{_size(sum(facts['disk_bytes'].values()))} ({disk})")
    defaults = RetrieverConfig().model_dump()
    for name, value in facts["config"].items():
        # The number of dimensions is only known once the encoder is loaded.
        shown = (
            f"{facts['dimensions']} (all of the encoder's)"
            if name == "dimensions" and value is None
            else value
        )
        table.add_row(Text(name), Text(f"{shown}{'' if value == defaults[name] else '  (not the default)'}"))
    out.print(table)


def _facts(retriever: Retriever, directory: Path) -> dict[str, Any]:
    return {
        "documents": len(retriever),
        "passages": retriever.collection.store.count_passages(),
        "dimensions": retriever.encoder.dimensions,
        "disk_bytes": _disk(directory),
        "config": retriever.config.model_dump(mode="json"),
    }


def _disk(directory: Path) -> dict[str, int]:
    """Return bytes on disk by part of the collection."""
    parts = {"documents": 0, "vectors": 0, "lexical": 0, "other": 0}
    for path in directory.rglob("*"):
        if path.is_file():
            part = path.relative_to(directory).parts[0].split(".")[0].split("-")[0]
            parts[part if part in parts else "other"] += path.stat().st_size
    return parts


def _size(count: float) -> str:
    """Return bytes as a person reads them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
