import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from retriever.fusion import blend, fuse_rrf, fuse_zscore, zscores

numbers = st.floats(-100, 100, width=32)
arrays = hnp.arrays(np.float32, st.integers(1, 30), elements=numbers)


def column(*values):
    return np.asarray(values, dtype=np.float32)


def test_zscore_fusion_by_hand():
    fused = fuse_zscore(
        column(0.5, 0.1), column(0, 8), dense_spread=0.1, lexical_spread=4.0, dense_weight=0.25
    )
    assert fused.tolist() == pytest.approx([0.25 * 5 + 0, 0.25 * 1 + 0.75 * 2])


@given(arrays, st.floats(0.01, 10), st.floats(0.5, 100))
def test_zscore_fusion_does_not_see_the_unit(scores, weight, unit):
    weight = min(weight / 10, 1.0)
    other = scores[::-1].copy()
    plain = fuse_zscore(scores, other, dense_spread=2.0, lexical_spread=3.0, dense_weight=weight)
    scaled = fuse_zscore(
        scores * np.float32(unit), other, dense_spread=2.0 * unit, lexical_spread=3.0, dense_weight=weight
    )
    np.testing.assert_allclose(plain, scaled, rtol=1e-4, atol=1e-4)


def test_a_side_without_spread_has_nothing_to_say():
    fused = fuse_zscore(column(1, 2), column(9, 3), dense_spread=0.0, lexical_spread=1.0, dense_weight=0.5)
    assert fused.tolist() == [4.5, 1.5]


def test_rrf_by_hand():
    ids = np.array([3, 5, 8])
    fused = fuse_rrf(ids, np.array([5, 3]), np.array([8, 5]), dense_weight=0.5)
    expected = [0.5 / 62, 0.5 / 61 + 0.5 / 62, 0.5 / 61]
    assert fused.tolist() == pytest.approx(expected)


@given(arrays)
def test_zscores_have_mean_0_and_deviation_1_or_are_all_0(scores):
    standard = zscores(scores)
    assert abs(standard.mean()) < 1e-3
    assert standard.std() == pytest.approx(1, abs=1e-3) or not standard.any()


def test_zscores_of_nothing():
    assert len(zscores(column())) == 0


def test_blend_with_the_reranker_alone_keeps_its_logits():
    logits = column(3, -1, 2)
    assert blend(column(1, 2, 3), logits, 1.0).tolist() == logits.tolist()


@given(arrays, st.floats(0, 1))
def test_blend_of_two_equal_opinions_keeps_the_order(scores, weight):
    mixed = blend(scores, scores * np.float32(2), weight)
    by_score, by_mix = np.argsort(-scores, kind="stable"), np.argsort(-mixed, kind="stable")
    np.testing.assert_allclose(scores[by_mix], scores[by_score], atol=1e-3)


def test_blend_with_weight_0_keeps_the_first_stage():
    assert np.argsort(-blend(column(1, 3, 2), column(9, 0, 5), 0.0)).tolist() == [1, 2, 0]


def partly(logits, seed):
    """Logits of which some were not read."""
    read = np.random.default_rng(seed).random(len(logits)) < 0.5
    return np.where(read, logits, np.nan).astype(np.float32), read


@given(arrays, st.integers(0, 100), st.floats(0, 1))
def test_blend_of_a_part_is_that_of_a_list_so_short(scores, seed, weight):
    logits, read = partly(np.sin(scores), seed)
    if read.any():
        short = blend(scores[read], logits[read], weight)
        np.testing.assert_array_equal(blend(scores, logits, weight)[read], short)


@given(arrays, st.integers(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_what_was_not_read_stays_below_in_its_order(scores, seed, weight, feedback):
    first = np.sort(scores)[::-1].copy()
    logits, read = partly(np.sin(scores), seed)
    vectors = np.random.default_rng(seed).standard_normal((len(scores), 4)).astype(np.float32)
    mixed = blend(first, logits, weight, vectors=vectors, feedback=feedback)
    assert np.isfinite(mixed).all()
    assert (np.diff(mixed[~read]) <= 0).all()
    if read.any() and not read.all():
        assert mixed[~read].max() < mixed[read].min()


def test_blend_of_nothing_read_is_the_first_stage():
    assert blend(column(3, 2), column(np.nan, np.nan), 0.5).tolist() == [3, 2]
    assert blend(column(), column(), 0.5).tolist() == []
