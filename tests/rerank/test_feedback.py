"""What stands first speaks for what is like it, by hand and for all inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.feedback import VOUCHING, with_feedback


def unit(count, width=8, seed=0):
    rows = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def falling(count):
    return np.linspace(3, -3, count, dtype=np.float32)


lists = st.tuples(st.integers(VOUCHING + 1, 60), st.integers(0, 1000), st.floats(0.01, 1.0))


def by_hand(scores, vectors, share):
    """The formula of the docstring, pair by pair."""
    x = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    spread = scores.std()
    best = np.argsort(-scores, kind="stable")[:VOUCHING].tolist()
    weight = {j: np.exp(2 * (scores[j] - scores.max()) / spread) for j in best}
    like = np.array(
        [
            sum(weight[j] * (x[i] @ x[j]) for j in best if j != i) / sum(weight[j] for j in best if j != i)
            for i in range(len(scores))
        ]
    )
    return scores + share * spread * (like - like.mean()) / like.std()


@given(lists)
def test_the_sums_are_those_of_the_formula(drawn):
    count, seed, share = drawn
    scores = np.random.default_rng(seed).standard_normal(count)
    vectors = unit(count, seed=seed)
    found = with_feedback(scores.astype(np.float32), vectors, share)
    np.testing.assert_allclose(found, by_hand(scores, vectors, share), atol=1e-4)


@given(lists)
def test_the_order_in_which_documents_come_makes_no_difference(drawn):
    count, seed, share = drawn
    vectors, order = unit(count, seed=seed), np.random.default_rng(seed).permutation(count)
    found = with_feedback(falling(count), vectors, share)
    np.testing.assert_allclose(
        with_feedback(falling(count)[order], vectors[order], share), found[order], atol=1e-4
    )


@given(lists, st.floats(0.1, 100), st.floats(-50, 50))
def test_the_unit_of_the_scores_makes_no_difference(drawn, unit_of, zero):
    count, seed, share = drawn
    vectors = unit(count, seed=seed)
    found = with_feedback(falling(count), vectors, share)
    scaled = with_feedback((falling(count) * unit_of + zero).astype(np.float32), vectors, share)
    np.testing.assert_allclose((scaled - zero) / unit_of, found, atol=1e-3 * (1 + abs(zero) / unit_of))


@given(lists)
def test_the_mean_of_the_scores_stays(drawn):
    count, seed, share = drawn
    assert with_feedback(falling(count), unit(count, seed=seed), share).mean() == pytest.approx(0, abs=1e-4)


def test_what_is_like_the_best_gains_and_what_is_not_loses():
    vectors = unit(20)
    vectors[15], vectors[16] = vectors[0], -vectors[0]
    moved = with_feedback(falling(20), vectors, 0.2) - falling(20)
    assert moved[15] > 0 > moved[16]


def test_nobody_speaks_for_itself():
    vectors = np.zeros((12, 12), dtype=np.float32)
    np.fill_diagonal(vectors, 1)  # all equally unlike each other
    np.testing.assert_allclose(with_feedback(falling(12), vectors, 1.0), falling(12), atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "vectors", "share"),
    [
        (falling(30), unit(30), 0.0),
        (falling(VOUCHING), unit(VOUCHING), 0.5),
        (np.ones(30, dtype=np.float32), unit(30), 0.5),
        (falling(30), np.ones((30, 4), dtype=np.float32), 0.5),
        (falling(30), np.zeros((30, 4), dtype=np.float32), 0.5),
        (np.empty(0, dtype=np.float32), np.empty((0, 4), dtype=np.float32), 0.5),
    ],
    ids=["off", "short list", "equal scores", "equal vectors", "no vectors", "nothing"],
)
def test_scores_stay_where_nothing_can_be_said(scores, vectors, share):
    assert with_feedback(scores, vectors, share).tolist() == scores.tolist()
