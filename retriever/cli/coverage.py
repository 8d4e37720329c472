"""`retriever coverage`: how well the encoder's vocabulary covers a corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from retriever.cli.sources import IdField, Sources, TextField, TitleField, named_fields

if TYPE_CHECKING:
    from retriever.encoder import VocabularyCoverage


def coverage(
    sources: Sources,
    encoder: Annotated[
        str | None, typer.Option(help="Static encoder: a folder or hub id.", show_default="bundled")
    ] = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    id_field: IdField = None,
    top: Annotated[int, typer.Option(min=1, help="Words listed.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show what the encoder's vocabulary does not cover in a corpus, and what own words would cost."""
    from retriever.cli.console import bar, print_json
    from retriever.encoder import StaticEncoder
    from retriever.ingest import read_sources

    loaded = StaticEncoder.load(encoder)
    fields = named_fields(id=id_field, text=text_field, title=title_field)
    documents = read_sources(sources, fields=fields)
    with bar("reading", None) as progress:
        texts = (f"{document.title} {document.text}" for document in progress.over(documents))
        report = loaded.coverage(texts, top=top)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)


def _print(report: VocabularyCoverage) -> None:
    """Print the report for a person."""
    from rich.table import Table
    from rich.text import Text

    from retriever.cli.console import out, printable

    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    facts.add_row("texts", f"{report.texts:,}")
    facts.add_row("words", f"{report.words:,}, {report.pieces_per_word:.2f} tokens each")
    facts.add_row("unknown tokens", f"{report.unknown_tokens:,} ({report.unknown_share:.2%})")
    out.print(facts)
    if not report.fragmented:
        out.print("No word falls into three or more pieces.")
        return
    table = Table(title="Most frequent words of three or more pieces", title_justify="left")
    table.add_column("word")
    table.add_column("count", justify="right")
    table.add_column("pieces")
    for item in report.fragmented:
        table.add_row(
            Text(printable(item.word)), f"{item.count:,}", Text(printable(" ".join(item.pieces)), style="dim")
        )
    out.print(table)
    out.print(
        f"As own words they would take {report.cost_bytes / 1000:,.1f} kB of table rows and make up "
        f"{report.fragmented_share:.2%} of all words; a word would be "
        f"{report.pieces_per_word_after:.2f} tokens: StaticEncoder.with_vocabulary(words)."
    )
