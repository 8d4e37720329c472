"""How build time, disk and latency grow with the number of passages, on two logarithmic axes.

``python -m eval.bench.scale_plot eval/results/scale.json --out eval/results/scale.png``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_Pick = Callable[[dict[str, Any]], Any]
PANELS: dict[str, dict[str, _Pick]] = {
    "build, seconds": {
        "this project": lambda one: one["build"]["seconds"],
        "model2vec + FAISS + bm25s": lambda one: one["peers"]["seconds"],
        "LanceDB, our vectors": lambda one: one["lancedb"]["seconds"],
    },
    "peak memory while building, MB": {
        "this project": lambda one: one["build"]["peak_memory_mb"],
        "model2vec + FAISS + bm25s": lambda one: one["peers"]["peak_memory_mb"],
        "LanceDB, our vectors": lambda one: one["lancedb"]["peak_memory_mb"],
    },
    "on disk, MB": {
        "this project": lambda one: one["build"]["disk_mb"],
        "model2vec + FAISS + bm25s": lambda one: one["peers"]["disk_mb"],
        "LanceDB, our vectors": lambda one: one["lancedb"]["disk_mb"],
    },
    "first stage p50, ms": {
        "hybrid": lambda one: one["search"]["hybrid_ms"]["p50"],
        "hybrid, p99": lambda one: one["search"]["hybrid_ms"]["p99"],
        "hybrid, 16 clients": lambda one: one["search"]["hybrid_ms_16_clients"]["p50"],
        "dense": lambda one: one["search"]["dense_ms"]["p50"],
        "filter keeping 1 %": lambda one: one["search"]["filtered_ms"]["1 %"]["p50"],
        "model2vec + FAISS + bm25s": lambda one: one["peers"]["both_halves_ms"]["p50"],
        "LanceDB, our vectors": lambda one: one["lancedb"]["both_halves_ms"]["p50"],
    },
    "recall@100 of exact search": {
        "this project": lambda one: one["search"]["recall_at_100"],
        "LanceDB, our vectors": lambda one: one["lancedb"]["recall_at_100"],
    },
}


def points(sizes: dict[str, Any], pick: _Pick) -> tuple[list[int], list[float]]:
    """The sizes at which a figure was measured, and the figure."""
    found = []
    for size, one in sizes.items():
        try:
            found.append((int(size), float(pick(one))))
        except KeyError:  # not measured at this size
            continue
    found.sort()
    return [size for size, _ in found], [value for _, value in found]


def main() -> None:
    """Read the benchmark's JSON and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = json.loads(options.results.read_text(encoding="utf-8"))["sizes"]
    figure, every = pyplot.subplots(1, len(PANELS), figsize=(4.2 * len(PANELS), 3.6), layout="constrained")
    for axes, (title, lines) in zip(every, PANELS.items(), strict=True):
        for name, pick in lines.items():
            x, y = points(sizes, pick)
            if x:
                axes.loglog(x, y, marker="o", label=name)
        axes.set_title(title)
        axes.set_xlabel("passages")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
