"""Make the bundled encoder, third edition.

    python -m distillation.recipes.bundled --data DATA --teacher all-MiniLM-L6-v2 --cache CACHE --out OUT

DATA holds the training pairs, TEACHER is a folder or hub id, CACHE keeps teacher vectors and the checkpoint
between runs. Distil, encode every text with the teacher, fit the table to those vectors, train it on the
pairs with the teacher looking on, whiten it a little, let early tokens count more, store it in bytes.
Seeds are fixed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from distillation import FittingConfig, TrainingConfig, distill, fit, position_weights, quantize, train
from distillation.recipes.encode_teacher import filled_cache, teacher_vectors
from distillation.recipes.mixture import HELD_OUT, load_mixture, proportions
from distillation.teacher import Teacher
from distillation.whitening import rotate, whiten
from retriever.cli.console import counted

DIMENSIONS = 512
START_DIMENSIONS = 256
TEACHER_LENGTH = 96  # tokens of a text that the teacher reads
FITTING = FittingConfig(epochs=3, learning_rate=0.04)
TRAINING = TrainingConfig(
    steps=240,
    learning_rate=0.06,
    weight_learning_rate=0.02,
    teacher_weight=0.7,
    smallest_width=64,
    check_every=120,
    seed=1,
)

# The held-out sources join at the end, at fewer and shorter steps: what was chosen on them is used by all.
FINISHING = replace(
    TRAINING, steps=150, learning_rate=0.04, weight_learning_rate=0.013, warmup=0.1, check_every=50, seed=2
)
WHITENING = 0.12
WHITENING_TEXTS = 20_000

_console = Console()


def main() -> None:
    """Read the options and make the encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the training pairs")
    parser.add_argument("--teacher", required=True, help="folder or hub id of all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder for the encoder")
    parser.add_argument("--log", type=Path, help="JSON lines of the training")
    options = parser.parse_args()
    everything = load_mixture(options.data)
    pairs = [pair for pair in everything if pair.source not in HELD_OUT]
    teacher = Teacher(options.teacher, max_length=TEACHER_LENGTH)
    with counted("distil") as moved:
        encoder = distill(options.teacher, dimensions=START_DIMENSIONS, progress=moved)
    with counted("teacher vectors") as moved:
        cache = filled_cache(teacher, everything, options.cache, moved)
    vectors = teacher_vectors(cache, pairs)
    texts = [pair.query for pair in pairs] + [pair.positive for pair in pairs]
    both = np.concatenate([vectors.queries, vectors.passages])
    with counted("fit") as moved:
        encoder = fit(
            encoder,
            texts,
            both,
            dimensions=DIMENSIONS,
            config=FITTING,
            progress=lambda done, total, _: moved(done, total),
        )
    for name, stage, config in (("train", pairs, TRAINING), ("finish", everything, FINISHING)):
        with counted(name) as moved:
            encoder = train(
                encoder,
                stage,
                teachers=[teacher_vectors(cache, stage)],
                proportions=proportions(stage),
                config=config,
                checkpoint=options.cache / f"bundled-{name}",
                log=options.log.with_stem(f"{options.log.stem}-{name}") if options.log else None,
                progress=lambda done, total, _, moved=moved: moved(done, total),  # type: ignore[misc]
            )
    sample = np.random.default_rng(0).choice(len(everything), WHITENING_TEXTS, replace=False)
    passages = [everything[row].positive for row in sample]
    encoder = rotate(whiten(encoder, passages, strength=WHITENING), passages)
    encoder = encoder.with_position_weights(position_weights())
    quantize(encoder).save(options.out)
    facts = {
        "pairs": len(everything),
        "held out until the end": len(everything) - len(pairs),
        "sources": Counter(pair.source.split("/")[0] for pair in everything),
        "fitting": asdict(FITTING),
        "training": asdict(TRAINING),
        "finishing": asdict(FINISHING),
    }
    _console.print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
