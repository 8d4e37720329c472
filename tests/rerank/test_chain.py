"""The larger model decides among the best, the rest stay below in the small one's order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank import ChainReranker
from rerank.errors import InvalidInputError


class Table:
    """Scores looked up by passage."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores, self.seen = scores, 0

    def score(self, query: str, passages: Sequence[str]) -> np.ndarray:
        self.seen += len(passages)
        return np.array([self.scores[text] for text in passages], dtype=np.float32)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=30),
    st.integers(1, 10),
)
def test_who_decides_what(values: list[tuple[int, int]], keep: int) -> None:
    texts = [str(row) for row in range(len(values))]
    small = Table({text: float(a) for text, (a, _) in zip(texts, values, strict=True)})
    large = Table({text: float(b) for text, (_, b) in zip(texts, values, strict=True)})
    scores = ChainReranker(small, large, keep=keep).score("q", texts)
    best = np.argsort(-np.array([a for a, _ in values], float), kind="stable")[:keep]
    assert large.seen == len(best)
    assert scores[best].tolist() == [values[row][1] for row in best]
    rest = sorted(set(range(len(values))) - set(best.tolist()))
    if rest:
        assert scores[rest].max() < scores[best].min()
        order = [values[row][0] for row in sorted(rest, key=lambda row: (-scores[row], row))]
        assert order == sorted(order, reverse=True)


def test_nothing_to_score() -> None:
    assert ChainReranker(Table({}), Table({})).score("q", []).shape == (0,)


def test_keep_is_at_least_one() -> None:
    with pytest.raises(InvalidInputError, match="keep"):
        ChainReranker(Table({}), Table({}), keep=0)
