"""Measure what a second teacher is worth: each alone and both together, as a target to fit and to train by.

    python -m distillation.recipes.compare_teachers all-MiniLM-L6-v2 all-mpnet-base-v2
        --evaluation EVAL --data TRAIN --cache CACHE --json teachers.json

EVAL holds BEIR folders, TRAIN the training pairs. The first teacher gives the vocabulary, and its fit is
what all trainings start from. The leading `--pairs` of the mixture are read by every teacher; what CACHE has
is not computed again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distillation import FittingConfig, distill, fit, train
from distillation.recipes.bundled import DIMENSIONS, START_DIMENSIONS, TEACHER_LENGTH, TRAINING
from distillation.recipes.encode_teacher import filled_cache, teacher_vectors
from distillation.recipes.held_out import held_out_sets
from distillation.recipes.measure import SETS, load_test_set, measure_all
from distillation.recipes.mixture import HELD_OUT, load_mixture, proportions
from distillation.teacher import Teacher
from retriever.cli.console import counted
from retriever.encoder import StaticEncoder

FITTING = FittingConfig(epochs=4, learning_rate=0.04)
STEPS = 80  # three passes over 28,000 pairs; more would learn them by heart


def main() -> None:
    """Read the options and run every combination."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("teachers", nargs=2, help="folders or hub ids")
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=30_000)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    teachers = [Teacher(name, max_length=TEACHER_LENGTH) for name in options.teachers]
    if len({teacher.name for teacher in teachers}) < 2:
        parser.error("the teachers have the same name, and so the same cache; rename a folder")
    pairs = [pair for pair in load_mixture(options.data)[: options.pairs] if pair.source not in HELD_OUT]
    texts = [pair.query for pair in pairs] + [pair.positive for pair in pairs]
    read = {}
    for teacher in teachers:
        with counted(f"{teacher.name} reads") as moved:
            read[teacher.name] = teacher_vectors(filled_cache(teacher, pairs, options.cache, moved), pairs)
    tests = {
        "six": [load_test_set(path) for name in SETS if (path := options.evaluation / name).is_dir()],
        "held_out": held_out_sets(options.data),
    }
    results: dict[str, Any] = {"pairs": len(pairs), "fit": {}, "train": {}}

    def note(stage: str, name: str, encoder: StaticEncoder) -> None:
        found = {kind: measure_all(encoder.encode, some)["mean"] for kind, some in tests.items()}
        results[stage][name] = found
        Console().print(stage, name, {kind: round(row["ndcg"], 4) for kind, row in found.items()})
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    start = distill(teachers[0], dimensions=START_DIMENSIONS)
    first, second = read
    combinations = {first: [read[first]], second: [read[second]], "both": list(read.values())}
    fitted = {}
    for name, some in combinations.items():
        # Side by side, cosines of two vectors of length 1 are averaged.
        wanted = np.hstack([np.concatenate([one.queries, one.passages]) for one in some])
        with counted(f"fit to {name}") as moved:
            fitted[name] = fit(
                start, texts, wanted / len(some) ** 0.5, dimensions=DIMENSIONS, config=FITTING,
                progress=lambda done, total, _, moved=moved: moved(done, total),  # type: ignore[misc]
            )  # fmt: skip
        note("fit", name, fitted[name])
    for name, some in combinations.items():
        with counted(f"train by {name}") as moved:
            trained = train(
                fitted[first], pairs, teachers=some, proportions=proportions(pairs),
                config=replace(TRAINING, steps=STEPS),
                progress=lambda done, total, _, moved=moved: moved(done, total),  # type: ignore[misc]
            )  # fmt: skip
        note("train", name, trained)


if __name__ == "__main__":
    main()
