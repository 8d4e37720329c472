"""What a token counts in a text's mean, by its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rerank.checks import check_counts, check_positive

DECAY = 8.0  # of the bundled encoder, and of a reranker's queries; 4 to 25 do as well
PASSAGE_DECAY = 32.0  # of a reranker's passages: a short one's order is for the comparison to judge
PLACES = 512  # of a text that have a weight of their own; later ones count as the last of them


def position_weights(decay: float = DECAY, *, places: int = PLACES) -> NDArray[np.float32]:
    """Let early tokens count more: (1 + place / decay)^-½.

    Titles, first sentences and the first words of a question say what a text is about. A mean over all tokens
    forgets that, as it forgets all order.

    :param decay: the place, counted from 0, whose token counts 1/√2 of the first.
    :param places: how many weights.
    :return: float32 (places,), falling from 1.
    :raises InvalidInputError: if `decay` is not above 0, or `places` is below 1.

    >>> position_weights(8.0, places=3).round(2).tolist()
    [1.0, 0.94, 0.89]
    """
    check_positive(decay=decay)
    check_counts(1, places=places)
    weights: NDArray[np.float32] = ((1 + np.arange(places) / decay) ** -0.5).astype(np.float32)
    return weights
