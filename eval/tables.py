"""The terminal's tables."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from eval.attribution import FATES, Attribution, LostQuery
from eval.evaluation import Evaluation
from eval.metrics import label
from eval.significance import Comparison
from eval.study_result import SettingResult, TradeoffResult
from retriever.cli.console import printable


def evaluation_table(evaluation: Evaluation) -> Table:
    """Lay out what each stage reached and what it took.

    :param evaluation: the measured stages.
    :return: one line a stage; the best of each measure in bold.
    """
    measures = list(evaluation.stages[0].scores.values)
    table = Table(
        title=f"{evaluation.dataset}: {evaluation.documents:,} documents, {evaluation.queries:,} queries"
    )
    table.add_column("stage")
    for measure in measures:
        table.add_column(label(measure), justify="right")
    for column in ("ms a query", "p50", "p99"):
        table.add_column(column, justify="right")
    best = {measure: max(result.scores.mean(measure) for result in evaluation.stages) for measure in measures}
    for result in evaluation.stages:
        cells = []
        for measure in measures:
            found = result.interval(measure)
            # The interval belongs to the first measure, the one decisions are taken on.
            text = str(found) if measure == measures[0] else f"{found.mean:.3f}"
            cells.append(Text(text, style="bold" if found.mean == best[measure] else ""))
        name = f"{result.stage} (depth {evaluation.depth})" if result.stage == "reranked" else result.stage
        latency = result.latency
        table.add_row(name, *cells, f"{latency.mean:.1f}", f"{latency.p50:.1f}", f"{latency.p99:.1f}")
    return table


def evaluation_notes(evaluation: Evaluation) -> list[str]:
    """Say what a reader has to know to judge the figures.

    :param evaluation: the measured stages.
    :return: lines of text.
    """
    last = evaluation.stages[-1].scores
    notes = [
        "± is half the 95 % bootstrap interval over queries. "
        f"{last.unjudged:,} of the {last.retrieved:,} documents in the first ten have no judgment "
        "and count as not relevant."
    ]
    if evaluation.index_seconds is not None:
        rate = evaluation.documents / evaluation.index_seconds
        notes.append(f"Indexed in {evaluation.index_seconds:.1f} s, {rate:,.0f} documents a second.")
    if evaluation.dropped:
        notes.append(f"{evaluation.dropped} judged queries have no text and were left out.")
    if evaluation.unknown:
        notes.append(
            f"{evaluation.unknown} relevant documents are not in the collection and cannot be found."
        )
    return notes


def comparison_table(comparisons: list[Comparison], name_b: str, name_a: str) -> Table:
    """Lay out paired comparisons.

    :param comparisons: one a measure.
    :param name_b: the run that is held against the other.
    :param name_a: the other.
    :return: one line a comparison; significant ones in bold.
    """
    table = Table(title=f"B = {name_b} against A = {name_a}")
    table.add_column("measure")
    columns = ("A", "B", "B - A", "95 % interval", "win/tie/loss", "p random.", "p Holm", "p t test")
    for column in columns:
        table.add_column(column, justify="right")
    for found in comparisons:
        gap = found.difference
        cells = [
            label(found.measure),
            f"{found.mean_a:.4f}",
            f"{found.mean_b:.4f}",
            f"{gap.mean:+.4f}",
            f"{gap.low:+.4f} to {gap.high:+.4f}",
            f"{found.wins}/{found.ties}/{found.losses}",
            f"{found.p_randomization:.4f}",
            f"{found.p_corrected:.4f}",
            f"{found.p_t:.4f}",
        ]
        table.add_row(*cells, style="bold" if found.p_corrected < 0.05 else None)
    return table


def tradeoff_table(result: TradeoffResult, chosen: SettingResult | None = None) -> Table:
    """Lay out a study's settings.

    :param result: the measured grid.
    :param chosen: the recommended setting, marked.
    :return: one line a setting; "*" stands on the Pareto front, ">" is recommended.
    """
    queries = len(result.dataset.queries)
    title = f"{result.dataset.name}: {result.documents:,} documents, {queries:,} queries"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("first stage", no_wrap=True)
    others = result.measures[1:]
    columns = ("dims", "depth", result.measure, *map(label, others), "recall@depth")
    for column in (*columns, "first ms,p50/p99", "rerank ms,p50/p99", "pairs", "bytes", "index,s"):
        # Headings of two lines leave the width to the figures.
        table.add_column(column.replace("@", "\n@").replace(",", "\n"), justify="right", no_wrap=True)
    front = {entry.setting for entry in result.pareto()}
    several = len({entry.setting.reranker for entry in result.settings}) > 2
    for entry in result.settings:
        setting = entry.setting
        second = f" + {setting.reranker}" if several and setting.reranker else ""
        table.add_row(
            ("*" if setting in front else "") + (">" if entry is chosen else ""),
            setting.first_stage + second,
            str(setting.dimensions or "-"),
            str(setting.depth),
            str(entry.interval),
            *(f"{entry.scores.mean(name):.3f}" for name in others),
            "-" if entry.recall_at_depth is None else f"{entry.recall_at_depth:.3f}",
            f"{entry.first_stage.p50:.1f}/{entry.first_stage.p99:.0f}",
            f"{entry.rerank.p50:.0f}/{entry.rerank.p99:.0f}" if setting.depth else "-",
            f"{entry.pairs:.0f}",
            f"{entry.bytes_per_passage:.0f}",
            f"{entry.encode_seconds:.1f}",
            style="bold" if entry is chosen else None,
        )
    return table


def attribution_table(attribution: Attribution) -> Table:
    """Lay out where answers were lost.

    :param attribution: every query's fate.
    :return: one line a fate, with its share.
    """
    depth = f"depth {attribution.depth}" if attribution.depth else "not reranked"
    table = Table(title=f"Where the answers are, first {attribution.k}, {depth}")
    table.add_column("fate")
    table.add_column("queries", justify="right")
    table.add_column("share", justify="right")
    table.add_column("meaning")
    counts, shares = attribution.counts(), attribution.shares()
    for fate, meaning in FATES.items():
        table.add_row(
            fate,
            str(counts[fate]),
            f"{shares[fate]:.1%}",
            meaning.replace("first k", f"first {attribution.k}"),
        )
    return table


def lost_table(lost: list[LostQuery]) -> Table:
    """Lay out lost queries with their documents.

    :param lost: queries with texts.
    :return: one line a query.
    """
    table = Table(title="Lost queries")
    for column in ("fate", "query", "relevant document"):
        table.add_column(column)
    for column in ("first stage", "final"):
        table.add_column(column, justify="right")
    for one in lost:
        text = (
            "not in the collection" if one.document is None else one.document.title or one.document.text[:100]
        )
        fate = one.fate
        table.add_row(
            fate.fate,
            printable(one.query),
            printable(f"{fate.document}: {text}"),
            "-" if fate.first_rank is None else str(fate.first_rank),
            "-" if fate.final_rank is None else str(fate.final_rank),
        )
    return table
