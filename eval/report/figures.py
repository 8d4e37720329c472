"""The pictures of a trade-off study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.study_result import SettingResult, TradeoffResult
from retriever.errors import MissingExtraError

_SIZE = (7.2, 4.3)  # inches
_DPI = 150
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A")  # Okabe and Ito
_MARKED = "#111111"


def draw(folder: Path, result: TradeoffResult, chosen: SettingResult) -> dict[str, Path]:
    """Draw the pictures that apply and write them as PNG files.

    :param folder: where they go; made if absent.
    :param result: the measured grid.
    :param chosen: the recommended setting, marked.
    :return: name ("quality", "recall", "dimensions") to file, in the order to be shown.
    :raises MissingExtraError: if matplotlib is not installed.
    """
    pyplot = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Any, TradeoffResult, SettingResult], None]] = {"quality": _quality}
    if result.upper_bounds and any(result.upper_bounds.values()):
        pictures["recall"] = _recall
    if len(_widths(result)) > 1:
        pictures["dimensions"] = _dimensions
    files = {}
    for name, paint in pictures.items():
        figure, axes = pyplot.subplots(figsize=_SIZE, dpi=_DPI, layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.6)
        paint(axes, result, chosen)
        files[name] = folder / f"{name}.png"
        figure.savefig(files[name])
        pyplot.close(figure)
    return files


def _pyplot() -> Any:
    """Import matplotlib without a display, or say how to get it."""
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError(
            "the report's pictures need matplotlib: pip install 'two-stage-retriever[report]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _quality(axes: Any, result: TradeoffResult, chosen: SettingResult) -> None:
    """Quality against time: one line a first stage and reranker, the Pareto front, the recommendation."""
    for colour, (name, entries) in zip(_cycle(), _lines(result).items(), strict=False):
        times = [entry.total.p50 for entry in entries]
        heights = [entry.quality for entry in entries]
        axes.plot(times, heights, color=colour, alpha=0.55, linewidth=1.2, zorder=2)
        axes.scatter(times, heights, color=colour, s=22, label=name, zorder=3)
    front = result.pareto()
    axes.plot(
        [entry.total.p50 for entry in front],
        [entry.quality for entry in front],
        color=_MARKED,
        linestyle="--",
        drawstyle="steps-post",
        linewidth=1.1,
        label="Pareto front",
        zorder=4,
    )
    half = [[chosen.quality - chosen.interval.low], [chosen.interval.high - chosen.quality]]
    axes.errorbar(
        chosen.total.p50, chosen.quality, yerr=half, color=_MARKED, capsize=4, linewidth=1.4, zorder=5
    )
    axes.scatter(
        chosen.total.p50,
        chosen.quality,
        marker="*",
        s=210,
        color="#F0E442",
        edgecolor=_MARKED,
        label="recommended, 95 % interval",
        zorder=6,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("median milliseconds a query (logarithmic)")
    axes.set_ylabel(result.measure)
    axes.set_title("What more time buys")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _recall(axes: Any, result: TradeoffResult, chosen: SettingResult) -> None:
    """Recall, what a perfect reranker would reach, and what the reranker reaches, against depth."""
    stage = chosen.setting.stage
    entries = sorted(
        (entry for entry in result.settings if entry.setting.stage == stage and entry.setting.depth),
        key=lambda entry: entry.setting.depth,
    )
    first = next(
        entry for entry in result.settings if entry.setting.stage == stage and not entry.setting.depth
    )
    rerankers = list(dict.fromkeys(entry.setting.reranker for entry in entries))
    bounds = result.upper_bounds[stage]
    recall = {depth: first.scores.mean(f"R@{depth}") for depth in bounds}
    axes.plot(
        list(recall),
        list(recall.values()),
        "o-",
        color=_COLOURS[0],
        label="recall@depth: reaches the reranker",
    )
    axes.plot(
        list(bounds),
        list(bounds.values()),
        "s--",
        color=_COLOURS[2],
        label=f"{result.measure} of a perfect reranker",
    )
    for colour, name in zip((_COLOURS[1], *_COLOURS[3:]), rerankers, strict=False):
        mine = [entry for entry in entries if entry.setting.reranker == name]
        axes.plot(
            [0, *(entry.setting.depth for entry in mine)],
            [first.quality, *(entry.quality for entry in mine)],
            "^-",
            color=colour,
            label=f"{result.measure} reached, reranker {name}",
        )
    axes.set_xlabel("depth: documents reranked a query")
    axes.set_ylabel("mean over queries")
    axes.set_ylim(top=1.0)
    axes.set_title(f"What depth can give, and what it gives ({stage[0]}, {stage[1] or '-'} dimensions)")
    axes.legend(fontsize=8, frameon=False)


def _dimensions(axes: Any, result: TradeoffResult, chosen: SettingResult) -> None:
    """Quality against the number of dimensions, without reranking and at the recommended depth."""
    widths = _widths(result)
    depths = sorted({0, chosen.setting.depth or max(entry.setting.depth for entry in result.settings)})
    names = {
        chosen.setting.reranker
        or next((e.setting.reranker for e in result.settings if e.setting.reranker), None),
        None,
    }
    for colour, depth in zip(_cycle(), depths, strict=False):
        mine = sorted(
            (
                entry
                for entry in result.settings
                if entry.setting.first_stage == chosen.setting.first_stage
                and entry.setting.depth == depth
                and entry.setting.reranker in names
                and entry.setting.dimensions in widths
            ),
            key=lambda entry: entry.setting.dimensions or 0,
        )
        x = [entry.setting.dimensions or 0 for entry in mine]
        axes.plot(
            x,
            [entry.quality for entry in mine],
            "o-",
            color=colour,
            label=f"depth {depth}" if depth else "not reranked",
        )
        axes.fill_between(
            x,
            [e.interval.low for e in mine],
            [e.interval.high for e in mine],
            color=colour,
            alpha=0.13,
            linewidth=0,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [f"{width}\n{4 * width} B" for width in widths])
    axes.minorticks_off()
    axes.set_xlabel("dimensions, and bytes a passage of their float32 vectors")
    axes.set_ylabel(result.measure)
    axes.set_title("What dimensions buy (band: 95 % interval)")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _lines(result: TradeoffResult) -> dict[str, list[SettingResult]]:
    """Group settings into the lines of the quality picture: same first stage and reranker, depth rising."""
    named = list(dict.fromkeys(e.setting.reranker for e in result.settings if e.setting.reranker))
    rerankers: list[str | None] = [*named] if named else [None]
    lines: dict[str, list[SettingResult]] = {}
    for entry in result.settings:
        for reranker in rerankers:
            if entry.setting.reranker not in (None, reranker):
                continue
            width = f" {entry.setting.dimensions}d" if entry.setting.dimensions else ""
            suffix = f" + {reranker}" if len(rerankers) > 1 else ""
            lines.setdefault(f"{entry.setting.first_stage}{width}{suffix}", []).append(entry)
    return {name: sorted(entries, key=lambda entry: entry.setting.depth) for name, entries in lines.items()}


def _widths(result: TradeoffResult) -> list[int]:
    """Return the dimensions tried with the project's own first stage."""
    return sorted(
        {e.setting.dimensions for e in result.settings if e.config is not None and e.setting.dimensions}
    )


def _cycle() -> list[str]:
    return list(_COLOURS) * 20
