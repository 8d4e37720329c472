"""Settings and vectors that cannot be used are named before anything is done with them."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.checks import (
    check_counts,
    check_finite,
    check_not_negative,
    check_positive,
    check_shares,
    check_vectors,
)
from rerank.errors import InvalidInputError

NAN, INF = float("nan"), float("inf")


def test_what_can_be_used_passes() -> None:
    check_counts(0, seed=0, steps=np.int64(3))
    check_positive(rate=1e-9, other=np.float32(2))
    check_not_negative(weight=0, other=2.5)
    check_shares(none=0, half=0.5, whole=1)
    check_finite("labels", [0, -1.5, np.float32(3)])
    check_vectors(np.ones((3, 2), np.float16), "vectors")
    check_vectors(np.full((2, 2), 1e308), "vectors whose sum no float holds")


@pytest.mark.parametrize("value", [0, -1, 1.5, NAN, "3", None])
def test_what_is_no_count_is_named(value: object) -> None:
    with pytest.raises(InvalidInputError, match="steps must be a whole number of at least 1, not"):
        check_counts(1, steps=value)


@pytest.mark.parametrize("value", [-1.0, NAN, INF, 10**400, "3", None])
def test_what_is_no_number_is_named(value: object) -> None:
    for check in (check_positive, check_not_negative, check_shares):
        with pytest.raises(InvalidInputError, match="rate must be"):
            check(rate=value)


def test_bounds_are_kept() -> None:
    with pytest.raises(InvalidInputError, match="above 0, not 0"):
        check_positive(rate=0)
    with pytest.raises(InvalidInputError, match="from 0 to 1, not 1.1"):
        check_shares(warmup=1.1)
    with pytest.raises(InvalidInputError, match="labels must be finite numbers, not '1'"):
        check_finite("labels", "10")


def test_vectors_that_cannot_be_used_are_named() -> None:
    for value in (NAN, INF):
        vectors = np.ones((4, 2), np.float32)
        vectors[2:, 1] = value, -value
        with pytest.raises(InvalidInputError, match="not finite, first in row 2"):
            check_vectors(vectors, "vectors")
    for shape in ((4,), (4, 0), (2, 2, 2)):
        with pytest.raises(InvalidInputError, match="must have the shape"):
            check_vectors(np.ones(shape), "vectors")
