"""Intervals and tests against scipy and against known cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eval.significance import compare, holm, interval, randomization_p, t_p
from retriever.errors import InvalidInputError

values = st.lists(st.floats(0, 1), min_size=2, max_size=40).map(np.asarray)


@given(values)
def test_the_interval_holds_the_mean_and_lies_within_the_values(sample):
    found = interval(sample, resamples=200)
    assert sample.min() - 1e-12 <= found.low <= found.high <= sample.max() + 1e-12
    assert found.mean == pytest.approx(sample.mean())


def test_the_interval_agrees_with_scipys_percentile_bootstrap():
    sample = np.random.default_rng(3).random(80)
    theirs = stats.bootstrap((sample,), np.mean, method="percentile", n_resamples=10_000).confidence_interval
    ours = interval(sample)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    draw = np.random.default_rng(1)
    samples = [draw.random(60) for _ in range(300)]
    covered = [found.low <= 0.5 <= found.high for found in (interval(s, resamples=400) for s in samples)]
    assert 0.90 <= np.mean(covered) <= 0.98


def test_randomization_agrees_with_the_exact_count():
    gaps = np.array([0.3, 0.1, -0.05, 0.2, 0.4, -0.1])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    exact = np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-12)
    assert randomization_p(gaps) == pytest.approx(exact, abs=0.01)


def test_no_difference_is_never_significant():
    nothing = np.zeros(20)
    assert randomization_p(nothing) == t_p(nothing) == 1.0


def test_the_t_test_is_scipys():
    draw = np.random.default_rng(0)
    a, b = draw.random(30), draw.random(30)
    assert t_p(b - a) == pytest.approx(stats.ttest_rel(b, a).pvalue)


def test_holm_steps_down_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_never_lowers_a_p(p_values):
    corrected = holm(p_values)
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))


def test_a_comparison_counts_wins_ties_and_losses():
    a, b = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.4, 0.5, 0.6, 0.2])
    (found,) = compare([("nDCG@10", a, b)])
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.difference.mean == pytest.approx(-0.075)
    assert found.p_corrected == found.p_randomization


def test_runs_over_different_queries_are_refused():
    with pytest.raises(InvalidInputError, match="3 queries against 2"):
        compare([("AP", np.zeros(3), np.zeros(2))])


def test_a_confidence_outside_zero_and_one_is_refused():
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        interval(np.zeros(3), confidence=95)
