"""Hard negatives: passages that the first stage ranks high, from all its ranks, without the false ones.

Only the first ranks make a model that has never seen an easy mistake; so ranks are drawn from bands. A
passage that says about what the positive says is likely a positive without a label and is dropped. The usual
guard drops by the teacher's score for the query (Moreira et al. 2024, NV-Retriever); with a student that
starts from that teacher it would drop every mistake there is to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME = 0.9  # cosine of two passages from which on they are taken to say the same
BANDS = ((0, 5, 3), (5, 20, 2), (20, 60, 1), (60, 200, 1))  # first rank, end rank, draws


def draw_negatives(
    ranking: NDArray[np.int64],
    *,
    positives: Sequence[int],
    likeness: NDArray[np.float32],
    rng: np.random.Generator,
    bands: Sequence[tuple[int, int, int]] = BANDS,
    same: float = SAME,
) -> list[int]:
    """Draw hard negatives for one query.

    :param ranking: rows of the pool, best first, as the first stage ranks them.
    :param positives: rows that are relevant.
    :param likeness: how alike every row of the pool is to the positive, a cosine.
    :param rng: draws; seed it for a repeatable choice.
    :param bands: (first rank, end rank, how many) to draw from; a short band gives what it has.
    :param same: a row at least this alike is taken for relevant.
    :return: rows, none of them positive, each once.
    """
    allowed = ranking[(likeness[ranking] < same) & ~np.isin(ranking, positives)]
    drawn: list[int] = []
    for first, end, count in bands:
        band = allowed[first:end]
        picked = rng.choice(band, size=min(count, len(band)), replace=False)
        drawn.extend(int(row) for row in picked)
    return drawn
