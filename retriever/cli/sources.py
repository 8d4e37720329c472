"""The argument that names what is to be read, the same for every command that reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE...",
        help="Folders of text, Markdown, HTML or PDF; JSONL, CSV or Parquet files; BEIR folders.",
        show_default=False,
    ),
]
