"""When to stop reading: no passage that is still unread is likely to enter the first k.

What the reranker says of the passages read so far, against what the first stage said of them, tells how it
would judge the others, and how surely: a straight line and the spread around it. From both follows how many
of the unread passages may be expected to rise into the first k; reading ends when that is hardly any. They
count for less where the best passage read stands out: then the answer is likely to be there already.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, repeat
from math import ceil, erfc, exp, sqrt

import numpy as np
from numpy.typing import NDArray

from rerank.budget import SLICES
from rerank.protocol import FloatArray

LEAST_READ = 20  # passages that a line is drawn through; of fewer it says too little
MOST_READ = 0.6  # of a list: what stands below that enters the first ten too seldom to be worth its time
STANDS_OUT = 2.0  # standard deviations over the mean of those read, where a rise counts half
PRIOR = 2.0  # passages that the prior of a slope of 0 counts for: a short list proves little


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """A stopping rule for one query.

    :param first_scores: the first stage's scores of all n candidates, best first.
    :param k: results wanted.
    :param weight: share of the reranker in the blend, 0 to 1.
    :param tolerance: unread passages expected in the first k, times the doubt, at which reading ends; the
        pipeline takes what was fitted with the model.
    """

    first_scores: FloatArray
    k: int
    weight: float
    tolerance: float

    @property
    def most(self) -> int:
        """Passages that are read at most: k, and of a longer list a part."""
        count = len(self.first_scores)
        return min(count, max(self.k, ceil(MOST_READ * count)))

    def settled(self, logits: FloatArray) -> bool:
        """Whether reading may end.

        :param logits: of the passages read so far, which are the first ones.
        :return: True where `most` are read, or no other is likely to matter.
        """
        read = len(logits)
        if read >= self.most:
            return True
        if read < max(LEAST_READ, self.k):
            return False
        return self.expected_risers(logits) * _doubt(logits) < self.tolerance

    def depth(self, logits: FloatArray) -> int:
        """Say where the reading would have ended, had the rule been asked.

        :param logits: of all n candidates.
        :return: passages read.
        """
        read = 0
        for size in chain(SLICES, repeat(SLICES[-1])):
            read = min(read + size, self.most)
            if self.settled(logits[:read]):
                return read
        return read

    def expected_risers(self, logits: FloatArray) -> float:
        """Expect how many unread passages would enter the first k.

        :param logits: of the passages read so far.
        :return: 0 to the number of those unread.
        """
        read = len(logits)
        first = _standard(self.first_scores, self.first_scores[:read])
        told = _standard(logits, logits)
        slope = _followed(first[:read], told)
        rest = told - slope * first[:read]
        spread = float(np.sqrt((rest @ rest + PRIOR) / (read + PRIOR)))
        blended = (1 - self.weight) * first[:read] + self.weight * told
        bar = float(np.partition(blended, -self.k)[-self.k])
        unread = first[read:]
        expected = (1 - self.weight) * unread + self.weight * slope * unread
        scale = max(self.weight * spread, 1e-6) * sqrt(2.0)
        return float(sum(0.5 * erfc((bar - value) / scale) for value in expected.tolist()))


def _followed(first: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    """Return the slope of a straight line: how the reranker follows the first stage.

    :param first: what the first stage said of n passages, with mean 0.
    :param told: what the reranker said of them, with mean 0.
    """
    return float(first @ told) / (float(first @ first) + PRIOR)


def _doubt(logits: FloatArray) -> float:
    """Say how little the best passage read stands out, 1 to 0."""
    best = float(_standard(logits.max(keepdims=True), logits)[0])
    return 1.0 / (1.0 + exp(2.0 * (best - STANDS_OUT)))


def _standard(values: FloatArray, reference: FloatArray) -> NDArray[np.float64]:
    """Values in standard deviations from the mean of the reference."""
    among = reference.astype(np.float64)
    spread = max(float(among.std()), 1e-9)
    return np.asarray((values.astype(np.float64) - float(among.mean())) / spread)
