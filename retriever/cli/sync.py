"""`retriever sync`: bring a collection in line with a folder that changed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from retriever.cli.sources import IdField, TextField, TitleField, named_fields
from retriever.errors import RetrieverError


def sync(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Folders and files, as for index.", show_default=False),
    ],
    directory: Annotated[
        Path, typer.Option("--to", metavar="DIR", help="The collection's folder.", show_default=False)
    ],
    text_field: TextField = None,
    title_field: TitleField = None,
    id_field: IdField = None,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Go on past files and records that cannot be read; what they held before stays.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Bring a collection in line with folders: read what changed, delete what is gone.

    Give it all that the collection is made of: documents of other files, once indexed or synced, are deleted.
    Records are read with the fields that were named when they were indexed, unless others are named now.
    """
    from retriever.cli.console import counted, out, print_json, say
    from retriever.cli.opening import open_collection
    from retriever.ingest import ReadReport
    from retriever.ingest.syncing import sync as bring_in_line

    report, reached = ReadReport(), (0, 0)
    with open_collection(directory) as retriever, counted("syncing") as show:

        def progress(done: int, of: int) -> None:
            nonlocal reached
            reached = done, of
            show(done, of)

        try:
            summary = bring_in_line(
                retriever,
                sources,
                fields=named_fields(id=id_field, text=text_field, title=title_field),
                skip_unreadable=skip_unreadable,
                report=report,
                progress=progress,
            )
        except (KeyboardInterrupt, RetrieverError):
            if reached[0]:
                say(f"{reached[0]:,} of {reached[1]:,} files are in line; the same command goes on")
            raise
        size = len(retriever)
    for line in report.lines():
        say(line)
    if as_json:
        print_json(asdict(summary) | {"documents": size, "skipped": dict(report.skipped)})
        return
    out.out(
        f"{directory}: {size:,} documents; {summary.read:,} files read, {summary.unchanged:,} unchanged, "
        f"{summary.gone:,} gone; {summary.added:,} documents added, {summary.updated:,} updated, "
        f"{summary.deleted:,} deleted",
        highlight=False,
    )
