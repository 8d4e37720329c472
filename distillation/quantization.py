"""Smaller tables: one byte a number, or fewer rows than tokens."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from distillation.tables import token_rows
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError

_LEVELS = 127  # symmetric: -127..127, so that 0 stays 0


def quantize(
    encoder: StaticEncoder, *, rows: int | None = None, int8: bool = True, seed: int = 0
) -> StaticEncoder:
    """Shrink a table.

    With `int8` each row becomes bytes with one scale: a quarter of float32, and the same vectors to about
    two digits. With `rows` tokens share rows (k-means on directions, each token keeps its own weight).

    :param encoder: any.
    :param rows: rows to keep; None keeps one a token.
    :param int8: store bytes; False keeps float32.
    :param seed: places the first centres.
    :return: the smaller encoder.
    :raises InvalidInputError: if `rows` is not between 1 and the number of tokens.
    """
    table = token_rows(encoder)
    norms = np.linalg.norm(table, axis=1)
    mapping = None
    weights = np.ones(len(table), dtype=np.float32)
    if rows is not None:
        if not 1 <= rows <= len(table):
            raise InvalidInputError(f"rows must be between 1 and the table's {len(table)}, not {rows}")
        table, mapping = _shared_rows(table / np.maximum(norms, 1e-12)[:, None], norms, rows, seed)
        weights = norms.astype(np.float32)
    if int8:
        table, scales = int8_rows(table)
        weights = weights * (scales if mapping is None else scales[mapping])
    plain = rows is None and not int8
    return StaticEncoder(
        table,
        encoder.tokenizer,
        weights=None if plain else weights,
        mapping=mapping,
        normalize=encoder.normalize,
        max_length=encoder.max_length,
    )


def int8_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each row to bytes: row ≈ bytes · scale, scale = max |row| / 127.

    :param table: float32 (v, d).
    :return: int8 (v, d) and float32 (v,) scales; 0 for an empty row.
    """
    scales = (np.abs(table).max(axis=1) / _LEVELS).astype(np.float32)
    steps = table / np.maximum(scales, np.finfo(np.float32).tiny)[:, None]
    return np.rint(steps).astype(np.int8), scales


def _shared_rows(
    directions: NDArray[np.float32], norms: NDArray[np.float32], rows: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the centres and each token's centre; tokens of weight 0 do not pull a centre."""
    means = faiss.Kmeans(
        directions.shape[1],
        rows,
        niter=10,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=1_000,
    )
    means.train(np.ascontiguousarray(directions[norms > 0]))
    nearest = means.index.search(np.ascontiguousarray(directions), 1)[1][:, 0]
    centres: NDArray[np.float32] = means.centroids
    return centres, nearest.astype(np.int32)
