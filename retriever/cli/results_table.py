"""Results of a search as a table: where each stage put a document, and what each thought of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from retriever.cli.console import printable
from retriever.lexical.matched_words import excerpt
from retriever.types import SearchResult, SearchTimings, StageScore

_NUMBERS = 48  # columns of the terminal that ranks and scores take, with the space between all columns
_READ = 20_000  # characters of a passage that an excerpt is looked for in
_SHORTEST = 16  # columns left for a name and a passage, however narrow the terminal


def results_table(results: Sequence[SearchResult], *, query: str, ids: bool, width: int) -> Table:
    """Lay out results.

    :param results: best first.
    :param query: shown above; of each passage the part is shown that holds most of its words.
    :param ids: whether to show ids, beside titles where there are any.
    :param width: of the terminal, in columns.
    :return: a table with final rank, first-stage rank, both scores, and an excerpt of the best passage.
    """
    table = Table(
        title=Text(printable(query), style="bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("final\nrank", "first stage\nrank", "\nscore", "\nreranker"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("\ndocument", no_wrap=True)
    table.add_column("\nbest passage", no_wrap=True)
    names = [_name(result, ids) for result in results]
    longest = max(_SHORTEST, (width - _NUMBERS) // 3)
    taken = min(longest, max((cell_len(name) for name in names), default=0))
    left = max(_SHORTEST, width - _NUMBERS - taken)
    for result, name in zip(results, names, strict=True):
        table.add_row(
            str(result.rank),
            _first_stage(result),
            _score(result.stages.fused),
            _score(result.stages.reranked),
            _cut(name, longest, style="bold"),
            _cut(excerpt(query, printable(result.passage[:_READ]), left), left),
        )
    return table


def timings_line(timings: SearchTimings) -> str:
    """Say how long each stage took."""
    first = f"first stage {timings.first_stage_ms:.1f} ms"
    if not timings.reranked:
        return f"{first} · not reranked"
    return f"{first} · reranker {timings.rerank_ms:.0f} ms for {timings.reranked} candidates"


def _name(result: SearchResult, ids: bool) -> str:
    """Return the title, and the id where it is asked for and says something else."""
    id, title = printable(result.id), printable(result.title)
    if not title:
        return id
    return f"{title} [{id}]" if ids and id != title else title


def _cut(text: str, columns: int, *, style: str = "") -> Text:
    """Cut a text to a number of columns, with an ellipsis where something is missing."""
    cut = Text(text, style=style)
    cut.truncate(columns, overflow="ellipsis")
    return cut


def _first_stage(result: SearchResult) -> Text:
    """Show the first stage's rank, and how far the second stage moved the document."""
    fused = result.stages.fused
    if fused is None or fused.rank is None:
        return Text("–")
    moved = fused.rank - result.rank
    arrow, style = ("↑", "green") if moved > 0 else ("↓", "red") if moved < 0 else ("=", "dim")
    return Text(f"{fused.rank} ") + Text(f"{arrow}{abs(moved) or '':<3}", style=style)


def _score(stage: StageScore | None) -> str:
    return "–" if stage is None else f"{stage.score:.2f}"
