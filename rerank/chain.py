"""Two rerankers in a row: a small one on every passage, a larger one on the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rerank.errors import InvalidInputError
from rerank.protocol import FloatArray, Reranker


class ChainReranker:
    """Lets a small reranker choose what a larger one decides.

    :param small: scores every passage.
    :param large: scores the passages that the small one ranks highest.
    :param keep: how many those are.
    :raises InvalidInputError: if `keep` is below 1.
    """

    def __init__(self, small: Reranker, large: Reranker, *, keep: int = 20) -> None:
        if keep < 1:
            raise InvalidInputError(f"keep is {keep}; at least 1 passage must reach the larger reranker")
        self._small, self._large, self._keep = small, large, keep

    def score(self, query: str, passages: Sequence[str]) -> FloatArray:
        """Score each passage for the query.

        Passages that the larger model saw rank above all others. The others keep the small model's order and
        gaps, moved below: which of two models scored a passage can be told from the order alone.

        :param query: the question.
        :param passages: n texts.
        :return: float32, shape (n,): the larger model's logits for the best `keep`.
        """
        scores = np.asarray(self._small.score(query, passages), dtype=np.float32).copy()
        best = np.argsort(-scores, kind="stable")[: self._keep]
        if not len(best):
            return scores
        decided = self._large.score(query, [passages[row] for row in best])
        rest = np.setdiff1d(np.arange(len(scores)), best)
        if len(rest):
            scores[rest] += float(decided.min()) - float(scores[rest].max()) - np.float32(1e-3)
        scores[best] = decided
        return scores
