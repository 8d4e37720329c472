"""Measure what each step of distillation without text is worth.

    python -m distillation.recipes.ablate DATA TEACHER --corpus PAIRS --json ablations.json

DATA holds BEIR folders, PAIRS the training pairs, whose passages token frequencies are counted on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from distillation import distill, quantize
from distillation.recipes.measure import SETS, load_test_set, measure_all
from distillation.recipes.mixture import load_mixture
from distillation.teacher import Teacher

_VARIANTS: dict[str, dict[str, Any]] = {
    "256 dimensions, PCA, Zipf weights (default)": {},
    "no weights": {"weighting": "none"},
    "weights counted on 20,000 passages": {"corpus": True},
    "no PCA: leading dimensions": {"pca": False},
    "no PCA, all 384 dimensions": {"pca": False, "dimensions": 384},
    "PCA, all 384 dimensions": {"dimensions": 384},
    "128 dimensions": {"dimensions": 128},
    "position weights, decay 8": {"position_decay": 8.0},
    "pooling: first token": {"pooling": "first"},
    "pooling: last token": {"pooling": "last"},
}
_ROWS = 10_000


def main() -> None:
    """Run every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    tests = [load_test_set(options.data / name) for name in SETS if (options.data / name).is_dir()]
    passages = [pair.positive for pair in load_mixture(options.corpus)[:20_000]]
    console, results = Console(), {}
    for name, changes in _VARIANTS.items():
        pooling = changes.pop("pooling", None)
        if "corpus" in changes:
            changes["corpus"] = passages
        started = time.perf_counter()
        encoder = distill(Teacher(options.teacher, pooling=pooling), **changes)
        seconds = time.perf_counter() - started
        table = measure_all(encoder.encode, tests, hybrid=False)
        results[name] = table | {"seconds": round(seconds, 1)}
        console.print(name, round(table["mean"]["ndcg"], 4), f"{seconds:.1f} s")
        if name.endswith("(default)"):
            for label, small in (
                ("default, int8", quantize(encoder)),
                (f"default, {_ROWS:,} shared rows", quantize(encoder, rows=_ROWS, int8=False)),
            ):
                results[label] = measure_all(small.encode, tests, hybrid=False)
                console.print(label, round(results[label]["mean"]["ndcg"], 4))
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
