"""What the compiled kernels add up, by numpy: the same bits, for as long as they are being compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LANES = 16  # squares are added in so many sums, as `vector_ops.sum_squares_16` does

Weights = NDArray[np.float32]
Model = tuple[NDArray[Any], Weights | None, NDArray[np.int32] | None, Weights | None]


def pool_plainly(
    model: Model, ids: NDArray[np.int32], starts: NDArray[np.int64], unit: bool, out: NDArray[np.float32]
) -> None:
    """Write the vectors of texts whose token ids are known; every sum in the order of `kernels.pool_texts`.

    :param model: table (float32, float16 or int8), factor and row of each token, factor of each place in a
        text; the last three may be None.
    :param ids: known tokens, one text after another.
    :param starts: where each text's begin, shape (texts + 1,).
    :param unit: give vectors of length 1.
    :param out: written, shape (texts, dimensions).
    """
    table, weights, mapping, places = model
    counts, dimensions = np.diff(starts), out.shape[1]
    order = np.argsort(-counts, kind="stable")  # the longest first: who has an n-th token is a slice
    begins, ordered = starts[:-1][order], -counts[order]
    total = np.zeros(out.shape, dtype=np.float32)
    for place in range(int(counts.max(initial=0))):
        having = int(np.searchsorted(ordered, -place))
        tokens = ids[begins[:having] + place]
        rows = table[tokens if mapping is None else mapping[tokens], :dimensions].astype(np.float32)
        factors = None if weights is None else weights[tokens][:, None]
        if places is not None:
            at_place = places[min(place, len(places) - 1)]
            factors = at_place if factors is None else factors * at_place
        if factors is not None:
            rows *= factors
        total[:having] += rows
    divisors = np.maximum(-ordered, 1).astype(np.float64)
    if unit:
        divisors = np.where(ordered < 0, np.sqrt(_squares(total).astype(np.float64)) + 1e-32, 1.0)
    out[order] = total * (1.0 / divisors).astype(np.float32)[:, None]


def _squares(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row's sum of squares."""
    whole = rows.shape[1] // _LANES * _LANES
    lanes = np.zeros((len(rows), _LANES), dtype=np.float32)
    for column in range(0, whole, _LANES):
        lanes += rows[:, column : column + _LANES] * rows[:, column : column + _LANES]
    total = np.zeros(len(rows), dtype=np.float32)
    for lane in range(_LANES):
        total += lanes[:, lane]
    for column in range(whole, rows.shape[1]):
        total += rows[:, column] * rows[:, column]
    return total
