"""Settings and vectors that a caller gives, checked before any work is done with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InvalidInputError


def check_counts(least: int, **settings: object) -> None:
    """Raise where a setting is no whole number, or too small a one.

    :param least: the smallest that is allowed.
    :param settings: values by name.
    :raises InvalidInputError: naming the first that cannot be used.
    """
    _check(
        settings,
        lambda value: isinstance(value, Integral) and int(value) >= least,
        f"a whole number of at least {least}",
    )


def check_positive(**settings: object) -> None:
    """Raise where a setting is no finite number above 0.

    :param settings: values by name.
    :raises InvalidInputError: naming the first that cannot be used.
    """
    _check(settings, lambda value: _finite(value) and value > 0, "a finite number above 0")


def check_not_negative(**settings: object) -> None:
    """Raise where a setting is no finite number, or one below 0.

    :param settings: values by name.
    :raises InvalidInputError: naming the first that cannot be used.
    """
    _check(settings, lambda value: _finite(value) and value >= 0, "a finite number, 0 or more")


def check_shares(**settings: object) -> None:
    """Raise where a setting is no share of a whole.

    :param settings: values by name.
    :raises InvalidInputError: naming the first that cannot be used.
    """
    _check(settings, lambda value: _finite(value) and 0 <= value <= 1, "a number from 0 to 1")


def check_finite(called: str, values: Iterable[object]) -> None:
    """Raise where values are not all finite numbers.

    :param called: what the message calls them.
    :param values: the values.
    :raises InvalidInputError: naming the first that cannot be used.
    """
    for value in values:
        if not _finite(value):
            raise InvalidInputError(f"{called} must be finite numbers, not {value!r}")


def check_vectors(vectors: NDArray[Any], called: str) -> None:
    """Raise where vectors are no matrix, or hold a value that is not finite.

    :param vectors: n rows.
    :param called: what the message calls them.
    :raises InvalidInputError: naming the first row that cannot be used.
    """
    values = np.asarray(vectors)  # torch's tensors, too
    if values.ndim != 2 or not values.shape[1]:
        raise InvalidInputError(f"{called} must have the shape (n, dimensions), not {tuple(values.shape)}")
    # One value that is not finite makes the sum so, which needs no second array of that size.
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(np.sum(values, dtype=np.float64)):
            return
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(rows):
        raise InvalidInputError(
            f"{called} hold values that are not finite, first in row {rows[0]}; leave such rows out"
        )


def _finite(value: Any) -> bool:
    """Whether a value is a number, and neither infinite nor NaN."""
    try:
        return isinstance(value, Real | np.bool_) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _check(settings: Mapping[str, Any], holds: Callable[[Any], bool], wanted: str) -> None:
    """Raise for the first setting that something does not hold for."""
    for name, value in settings.items():
        if not holds(value):
            raise InvalidInputError(f"{name} must be {wanted}, not {value!r}")
