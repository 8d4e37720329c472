"""The most promising are read next, and reading ends when no unread passage is likely to matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.budget import CostModel, score_within
from rerank.reading_plan import ReadingPlan


def scores(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """First-stage scores that fall, and logits that follow them more or less."""
    rng = np.random.default_rng(seed)
    first = np.sort(rng.exponential(1.0, count))[::-1].astype(np.float32)
    return first, (3 * first + noise * rng.standard_normal(count)).astype(np.float32)


def vectors(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def read(plan: ReadingPlan, logits: np.ndarray) -> int:
    return int((~np.isnan(plan.read(logits))).sum())


def test_a_reranker_that_agrees_is_soon_believed() -> None:
    first, logits = scores(50, noise=0.1)
    assert read(ReadingPlan(first, 10, 0.6, tolerance=0.2), logits) < 30


def test_a_reranker_that_disagrees_reads_everything() -> None:
    first, logits = scores(50, noise=20.0)
    flat = np.full(50, 1.0, np.float32) + np.linspace(0.01, 0, 50, dtype=np.float32)
    assert read(ReadingPlan(flat, 10, 1.0, tolerance=0.2), logits) == 50
    assert read(ReadingPlan(first, 10, 1.0, tolerance=0.0), logits) == 50
    assert read(ReadingPlan(first, 10, 1.0), logits) == 50


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 60),
    tolerance=st.floats(0, 5) | st.none(),
    count=st.integers(0, 80),
    with_vectors=st.booleans(),
)
def test_it_reads_at_least_k_each_once(
    seed: int, k: int, tolerance: float | None, count: int, with_vectors: bool
) -> None:
    first, logits = scores(count, noise=1.0, seed=seed)
    plan = ReadingPlan(first, k, 0.5, vectors(count) if with_vectors else None, 0.15, tolerance)
    seen = plan.read(logits)
    there = ~np.isnan(seen)
    assert min(k, count) <= there.sum() <= count
    assert tolerance is not None or there.all()
    np.testing.assert_array_equal(seen[there], logits[there])


@given(seed=st.integers(0, 300), read_so_far=st.integers(0, 50))
def test_without_vectors_reading_goes_from_the_first_to_the_last(seed: int, read_so_far: int) -> None:
    first, logits = scores(50, noise=3.0, seed=seed)
    logits[read_so_far:] = np.nan
    assert ReadingPlan(first, 10, 0.6).following(logits).tolist() == list(range(read_so_far, 50))


def test_what_is_like_the_best_is_read_before_what_is_not() -> None:
    first, logits = scores(50, noise=0.0)
    told, unlike = vectors(50), np.arange(12, 50)
    told[40], told[41] = told[0], -told[0]
    logits[12:] = np.nan
    ahead = ReadingPlan(first, 10, 0.6, told, 0.15).following(logits).tolist()
    assert sorted(ahead) == unlike.tolist()
    assert ahead.index(40) < ahead.index(41)
    assert ahead.index(40) < 40 - 12


@given(seed=st.integers(0, 200))
def test_a_larger_tolerance_never_reads_more(seed: int) -> None:
    first, logits = scores(50, noise=2.0, seed=seed)
    found = [read(ReadingPlan(first, 10, 0.6, tolerance=one), logits) for one in (0.05, 0.5, 2.0)]
    assert found == sorted(found, reverse=True)


def test_an_answer_that_stands_out_is_soon_enough() -> None:
    found = []
    for best in (2.0, 30.0):
        first, logits = scores(50, noise=4.0)
        logits[2] = best
        found.append(read(ReadingPlan(first, 10, 0.8, tolerance=0.5), logits))
    assert found[1] < found[0]


@pytest.mark.parametrize("k", [1, 10])
def test_the_expected_risers_are_not_fewer_than_rise(k: int) -> None:
    expected, risen = [], []
    for seed in range(200):
        first, logits = scores(50, noise=2.0, seed=seed)
        seen = np.where(np.arange(50) < 20, logits, np.nan).astype(np.float32)
        expected.append(ReadingPlan(first, k, 1.0).expected_risers(seen))
        bar = np.sort(logits[:20])[-k]
        risen.append(int((logits[20:] > bar).sum()))
    assert 0.5 * np.mean(risen) < np.mean(expected) < 3 * np.mean(risen) + 0.3  # cautious, not wild


def test_scoring_follows_the_plan() -> None:
    first, logits = scores(50, noise=0.1)
    plan = ReadingPlan(first, 10, 0.6, vectors(50), 0.15, 0.2)

    class Known:
        def score(self, query: str, passages: list[str]) -> np.ndarray:
            return logits[[int(text) for text in passages]]

    got = score_within(
        Known(), "q", [str(row) for row in range(50)],
        budget_ms=float("inf"), cost=CostModel(), following=plan.following,
    )  # fmt: skip
    np.testing.assert_array_equal(got.scores, plan.read(logits))
    assert got.scored == np.isfinite(got.scores).sum() < 50
