"""Fill the cache of teacher vectors with the texts of the training mixture.

    python -m distillation.recipes.encode_teacher TEACHER --data DIR --cache DIR --pairs 150000

Resumable: what is in the cache is not computed again, and `--minutes` ends a run early.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from distillation import Pair, TeacherVectors
from distillation.cache import TeacherCache
from distillation.recipes.mixture import load_mixture
from distillation.teacher import Teacher
from retriever.cli.console import counted


def main() -> None:
    """Read the options and fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("teacher", help="folder or hub id of a sentence-transformers model")
    parser.add_argument("--data", required=True, help="folder with the training pairs")
    parser.add_argument("--cache", required=True, help="folder that holds the caches")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="leading pairs of the mixture")
    parser.add_argument("--max-length", type=int, default=96, help="longest text in tokens")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many minutes")
    options = parser.parse_args()
    teacher = Teacher(options.teacher, max_length=options.max_length)
    cache = TeacherCache.beside(options.cache, teacher)
    texts = [
        text for pair in load_mixture(options.data)[: options.pairs] for text in (pair.query, pair.positive)
    ]
    end = time.monotonic() + 60 * options.minutes
    with counted("teacher vectors") as moved:
        missing = cache.fill(teacher, texts, until=lambda: time.monotonic() > end, progress=moved)
    Console().print(f"{len(cache):,} vectors in {cache.folder}, {missing:,} texts missing")


def filled_cache(
    teacher: Teacher, pairs: Sequence[Pair], root: Path, moved: Callable[[int, int], None]
) -> TeacherCache:
    """Encode every text of some pairs once; a cache from an earlier run is completed.

    :param teacher: reads them.
    :param pairs: whose texts.
    :param root: folder of the caches.
    :param moved: called with texts done and all.
    :return: the cache.
    """
    cache = TeacherCache.beside(root, teacher)
    texts = [text for pair in pairs for text in (pair.query, pair.positive)]
    cache.fill(teacher, texts, progress=moved)
    return cache


def teacher_vectors(cache: TeacherCache, pairs: Sequence[Pair]) -> TeacherVectors:
    """Return the vectors of both sides of the pairs.

    :param cache: has them all.
    :param pairs: n pairs.
    :return: n vectors of queries, and of passages.
    """
    vectors = np.asarray(cache.vectors)
    return TeacherVectors(
        vectors[cache.rows([pair.query for pair in pairs])],
        vectors[cache.rows([pair.positive for pair in pairs])],
    )


if __name__ == "__main__":
    main()
