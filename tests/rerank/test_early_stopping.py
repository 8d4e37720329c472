"""Reading ends when no unread passage is likely to matter, and never before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.budget import CostModel, score_within
from rerank.early_stopping import StoppingRule


def scores(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """First-stage scores that fall, and logits that follow them more or less."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.exponential(1.0, count))[::-1].astype(np.float32)
    return first, (3 * first + noise * rng.standard_normal(count)).astype(np.float32)


def test_a_reranker_that_agrees_is_soon_believed() -> None:
    first, logits = scores(50, noise=0.1)
    assert StoppingRule(first, 10, 0.6, 0.2).depth(logits) < 30


def test_a_reranker_that_disagrees_reads_all_that_may_be_read() -> None:
    first, logits = scores(50, noise=20.0)
    flat = np.full(50, 1.0, np.float32) + np.linspace(0.01, 0, 50, dtype=np.float32)
    assert StoppingRule(flat, 10, 1.0, 0.2).depth(logits) == 30
    assert StoppingRule(first, 10, 1.0, 0.0).depth(logits) == 30
    assert StoppingRule(first, 40, 1.0, 0.0).depth(logits) == 40


@given(seed=st.integers(0, 1000), k=st.integers(1, 60), tolerance=st.floats(0, 5), count=st.integers(0, 80))
def test_it_reads_at_least_k_and_never_more_than_there_is(
    seed: int, k: int, tolerance: float, count: int
) -> None:
    first, logits = scores(count, noise=1.0, seed=seed)
    read = StoppingRule(first, k, 0.5, tolerance).depth(logits)
    assert min(k, count) <= read <= count


@given(seed=st.integers(0, 200))
def test_a_larger_tolerance_never_reads_more(seed: int) -> None:
    first, logits = scores(50, noise=2.0, seed=seed)
    read = [StoppingRule(first, 10, 0.6, tolerance).depth(logits) for tolerance in (0.05, 0.5, 2.0)]
    assert read == sorted(read, reverse=True)


def test_an_answer_that_stands_out_is_soon_enough() -> None:
    read = []
    for best in (2.0, 30.0):
        first, logits = scores(50, noise=4.0)
        logits[2] = best
        read.append(StoppingRule(first, 10, 0.8, 0.5).depth(logits))
    assert read[1] < read[0]


@pytest.mark.parametrize("k", [1, 10])
def test_the_expected_risers_are_not_fewer_than_rise(k: int) -> None:
    expected, risen = [], []
    for seed in range(200):
        first, logits = scores(50, noise=2.0, seed=seed)
        rule = StoppingRule(first, k, 1.0, 0.2)
        expected.append(rule.expected_risers(logits[:20]))
        bar = np.sort(logits[:20])[-k]
        risen.append(int((logits[20:] > bar).sum()))
    assert 0.5 * np.mean(risen) < np.mean(expected) < 3 * np.mean(risen) + 0.3  # cautious, not wild


def test_scoring_ends_where_the_rule_says() -> None:
    first, logits = scores(50, noise=0.1)
    rule = StoppingRule(first, 10, 0.6, 0.2)

    class Known:
        def score(self, query: str, passages: list[str]) -> np.ndarray:
            return logits[[int(text) for text in passages]]

    got = score_within(
        Known(), "q", [str(row) for row in range(50)],
        budget_ms=float("inf"), cost=CostModel(), settled=rule.settled,
    )  # fmt: skip
    assert got.scored == rule.depth(logits)
