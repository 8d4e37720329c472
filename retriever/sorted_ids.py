"""Finding ids in a long ascending array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def places_in(ids: IntArray, wanted: IntArray) -> IntArray:
    """Return where ids stand in an ascending array, -1 for those that are not in it.

    :param ids: ascending, shape (n,).
    :param wanted: in any order, shape (m,).
    :return: shape (m,).
    """
    if not len(ids):
        return np.full(len(wanted), -1, dtype=np.int64)
    # As long as nothing was removed, ids follow one another; a binary search among a million misses the
    # processor's cache twenty times an id.
    places: IntArray = np.clip(wanted - ids[0], 0, len(ids) - 1)
    others = np.flatnonzero(ids[places] != wanted)
    if len(others):
        found = np.searchsorted(ids, wanted[others])
        found[found == len(ids)] = 0
        places[others] = np.where(ids[found] == wanted[others], found, -1)
    return places
