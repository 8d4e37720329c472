"""What a trade-off study costs beside its deepest setting, and whether the times it reads off are right.

``python -m eval.bench.study_cost BEIR_FOLDER --dimensions 64,128,192,256 --out FILE``
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from eval.cli.console import out, write_json
from eval.datasets import Dataset, load_beir
from eval.environment import environment
from eval.recommendation import recommend
from eval.report.page import write_report
from eval.study_result import Setting, TradeoffResult
from eval.tradeoff import DEPTHS, TradeoffStudy
from retriever import Retriever, RetrieverConfig
from retriever.config import BUNDLED

_CHECKED_DEPTHS = (10, 50)  # searched directly and held against what was read off


def main(
    folder: Annotated[Path, typer.Argument(help="A BEIR folder.")],
    *,
    dimensions: Annotated[str, typer.Option(help="Dimensions of the grid.")] = "64,128,192,256",
    sample: Annotated[int | None, typer.Option(help="Ask only this many queries.")] = None,
    checked: Annotated[int, typer.Option(help="Queries searched directly at each checked depth.")] = 30,
    report: Annotated[Path | None, typer.Option(help="Folder for the grid's report and figures.")] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
) -> None:
    """Time the deepest single setting, then the whole grid, then searches as a user makes them."""
    dataset = load_beir(folder)
    if sample is not None:
        dataset = dataset.sample(sample)
    widths = [int(width) for width in dimensions.split(",")]
    single = TradeoffStudy(dataset, depths=(max(DEPTHS),), dimensions=(max(widths),)).run()
    grid = TradeoffStudy(dataset, depths=DEPTHS, dimensions=widths).run()
    if report is not None:
        _write_report(report, grid)
    result = {
        "command": " ".join(["python -m eval.bench.study_cost", *sys.argv[1:]]),
        "dataset": dataset.name,
        "queries": len(dataset.queries),
        "depths": list(DEPTHS),
        "dimensions": widths,
        "settings": len(grid.settings),
        "deepest_single": {"seconds": round(single.seconds, 1), "pairs": single.pairs_scored},
        "grid": {"seconds": round(grid.seconds, 1), "pairs": grid.pairs_scored},
        "grid_over_single_seconds": round(grid.seconds / single.seconds, 3),
        "grid_over_single_pairs": round(grid.pairs_scored / single.pairs_scored, 3),
        "rerank_ms_p50_read_off_against_searched": _compare_times(dataset, grid, max(widths), checked),
        "environment": environment(),
    }
    if out_file is not None:
        write_json(out_file, result)
    out.print_json(data=result)


def _write_report(folder: Path, grid: TradeoffResult) -> None:
    """Write the page, the pictures and the figures that `retriever tradeoff` writes."""
    advice = recommend(grid)
    attribution = grid.attribute(advice.result.setting)
    found = {"recommendation": advice.to_dict(), "attribution": attribution.to_dict()}
    write_json(folder / "tradeoff.json", grid.to_dict() | found)
    write_report(folder, grid, advice, attribution, grid.lost(attribution))


def _compare_times(dataset: Dataset, grid: TradeoffResult, width: int, checked: int) -> list[dict[str, Any]]:
    """Search some queries as a user does, and set their times beside those read off for all."""
    rows = []
    texts = list(dataset.queries.values())[:checked]
    with Retriever.from_corpus(
        dataset.documents or (), config=RetrieverConfig(dimensions=width)
    ) as retriever:
        retriever.search(texts[0], depth=1)
        for depth in _CHECKED_DEPTHS:
            times = [retriever.search_timed(text, depth=depth)[1].rerank_ms for text in texts]
            entry = grid.find(Setting("hybrid zscore", width, BUNDLED, depth))
            read_off = round(entry.rerank.p50, 1)
            rows.append({"depth": depth, "read_off": read_off, "searched": round(float(np.median(times)), 1)})
    return rows


if __name__ == "__main__":
    typer.run(main)
