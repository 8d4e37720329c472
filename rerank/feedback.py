"""Relevance feedback: what is like the documents that stand first gains, what is unlike them loses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

VOUCHING = 10  # documents that speak for others; 5 and 20 measured as good
SHARPNESS = 2.0  # a document one deviation below the best speaks with e^-2 of its weight


def with_feedback(scores: FloatArray, vectors: FloatArray, share: float) -> FloatArray:
    """Add to each score how like the best-scored documents its document is.

    The likeness (see `likeness`), in deviations from its mean, times `share` times the deviation of the
    scores, is added.

    Rocchio, "Relevance feedback in information retrieval", 1971; Diaz, "Regularizing ad hoc retrieval
    scores", 2005 (scores that agree among neighbours).

    :param scores: of n documents, in any order, shape (n,); NaN where one has none, and stays without.
    :param vectors: of the same documents, shape (n, d).
    :param share: deviations of the scores that one deviation of likeness counts for; 0 changes nothing.
    :return: float32, shape (n,), in the unit of the scores; unchanged where no more documents have a score
        than speak for others.

    >>> scores = np.linspace(1, 0, 12, dtype=np.float32)
    >>> vectors = np.eye(12, 3, dtype=np.float32)
    >>> vectors[11] = vectors[0]  # the last one says what the first one says
    >>> bool(with_feedback(scores, vectors, 0.15)[11] > scores[11])
    True
    """
    scored = np.flatnonzero(~np.isnan(scores))
    if share <= 0.0 or len(scored) <= VOUCHING:
        return scores.astype(np.float32)
    wide = scores[scored].astype(np.float64)
    spread = float(wide.std())
    alike = likeness(scores, vectors)[scored]
    around = float(alike.std())
    if spread <= 1e-6 * float(np.abs(wide).max()) or around <= 1e-6:
        return scores.astype(np.float32)
    moved = scores.astype(np.float32)
    moved[scored] = wide + share * spread * (alike - alike.mean()) / around
    return moved


def likeness(scores: FloatArray, vectors: FloatArray) -> NDArray[np.float64]:
    """Say how like the best-scored documents each document is.

    With x the unit vectors after the list's mean was taken off, and w = exp(2 (s - max s) / σ) for the ten
    best scores s and 0 for all others, document i is as like them as Σ w_j x_i·x_j / Σ w_j over j other than
    i: nobody speaks for itself. Without the mean what all documents of a list have in common, the topic
    asked for, would drown what tells them apart.

    :param scores: of n documents, shape (n,), at least two of them not NaN.
    :param vectors: of the same documents, shape (n, d), also of those without a score.
    :return: float64, shape (n,), -1 to 1.
    """
    wide = np.where(np.isnan(scores), -np.inf, scores.astype(np.float64))
    best = np.argsort(-wide, kind="stable")[: min(VOUCHING, int(np.isfinite(wide).sum()))]
    spread = max(float(wide[np.isfinite(wide)].std()), 1e-9)
    weights = np.zeros(len(wide))
    weights[best] = np.exp(SHARPNESS * (wide[best] - wide[best[0]]) / spread)
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.sqrt((centred * centred).sum(axis=1, keepdims=True)), np.float32(1e-6))
    # Sums and no BLAS, whose last digits depend on its threads.
    spoken = (centred[best] * weights[best, None].astype(np.float32)).sum(axis=0)
    own = weights * (centred * centred).sum(axis=1)
    alike: NDArray[np.float64] = ((centred * spoken).sum(axis=1) - own) / (weights.sum() - weights)
    return alike
