"""Which candidate to read next, and when to stop: no other is likely to enter the first k.

What the reranker says of the passages read so far, against what the first stage said of them and how like the
best of them they are, tells how it would judge the others, and how surely: a linear fit and the spread around
it. The most promising are read next; from fit and spread follows how many of the unread may be expected to
rise into the first k, and reading may end when that is hardly any. They count for less where the best passage
read stands out: then the answer is likely to be there already.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat
from math import erfc, exp, sqrt

import numpy as np
from numpy.typing import NDArray

from rerank.feedback import VOUCHING, likeness
from rerank.protocol import FloatArray

IntArray = NDArray[np.int64]
Wide = NDArray[np.float64]

SLICES = (4, 8, 10)  # passages read at once: the first are few, because nothing is known of the machine yet
LEAST_READ = 20  # passages that a fit is made from before it may end the reading
STANDS_OUT = 2.0  # standard deviations over the mean of those read, where a rise counts half
PRIOR = 2.0  # passages that the prior of a slope of 0 counts for: a short list proves little


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """The order in which one query's candidates are read.

    :param first_scores: the first stage's scores of all n candidates, best first.
    :param k: results wanted.
    :param weight: share of the reranker in the blend, 0 to 1.
    :param vectors: of the candidates, shape (n, d); None where there are none: then they are read from the
        first to the last.
    :param feedback: share of the feedback in the final score, see `rerank.feedback`.
    :param tolerance: unread passages expected in the first k, times the doubt, at which reading ends; None
        reads all.
    """

    first_scores: FloatArray
    k: int
    weight: float
    vectors: FloatArray | None = None
    feedback: float = 0.0
    tolerance: float | None = None

    def following(self, logits: FloatArray) -> IntArray:
        """Say what to read next.

        :param logits: the reranker's, shape (n,), NaN where a candidate was not read.
        :return: places of all that is left to read, the most promising first; none when that is enough.
        """
        unread = np.flatnonzero(np.isnan(logits))
        read = len(logits) - len(unread)
        if not len(unread) or read <= VOUCHING:
            return unread
        expected, spread = self._expected(logits)
        if self.tolerance is not None and read >= max(LEAST_READ, self.k):
            risers = self._risers(expected, spread, unread)
            if risers * _doubt(logits[~np.isnan(logits)]) < self.tolerance:
                return unread[:0]
        return unread[np.argsort(-expected[unread], kind="stable")]

    def read(self, logits: FloatArray) -> FloatArray:
        """Say what would have been read, had the plan been followed without haste.

        :param logits: of all n candidates.
        :return: the same, NaN where a candidate would not have been read.
        """
        seen = np.full(len(logits), np.nan, dtype=np.float32)
        for size in chain(SLICES, repeat(SLICES[-1])):
            chosen = self.following(seen)[:size]
            if not len(chosen):
                return seen
            seen[chosen] = logits[chosen]
        raise AssertionError  # the slices never end

    def expected_risers(self, logits: FloatArray) -> float:
        """Expect how many unread passages would enter the first k.

        :param logits: shape (n,), NaN where a candidate was not read; more than ten were.
        :return: 0 to the number of those unread.
        """
        return self._risers(*self._expected(logits), np.flatnonzero(np.isnan(logits)))

    def _expected(self, logits: FloatArray) -> tuple[Wide, float]:
        """Final scores, expected where a passage was not read, and how far logits may be from the fit."""
        read = ~np.isnan(logits)
        told = _standard(logits[read], logits[read])
        first = _standard(self.first_scores, self.first_scores[read])
        known = np.full(len(logits), np.nan)
        known[read] = self.weight * told + (1 - self.weight) * first[read]
        signs, gains = [first], np.zeros(len(logits))
        if self.vectors is not None:
            alike = likeness(known.astype(np.float32), self.vectors)
            signs.append(_standard(alike, alike[read]))
            if self.weight < 1.0:
                gains = self.feedback * float(known[read].std()) * signs[1]
        fit = np.stack(signs, axis=1)
        seen = fit[read]
        # Who agrees with neither sign tells nothing of the unread, and not that the last are the best.
        slopes = np.maximum(np.linalg.solve(seen.T @ seen + PRIOR * np.eye(len(signs)), seen.T @ told), 0.0)
        rest = told - seen @ slopes
        spread = sqrt((float(rest @ rest) + PRIOR) / (len(told) + PRIOR))
        unseen = self.weight * (fit @ slopes) + (1 - self.weight) * first
        return np.where(read, known, unseen) + gains, spread

    def _risers(self, expected: Wide, spread: float, unread: IntArray) -> float:
        """Sum the chances of the unread to be better than the k-th of those read."""
        read = np.delete(expected, unread)
        k = min(self.k, len(read))
        bar = float(np.partition(read, -k)[-k])
        scale = max(self.weight * spread, 1e-6) * sqrt(2.0)
        return float(sum(0.5 * erfc((bar - value) / scale) for value in expected[unread].tolist()))


def _doubt(logits: FloatArray) -> float:
    """Say how little the best passage read stands out, 1 to 0."""
    best = float(_standard(logits.max(keepdims=True), logits)[0])
    return 1.0 / (1.0 + exp(2.0 * (best - STANDS_OUT)))


def _standard(values: NDArray[np.floating], reference: NDArray[np.floating]) -> Wide:
    """Values in standard deviations from the mean of the reference."""
    among = reference.astype(np.float64)
    spread = max(float(among.std()), 1e-9)
    return np.asarray((values.astype(np.float64) - float(among.mean())) / spread)
