"""Token ids on their way into a model: parts of passages, padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUND = 4  # lengths are padded to a multiple: memory patterns are reused, and vector units filled


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a passage to be scored beside its query.

    :param pair: place of the pair among those asked for.
    :param query: row of the query.
    :param ids: token ids, special tokens included.
    """

    pair: int
    query: int
    ids: tuple[int, ...]


def pad(
    sequences: Sequence[Sequence[int]], *, filling: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Put token ids of different lengths into one array.

    :param sequences: n of them.
    :param filling: the id of padding.
    :return: ids (n, longest), padding behind the shorter ones, and the mask alike: 1.0 on tokens, 0.0 on
        padding.
    """
    longest = -(-max(map(len, sequences)) // ROUND) * ROUND
    ids = np.full((len(sequences), longest), filling, dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1.0
    return ids, mask
