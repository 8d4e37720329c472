"""`retriever questions`: a test set out of a collection that has no judgments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from eval.cli.console import counted, made_folder, out, print_json, write_json
from eval.cli.evaluate import JsonOption
from eval.datasets import write_beir
from eval.questions import CAVEAT, Kind, make_questions
from retriever import Retriever
from retriever.cli.sources import IdField, TextField, TitleField, named_fields
from retriever.errors import CollectionNotFoundError, InvalidInputError
from retriever.ingest import RecordFields, read_sources
from retriever.types import Document

_KINDS: dict[str, Kind] = {"title": "title", "heading": "heading", "sentence": "sentence"}


def questions(
    source: Annotated[Path, typer.Argument(help="A collection's folder, or files and folders as for index.")],
    *,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the BEIR data set to be written.")],
    text_field: TextField = None,
    title_field: TitleField = None,
    id_field: IdField = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many questions.")] = 300,
    kinds: Annotated[str, typer.Option(help="Which of title, heading, sentence.")] = "title,heading,sentence",
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make a test set of a collection's own titles, headings and first sentences.

    Each is taken out of the text that answers it. Give the folder to eval or tradeoff.
    """
    chosen = tuple(_kind(name.strip()) for name in kinds.split(",") if name.strip())
    made_folder(out_folder)
    with counted("reading") as progress:
        documents = []
        fields = named_fields(id=id_field, text=text_field, title=title_field)
        for done, document in enumerate(_documents(source, fields), 1):
            documents.append(document)
            progress(done, done)
    made = make_questions(documents, name=out_folder.name, limit=limit, kinds=chosen, seed=seed)
    write_beir(out_folder, made.dataset)
    summary = {
        "questions": len(made.dataset.queries),
        "kinds": made.kinds,
        "documents": len(documents),
        "documents_without_a_question": made.skipped,
        "seed": seed,
        "caveat": CAVEAT,
    }
    write_json(out_folder / "about.json", summary)
    if json:
        print_json(summary)
        return
    by_kind = ", ".join(f"{count} {kind}s" for kind, count in made.kinds.items())
    out.print(
        f"{len(made.dataset.queries)} questions ({by_kind}) from {len(documents):,} documents.",
        highlight=False,
    )
    out.print(CAVEAT, style="dim", highlight=False)
    out.print(f"Next: retriever tradeoff {out_folder}", highlight=False, soft_wrap=True)


def _documents(source: Path, fields: RecordFields | None) -> Iterable[Document]:
    """Read a collection, or sources that were never indexed."""
    try:
        with Retriever.open(source) as retriever:
            yield from retriever
    except CollectionNotFoundError:
        yield from read_sources([source], fields=fields)


def _kind(name: str) -> Kind:
    if name not in _KINDS:
        raise InvalidInputError(f"'{name}' is not a kind of question; there are {', '.join(_KINDS)}")
    return _KINDS[name]
