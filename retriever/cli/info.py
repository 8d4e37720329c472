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
    for name, shown in _index_rows(facts["index"]):
        table.add_row(name, Text(shown))
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
        "index": retriever.info().to_dict(),
        "disk_bytes": _disk(directory),
        "config": retriever.config.model_dump(mode="json"),
    }


def _index_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Say which vector index is in use, why, and how well it does."""
    if facts["index"] is None:
        return []
    settings = ", ".join(f"{name} {value}" for name, value in facts["index_settings"].items())
    rows = [
        ("vector index", f"{facts['index']}{f' ({settings})' if settings else ''}: {facts['index_reason']}"),
        ("vectors", f"{_size(facts['vector_bytes'])} of memory"),
    ]
    if facts["recall"] is not None:
        measured = facts["measured_passages"]
        over = f", measured at {measured[0]:,} passages over {measured[1]:,}" if measured else ""
        exact = " (exact)" if facts["index"] == "flat" else ""
        rows.append(("recall@100", f"{facts['recall']:.3f} of exact search{exact}{over}"))
    if facts["latency_ms"] is not None:
        rows.append(("vector search", f"{facts['latency_ms']:.2f} ms, median"))
    if facts["filtered_fields"]:
        rows.append(("filter indexes", ", ".join(facts["filtered_fields"])))
    return rows


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
