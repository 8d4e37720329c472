"""`retriever search`: ask a collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def _parse_filter(text: str | None) -> dict[str, Any] | None:
    """Read the JSON of a filter; anything else is wrong use."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f'{text!r} is no JSON ({error}); for example \'{{"lang": "en"}}\''
        ) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(f'{text!r} is no JSON object; for example \'{{"lang": "en"}}\'')
    return value


def search(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The collection's folder.", show_default=False)
    ],
    query: Annotated[str, typer.Argument(help="A question, a claim or keywords.", show_default=False)],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="At most this many results.")] = 10,
    depth: Annotated[
        int | None,
        typer.Option(min=1, help="Candidates the reranker reads.", show_default="as the collection"),
    ] = None,
    filter_json: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="JSON",
            help='Only documents whose metadata passes, as {"year": {"gte": 2020}}.',
        ),
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Let the reranker decide the order.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Ask a collection; every result shows what both stages thought of it."""
    chosen = _parse_filter(filter_json)
    from retriever.cli.console import out, print_json
    from retriever.cli.opening import open_collection, warm_up
    from retriever.cli.results_table import results_table, timings_line

    with open_collection(directory) as retriever:
        loaded = warm_up(retriever, rerank=rerank)
        results, timings = retriever.search_timed(query, k=k, depth=depth, filter=chosen, rerank=rerank)
    if as_json:
        print_json(
            {
                "query": query,
                "load_ms": loaded * 1e3,
                "first_stage_ms": timings.first_stage_ms,
                "rerank_ms": timings.rerank_ms,
                "reranked": timings.reranked,
                "results": [result.to_dict() for result in results],
            }
        )
        return
    if not results:
        out.print("Nothing found." if chosen is None else "Nothing found that passes the filter.")
        return
    out.print(results_table(results, title=query, ids=True, width=out.width))
    out.print(f"{timings_line(timings)} · loading {loaded:.1f} s", style="dim", highlight=False)
