"""Results of a search as a table: where each stage put a document, and what each thought of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from retriever.cli.console import printable
from retriever.types import SearchResult, SearchTimings, StageScore

_EXCERPT = 300  # characters; a terminal shows fewer


def results_table(results: Sequence[SearchResult], *, title: str, ids: bool) -> Table:
    """Lay out results.

    :param results: best first.
    :param title: shown above.
    :param ids: whether to show ids, beside titles where there are any.
    :return: a table with final rank, first-stage rank, both scores, and the best passage's beginning.
    """
    table = Table(title=Text(printable(title), style="bold"), title_justify="left", expand=True)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("first stage", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("cross-encoder", justify="right", no_wrap=True)
    table.add_column("document", ratio=2, no_wrap=True, overflow="ellipsis")
    table.add_column("best passage", ratio=5, no_wrap=True, overflow="ellipsis")
    for result in results:
        name = printable(result.title or result.id)
        if ids and result.title and printable(result.id) != name:
            name = f"{name} [{printable(result.id)}]"
        table.add_row(
            str(result.rank),
            _first_stage(result),
            _score(result.stages.fused),
            _score(result.stages.reranked),
            Text(name, style="bold"),
            Text(printable(result.passage[:_EXCERPT])),
        )
    return table


def timings_line(timings: SearchTimings) -> str:
    """Say how long each stage took."""
    first = f"first stage {timings.first_stage_ms:.1f} ms"
    if not timings.reranked:
        return f"{first} · not reranked"
    return f"{first} · cross-encoder {timings.rerank_ms:.0f} ms for {timings.reranked} candidates"


def _first_stage(result: SearchResult) -> Text:
    """Show the first stage's rank, and how far the second stage moved the document."""
    fused = result.stages.fused
    if fused is None or fused.rank is None:
        return Text("–")
    moved = fused.rank - result.rank
    arrow, style = ("↑", "green") if moved > 0 else ("↓", "red") if moved < 0 else ("=", "dim")
    return Text(f"{fused.rank} ") + Text(f"{arrow}{abs(moved) or '':<2}", style=style)


def _score(stage: StageScore | None) -> str:
    return "–" if stage is None else f"{stage.score:.2f}"
