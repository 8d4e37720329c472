"""BM25 within a batch, so that a table can be trained for what BM25 misses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from distillation.bags import TokenBags

K1, B = 1.5, 0.75  # the usual defaults


class BatchBM25:
    """BM25 over token ids, with frequencies learned from all passages of a run.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009), with tokens in place of stems.

    :param passages: all passages.
    :param tokens: rows of the table.
    """

    def __init__(self, passages: TokenBags, tokens: int) -> None:
        counts = _counts(passages, tokens)
        frequency = np.bincount(counts.indices, minlength=tokens)
        self._idf = np.log1p((len(passages) - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        self._mean_length = max(len(passages.ids) / max(len(passages), 1), 1.0)
        self._tokens = tokens

    def scores(self, queries: TokenBags, passages: TokenBags) -> torch.Tensor:
        """Score every query against every passage.

        :param queries: n bags.
        :param passages: m bags.
        :return: float32 (n, m).
        """
        asked = _counts(queries, self._tokens)
        asked.data = np.ones_like(asked.data) * self._idf[asked.indices]
        shown = _counts(passages, self._tokens)
        lengths = np.diff(passages.offsets)
        norms = np.repeat(K1 * (1 - B + B * lengths / self._mean_length), np.diff(shown.indptr))
        shown.data = (shown.data * (K1 + 1) / (shown.data + norms)).astype(np.float32)
        dense: NDArray[np.float32] = (asked @ shown.T).toarray()
        return torch.from_numpy(dense)


def hybrid_scores(similarities: torch.Tensor, lexical: torch.Tensor) -> torch.Tensor:
    """Return the mean of both scores' z-scores, each taken over a query's passages.

    :param similarities: the table's cosines, float (n, m).
    :param lexical: BM25, float (n, m).
    :return: float (n, m).
    """
    return (_standard(similarities) + _standard(lexical)) / 2


def _standard(scores: torch.Tensor) -> torch.Tensor:
    """Return each row with mean 0 and standard deviation 1."""
    centred = scores - scores.mean(dim=1, keepdim=True)
    return centred / centred.std(dim=1, keepdim=True).clamp_min(1e-6)


def _counts(bags: TokenBags, tokens: int) -> csr_matrix:
    """Return how often each token occurs in each text."""
    ones = np.ones(len(bags.ids), dtype=np.float32)
    matrix = csr_matrix((ones, bags.ids, bags.offsets), shape=(len(bags), tokens), copy=True)
    matrix.sum_duplicates()
    return matrix
