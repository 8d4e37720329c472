"""BM25 over the few passages that the index on disk has not taken in yet."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Ranked = tuple[IntArray, FloatArray]

K1, B = 1.2, 0.75  # tantivy's


def _length_steps() -> list[int]:
    """Return the lengths that an index tells apart: up to 40 each, then three bits and an exponent."""
    steps = list(range(24))
    for code in range(256 - 24):
        low, shift = code & 7, (code >> 3) - 1
        steps.append(24 + (low if shift < 0 else (low | 8) << shift))
    return steps


_LENGTHS = _length_steps()


class PendingPassages:
    """Passages added and removed since the last commit.

    Committing takes tens of milliseconds of writing to disk; here a change is seen at once, and the index can
    take in a thousand together.
    """

    def __init__(self) -> None:
        self._postings: dict[str, dict[int, int]] = {}
        self._lengths: dict[int, int] = {}
        self.removed: set[int] = set()

    def __len__(self) -> int:
        return len(self._lengths) + len(self.removed)

    def add(self, pids: IntArray, stems: Sequence[str]) -> None:
        """Add passages, each given as stems with spaces between."""
        for pid, text in zip(pids.tolist(), stems, strict=True):
            words = Counter(text.split())
            for word, count in words.items():
                self._postings.setdefault(word, {})[pid] = count
            # An index keeps lengths rounded down; scores are to be the same before and after a commit.
            self._lengths[pid] = _LENGTHS[bisect_right(_LENGTHS, words.total()) - 1]

    def remove(self, pids: IntArray) -> None:
        """Remove passages, whether the index has them or they came since."""
        for pid in pids.tolist():
            self.removed.add(pid)
            self._lengths.pop(pid, None)

    def words(self) -> Sequence[str]:
        """Return the words of all passages."""
        return list(self._postings)

    def average_length(self) -> float:
        """Return the mean number of words."""
        return sum(self._lengths.values()) / len(self._lengths) if self._lengths else 1.0

    def search(
        self, words: Sequence[str], idf: Callable[[str], float], average: float, allowed: IntArray | None
    ) -> Ranked:
        """Return ids and BM25 scores of all that share a word, in no order.

        :param words: stems; one given twice counts twice.
        :param idf: gives a word's inverse document frequency.
        :param average: mean number of words of a passage.
        :param allowed: only these passage ids, ascending; None for all.
        """
        scores: dict[int, float] = {}
        for word, times in Counter(words).items():
            postings = self._postings.get(word)
            if not postings:
                continue
            weight = times * idf(word) * (K1 + 1.0)
            for pid, count in postings.items():
                length = self._lengths.get(pid)
                if length is not None:
                    norm = K1 * (1.0 - B + B * length / average)
                    scores[pid] = scores.get(pid, 0.0) + weight * count / (count + norm)
        pids = np.fromiter(scores, dtype=np.int64, count=len(scores))
        values = np.fromiter(scores.values(), dtype=np.float32, count=len(scores))
        if allowed is None or not len(pids):
            return pids, values
        kept = np.isin(pids, allowed)
        return pids[kept], values[kept]
