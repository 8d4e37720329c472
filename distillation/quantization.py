"""Smaller tables: one byte a number, or fewer rows than tokens."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from distillation.tables import token_rows
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError


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
    if rows is not None:
        encoder = _with_shared_rows(encoder, rows, seed)
    return encoder.quantize("int8" if int8 else "float32")


def _with_shared_rows(encoder: StaticEncoder, rows: int, seed: int) -> StaticEncoder:
    """Return an encoder whose tokens share rows, each with a weight of its own."""
    table = token_rows(encoder)
    if not 1 <= rows <= len(table):
        raise InvalidInputError(f"rows must be between 1 and the table's {len(table)}, not {rows}")
    norms = np.linalg.norm(table, axis=1)
    centres, mapping = _shared_rows(table / np.maximum(norms, 1e-12)[:, None], norms, rows, seed)
    return encoder._with(centres, encoder._tokenizer, norms, mapping)


def _shared_rows(
    directions: NDArray[np.float32], norms: NDArray[np.float32], rows: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the centres and each token's centre; tokens of weight 0 do not pull a centre."""
    means = faiss.Kmeans(
        directions.shape[1],
        min(rows, int((norms > 0).sum())),
        niter=10,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=1_000,
    )
    means.train(np.ascontiguousarray(directions[norms > 0]))
    nearest = means.index.search(np.ascontiguousarray(directions), 1)[1][:, 0]
    return np.asarray(means.centroids, dtype=np.float32), nearest.astype(np.int32)
