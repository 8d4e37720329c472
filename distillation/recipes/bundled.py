"""Make the bundled encoder, second edition.

    python -m distillation.recipes.bundled --data DATA --teacher all-MiniLM-L6-v2 --cache CACHE --out OUT

DATA holds the training pairs, TEACHER is a folder or hub id, CACHE keeps teacher vectors and the checkpoint
between runs. Distil, encode every text with the teacher, fit the table to those vectors, train it on the
pairs with the teacher looking on, whiten it a
little, store it in bytes. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distillation import FittingConfig, Pair, TeacherVectors, TrainingConfig, distill, fit, quantize, train
from distillation.cache import TeacherCache
from distillation.recipes.mixture import HELD_OUT, load_mixture, proportions
from distillation.teacher import Teacher
from distillation.whitening import rotate, whiten

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
    pairs = [pair for pair in load_mixture(options.data) if pair.source not in HELD_OUT]
    teacher = Teacher(options.teacher, max_length=TEACHER_LENGTH)
    with _bar("distil") as moved:
        encoder = distill(options.teacher, dimensions=START_DIMENSIONS, progress=moved)
    vectors = _teacher_vectors(teacher, pairs, options.cache)
    texts = [pair.query for pair in pairs] + [pair.positive for pair in pairs]
    both = np.concatenate([vectors.queries, vectors.passages])
    with _bar("fit") as moved:
        encoder = fit(
            encoder,
            texts,
            both,
            dimensions=DIMENSIONS,
            config=FITTING,
            progress=lambda done, total, _: moved(done, total),
        )
    with _bar("train") as moved:
        encoder = train(
            encoder,
            pairs,
            teachers=[vectors],
            proportions=proportions(pairs),
            config=TRAINING,
            checkpoint=options.cache / "bundled-training",
            log=options.log,
            progress=lambda done, total, _: moved(done, total),
        )
    sample = np.random.default_rng(0).choice(len(pairs), WHITENING_TEXTS, replace=False)
    passages = [pairs[row].positive for row in sample]
    encoder = rotate(whiten(encoder, passages, strength=WHITENING), passages)
    quantize(encoder).save(options.out)
    facts = {
        "pairs": len(pairs),
        "texts": len(set(texts)),
        "sources": Counter(pair.source.split("/")[0] for pair in pairs),
        "fitting": asdict(FITTING),
        "training": asdict(TRAINING),
    }
    _console.print(json.dumps(facts, indent=1))


def _teacher_vectors(teacher: Teacher, pairs: Sequence[Pair], root: Path) -> TeacherVectors:
    """Encode every text once, or find it in the cache."""
    cache = TeacherCache.beside(root, teacher)
    texts = [text for pair in pairs for text in (pair.query, pair.positive)]
    total = len(set(texts)) - len(cache)
    done = 0
    with _bar("teacher vectors") as moved:

        def finished(count: int) -> None:
            nonlocal done
            done += count
            moved(done, max(total, done))

        cache.fill(teacher, texts, progress=finished)
    vectors = np.asarray(cache.vectors)
    return TeacherVectors(
        vectors[cache.rows([pair.query for pair in pairs])],
        vectors[cache.rows([pair.positive for pair in pairs])],
    )


@contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, and nothing elsewhere."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console, disable=not _console.is_terminal) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


if __name__ == "__main__":
    main()
