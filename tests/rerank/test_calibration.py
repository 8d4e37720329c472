"""Probabilities are honest where they were fitted, rise with the logit, and survive the folder."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.calibration import Calibration, expected_calibration_error
from rerank.errors import InvalidInputError, ModelError


def test_recovers_the_map_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(8, 3, size=40_000)
    truth = Calibration(0.7, -6.0)
    relevant = rng.random(40_000) < truth.probability(logits)
    fitted = Calibration.fit(logits, relevant)
    assert fitted.slope == pytest.approx(0.7, rel=0.05)
    assert fitted.intercept == pytest.approx(-6.0, rel=0.05)
    assert expected_calibration_error(fitted.probability(logits), relevant) < 0.01


def test_weights_count_as_copies() -> None:
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 1, 0, 1])
    copied = Calibration.fit(np.repeat(x, [1, 3, 2, 1]), np.repeat(y, [1, 3, 2, 1]))
    weighted = Calibration.fit(x, y, weights=[1, 3, 2, 1])
    assert weighted.slope == pytest.approx(copied.slope, rel=1e-3)


def test_separable_data_stays_finite() -> None:
    fitted = Calibration.fit([0.0, 1.0, 5.0, 6.0], [0, 0, 1, 1])
    assert np.isfinite(fitted.probability([-1e6, 0, 1e6])).all()


def test_probability_keeps_the_order() -> None:
    stated = Calibration(0.5, -3).probability(np.linspace(-20, 20, 50))
    assert (np.diff(stated) >= 0).all()
    assert stated.dtype == np.float32


def test_one_kind_alone_cannot_be_fitted() -> None:
    with pytest.raises(InvalidInputError, match="of one kind"):
        Calibration.fit([1.0, 2.0], [1, 1])


def test_error_of_a_boaster_and_of_an_honest_one() -> None:
    assert expected_calibration_error([1.0] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.5)
    assert expected_calibration_error([0.5] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.0)


def test_is_kept_in_the_configuration() -> None:
    assert Calibration.from_config({}) is None
    assert Calibration.from_config({"calibration": Calibration(1.5, -2.0).to_dict()}) == Calibration(
        1.5, -2.0
    )
    with pytest.raises(ModelError, match="damaged"):
        Calibration.from_config({"calibration": {"slope": "x"}})


def test_values_that_are_not_finite_are_refused() -> None:
    for given in (([np.nan, 1.0], [0, 1], None), ([1.0, 2.0], [0, 1], [1, np.inf])):
        with pytest.raises(InvalidInputError, match="must be finite"):
            Calibration.fit(given[0], given[1], weights=given[2])
    with pytest.raises(InvalidInputError, match="of one length"):
        Calibration.fit([1.0, 2.0, 3.0], [0, 1])
