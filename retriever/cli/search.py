"""`retriever search`: ask a collection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retriever.pipeline import Retriever
    from retriever.types import Depth


def _parse_filter(text: str | None) -> dict[str, Any] | None:
    """Read the JSON of a filter; anything else, or what is no filter, is wrong use."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(
            f'{text[:200]!r} is no JSON ({error}); for example \'{{"lang": "en"}}\'', param_hint="--filter"
        ) from error
    if not isinstance(value, dict):
        raise typer.BadParameter(
            f'{text!r} is no JSON object; for example \'{{"lang": "en"}}\'', param_hint="--filter"
        )
    from retriever.errors import FilterError
    from retriever.store.filters import compile_filter

    try:
        compile_filter(value)
    except FilterError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from error
    return value


def _parse_depth(text: str | None) -> Depth | None:
    """Read a depth; anything but a number from 1 or "auto" is wrong use."""
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither a number from 1 nor auto", param_hint="--depth")
    return int(text)


def _field_hints(retriever: Retriever, filter: dict[str, Any] | None) -> list[str]:
    """Say of the fields in a filter's outermost conditions what they hold, or that no document has them."""
    store, hints = retriever.collection.store, []
    for field in (field for field in filter or {} if field not in ("and", "or", "not")):
        having = store.matching({field: {"exists": True}})[:1]
        documents = store.documents(store.passages.rows_of(having).tolist())
        if not documents:
            hints.append(f"No document has the metadata field {field!r}.")
        for document in documents.values():
            value = json.loads(document.metadata)
            for step in field.split("."):
                value = value[step]
            hints.append(f"The metadata field {field!r} holds, for example, {json.dumps(value)[:80]}.")
    return hints


def search(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The collection's folder.", show_default=False)
    ],
    query: Annotated[str, typer.Argument(help="A question, a claim or keywords.", show_default=False)],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="At most this many results.")] = 10,
    depth: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|auto",
            help="Candidates the reranker reads; auto stops when no other is likely to matter.",
            show_default="as the collection",
        ),
    ] = None,
    filter_json: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="JSON",
            help='Only documents whose metadata passes, as {"year": {"gte": 2020}}.',
        ),
    ] = None,
    budget_ms: Annotated[
        float | None,
        typer.Option(
            "--budget-ms",
            min=1,
            help="Milliseconds for the whole search; the reranker reads as deep as they allow.",
            show_default="as the collection",
        ),
    ] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Leave out what is less likely relevant than this.", show_default="all"
        ),
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Let the reranker decide the order.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Ask a collection; every result shows what both stages thought of it."""
    chosen, deep = _parse_filter(filter_json), _parse_depth(depth)
    if not query.strip():
        raise typer.BadParameter("the query is empty; ask something", param_hint="QUERY")
    from retriever.cli.console import out, print_json
    from retriever.cli.opening import open_collection, warm_up
    from retriever.cli.results_table import results_table, timings_line

    with open_collection(directory) as retriever:
        loaded = warm_up(retriever, rerank=rerank)
        results, timings = retriever.search_timed(
            query, k=k, depth=deep, filter=chosen, rerank=rerank,
            budget_ms=budget_ms, min_probability=min_probability,
        )  # fmt: skip
        passed = bool(results) or timings.reranked > 0  # what --min-probability kept back did pass the filter
        hints = [] if passed else _field_hints(retriever, chosen)
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
        out.print("Nothing found." if chosen is None or passed else "Nothing found that passes the filter.")
        if min_probability is not None:
            out.print(
                f"Something less relevant than with a probability of {min_probability:g} may be there; "
                "lower --min-probability, or leave it out.",
                highlight=False,
            )
        for hint in hints:
            out.print(hint, highlight=False)
        return
    out.print(results_table(results, query=query, ids=True, width=out.width))
    out.print(f"{timings_line(timings)} · loading {loaded:.1f} s", style="dim", highlight=False)
