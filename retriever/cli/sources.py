"""What is to be read, and how: the same for every command that reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from retriever.ingest import RecordFields

Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE...",
        help="Folders of text, Markdown, HTML or PDF; JSONL, CSV or Parquet files; BEIR folders.",
        show_default=False,
    ),
]
TextField = Annotated[
    str | None,
    typer.Option(
        "--text-field", help="Record field with the text.", show_default="text, content, body, contents"
    ),
]
TitleField = Annotated[
    str | None,
    typer.Option("--title-field", help="Record field with the title.", show_default="title, heading"),
]
IdField = Annotated[
    str | None,
    typer.Option("--id-field", help="Record field with the id.", show_default="id, _id, else made"),
]


def named_fields(*, id: str | None, text: str | None, title: str | None) -> RecordFields | None:
    """Return the fields that were named; None where none was."""
    from retriever.ingest import RecordFields

    fields = RecordFields(id=id, text=text, title=title)
    return None if fields == RecordFields() else fields
