"""One list out of two: dense and lexical scores in the first stage, and the reranker's say in the second.

All functions are pure and work on arrays, so a study can read many settings off one run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rerank.feedback import with_feedback

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]
"""Ids and scores of one list, best first."""

RRF_CONSTANT = 60.0  # damps the lead of the first few ranks; the value of the paper


def fuse_zscore(
    dense: FloatArray, lexical: FloatArray, *, dense_spread: float, lexical_spread: float, dense_weight: float
) -> FloatArray:
    """Mix two scores, each measured in standard deviations over the whole collection.

    `weight * dense / dense_spread + (1 - weight) * lexical / lexical_spread`: the z-scores but for a constant
    a query, which no order depends on. A document's score depends on the query and the collection, not on
    which other candidates were found.

    :param dense: cosine similarities, shape (n,).
    :param lexical: BM25 scores of the same passages, shape (n,); 0 where no word is shared.
    :param dense_spread: standard deviation of the query's similarities over the collection.
    :param lexical_spread: standard deviation of the query's BM25 scores over the collection.
    :param dense_weight: share of the dense score, 0 to 1.
    :return: fused scores, float32, shape (n,).

    >>> one = np.ones(1, dtype=np.float32)
    >>> fuse_zscore(one, 4 * one, dense_spread=0.1, lexical_spread=2.0, dense_weight=0.5).tolist()
    [6.0]
    """
    # A query without any known word has spread 0 on that side, and nothing to say there.
    from_dense = dense / dense_spread if dense_spread > 0 else np.zeros_like(dense)
    from_lexical = lexical / lexical_spread if lexical_spread > 0 else np.zeros_like(lexical)
    return (dense_weight * from_dense + (1.0 - dense_weight) * from_lexical).astype(np.float32)


def fuse_rrf(ids: IntArray, dense: IntArray, lexical: IntArray, *, dense_weight: float) -> FloatArray:
    """Weighted reciprocal rank fusion: the sum of weight / (60 + rank) over the lists a passage is in.

    Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009.

    :param ids: passages to score, ascending, shape (n,).
    :param dense: passages of the dense list, best first; all in `ids`.
    :param lexical: passages of the lexical list, likewise.
    :param dense_weight: share of the dense list, 0 to 1.
    :return: fused scores, float32, shape (n,).
    """
    fused = np.zeros(len(ids))
    for members, weight in ((dense, dense_weight), (lexical, 1.0 - dense_weight)):
        fused[np.searchsorted(ids, members)] += weight / (RRF_CONSTANT + np.arange(1, len(members) + 1))
    return fused.astype(np.float32)


def blend(
    first_stage: FloatArray,
    logits: FloatArray,
    rerank_weight: float,
    *,
    vectors: FloatArray | None = None,
    feedback: float = 0.0,
) -> FloatArray:
    """Mix the reranker's logits with the first stage's scores, both as z-scores over what was read.

    :param first_stage: fused scores of n candidates, shape (n,).
    :param logits: the reranker's scores of them, shape (n,), NaN where it did not read one.
    :param rerank_weight: share of the reranker, 0 to 1; with 1 the logits are returned as they are.
    :param vectors: of the candidates, shape (n, d); None for no feedback.
    :param feedback: share of the feedback from those that come out best, see `with_feedback`.
    :return: float32 scores, shape (n,), higher is better; sort them stably and the first stage breaks ties.
        What was not read stays below what was, as the first stage had it.
    """
    read = ~np.isnan(logits)
    if not read.any():
        return first_stage.astype(np.float32)
    scores = logits.astype(np.float32)
    if rerank_weight < 1.0:
        first = zscores(first_stage[read])
        scores[read] = rerank_weight * zscores(logits[read]) + (1.0 - rerank_weight) * first
        if vectors is not None:
            scores = with_feedback(scores, vectors, feedback)
    if not read.all():
        below = np.nextafter(scores[read].min(), np.float32(-np.inf))
        scores[~read] = below + (first_stage[~read] - first_stage[~read].max())
    return scores


def zscores(scores: FloatArray) -> NDArray[np.float64]:
    """Bring scores to mean 0 and deviation 1; equal scores all become 0."""
    wide = scores.astype(np.float64)
    return _standard(wide, float(wide.mean()), float(wide.std())) if len(wide) else wide


def _standard(values: NDArray[np.float64], mean: float, deviation: float) -> NDArray[np.float64]:
    """Return values in deviations from a mean, zeros where there is no deviation to speak of."""
    # Below this the spread is rounding noise, which must not be blown up to 1.
    if deviation <= 1e-6 * max(1.0, float(np.abs(values).max())):
        return np.zeros_like(values)
    standard: NDArray[np.float64] = (values - mean) / deviation
    return standard
