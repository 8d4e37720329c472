"""Hard negatives: passages that the first stage ranks high, from all its ranks, without the false ones.

Only the first ranks make a model that has never seen an easy mistake; so ranks are drawn from bands. A
passage that a teacher finds about as good as the positive is likely a positive without a label and is
dropped (the rule of Moreira et al. 2024, NV-Retriever: a share of the positive's score).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FALSE_NEGATIVE_SHARE = 0.95  # NV-Retriever's best: a negative scores below this share of its positive
BANDS = ((0, 5, 2), (5, 20, 2), (20, 60, 1), (60, 200, 1), (200, 10**9, 1))  # first rank, last rank, draws


def draw_negatives(
    ranking: NDArray[np.int64],
    *,
    positives: Sequence[int],
    teacher: NDArray[np.float32],
    rng: np.random.Generator,
    bands: Sequence[tuple[int, int, int]] = BANDS,
    share: float = FALSE_NEGATIVE_SHARE,
) -> list[int]:
    """Draw hard negatives for one query.

    :param ranking: rows of the pool, best first, as the first stage ranks them.
    :param positives: rows that are relevant.
    :param teacher: a teacher's score of every row of the pool, higher is better.
    :param rng: draws; seed it for a repeatable choice.
    :param bands: (first rank, end rank, how many) to draw from; a short band gives what it has.
    :param share: a row scoring at least this share of the best positive is taken for relevant.
    :return: rows, none of them positive, each once.
    """
    best = max(float(teacher[row]) for row in positives)
    # A negative score times a share would raise the bar instead of lowering it.
    ceiling = best * share if best > 0 else best / share
    allowed = ranking[(teacher[ranking] < ceiling) & ~np.isin(ranking, positives)]
    drawn: list[int] = []
    for first, end, count in bands:
        band = allowed[first:end]
        picked = rng.choice(band, size=min(count, len(band)), replace=False)
        drawn.extend(int(row) for row in picked)
    return drawn
