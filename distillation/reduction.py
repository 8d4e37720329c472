"""Fewer dimensions: principal components of the rows, largest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.errors import InvalidInputError


def principal_components(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Centre vectors and rotate them onto their leading principal components.

    Centring removes the direction that all rows share, which would otherwise make every pair of texts
    similar (Mu and Viswanath, "All-but-the-Top", 2018). Components come in order of variance, so leading
    dimensions alone are a coarser table.

    :param vectors: float32 (n, d).
    :param dimensions: how many components to keep, at most d.
    :return: float32 (n, dimensions).
    :raises InvalidInputError: if there are not so many components.
    """
    check_dimensions(dimensions, vectors.shape[1])
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / max(len(centred) - 1, 1)
    _, directions = np.linalg.eigh(covariance)  # ascending
    reduced: NDArray[np.float32] = centred @ directions[:, ::-1][:, :dimensions].astype(np.float32)
    return reduced


def check_dimensions(dimensions: int, available: int) -> None:
    """Raise where a table cannot have so many dimensions.

    :param dimensions: asked for.
    :param available: the teacher's.
    :raises InvalidInputError: if `dimensions` is not in 1..`available`.
    """
    if not 1 <= dimensions <= available:
        raise InvalidInputError(
            f"dimensions must be between 1 and the teacher's {available}, not {dimensions}"
        )
