"""One list out of two: dense and lexical candidates in the first stage, and the reranker's say in the second.

All functions are pure and work on arrays, so a study can read many settings off one run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]
"""Ids and scores of one list, best first."""

RRF_CONSTANT = 60.0  # damps the lead of the first few ranks; the value of the paper


def fuse_zscore(dense: Ranked, lexical: Ranked, dense_weight: float) -> Ranked:
    """Fuse two lists by the weighted mean of their z-scores.

    Each list is brought to mean 0 and deviation 1; what a list does not have gets the list's lowest score.

    :param dense: ids and scores, best first.
    :param lexical: likewise.
    :param dense_weight: share of the dense list, 0 to 1.
    :return: the union of ids with fused scores, best first, ties by id.

    >>> ids = np.array([1, 2]); scores = np.array([0.9, 0.1], dtype=np.float32)
    >>> fuse_zscore((ids, scores), (ids[:0], scores[:0]), 0.5)[0].tolist()
    [1, 2]
    """
    ids = np.union1d(dense[0], lexical[0])
    fused = dense_weight * _spread(ids, dense) + (1.0 - dense_weight) * _spread(ids, lexical)
    return _best_first(ids, fused)


def fuse_rrf(dense: Ranked, lexical: Ranked, dense_weight: float) -> Ranked:
    """Fuse two lists by weighted reciprocal rank fusion: the sum of weight / (60 + rank).

    Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009.

    :param dense: ids and scores, best first.
    :param lexical: likewise.
    :param dense_weight: share of the dense list, 0 to 1.
    :return: the union of ids with fused scores, best first, ties by id.
    """
    ids = np.union1d(dense[0], lexical[0])
    fused = np.zeros(len(ids))
    for (members, _), weight in ((dense, dense_weight), (lexical, 1.0 - dense_weight)):
        fused[np.searchsorted(ids, members)] += weight / (RRF_CONSTANT + np.arange(1, len(members) + 1))
    return _best_first(ids, fused)


def blend(first_stage: FloatArray, logits: FloatArray, rerank_weight: float) -> FloatArray:
    """Mix the reranker's logits with the first stage's scores, both as z-scores over the short list.

    The order of the first stage breaks ties when the result is sorted stably.

    :param first_stage: fused scores of the n reranked documents, shape (n,).
    :param logits: the cross-encoder's scores of the same documents, shape (n,).
    :param rerank_weight: share of the cross-encoder, 0 to 1; with 1 the logits are returned as they are.
    :return: float32 scores, shape (n,), higher is better.
    """
    if rerank_weight >= 1.0:
        return logits.astype(np.float32)
    mixed = rerank_weight * zscores(logits) + (1.0 - rerank_weight) * zscores(first_stage)
    return mixed.astype(np.float32)


def zscores(scores: FloatArray) -> NDArray[np.float64]:
    """Bring scores to mean 0 and deviation 1; equal scores all become 0."""
    wide = scores.astype(np.float64)
    if len(wide) == 0:
        return wide
    deviation = wide.std()
    # Below this the spread is rounding noise, which must not be blown up to 1.
    if deviation <= 1e-9 * max(1.0, float(np.abs(wide).max())):
        return np.zeros_like(wide)
    standard: NDArray[np.float64] = (wide - wide.mean()) / deviation
    return standard


def _spread(ids: IntArray, ranked: Ranked) -> NDArray[np.float64]:
    """Lay a list's z-scores out over all ids; ids it lacks get its lowest."""
    members, scores = ranked
    if len(members) == 0:
        return np.zeros(len(ids))
    standard = zscores(scores)
    spread = np.full(len(ids), standard.min())
    spread[np.searchsorted(ids, members)] = standard
    return spread


def _best_first(ids: IntArray, scores: NDArray[np.float64]) -> Ranked:
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order].astype(np.float32)
