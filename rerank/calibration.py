"""From a logit to the probability that a passage is relevant, comparable between queries.

Platt's map (1999): one slope and one intercept, fitted on labelled training lists and kept with the model.
For people and thresholds; the order is always that of the logits, which a sigmoid would tie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rerank.errors import InvalidInputError, ModelError

STEPS = 50  # Newton's method is there long before
RIDGE = 1e-6  # keeps separable data from sending the slope to infinity
BINS = 15  # of the expected calibration error, as in Guo et al. 2017


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = 1 / (1 + exp(-(slope * logit + intercept))).

    :param slope: how fast the probability rises with the logit.
    :param intercept: its log-odds at logit 0.
    """

    slope: float
    intercept: float

    @classmethod
    def fit(cls, logits: ArrayLike, relevant: ArrayLike, *, weights: ArrayLike | None = None) -> Calibration:
        """Fit slope and intercept by maximum likelihood.

        :param logits: n scores.
        :param relevant: n truth values.
        :param weights: n weights, 1 each without.
        :return: the fitted map.
        :raises InvalidInputError: if there is not at least one relevant and one other passage, if not all are
            equally many, or if a value is not finite.
        """
        x = np.asarray(logits, dtype=np.float64)
        y = np.asarray(relevant, dtype=np.float64)
        w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
        if x.ndim != 1 or x.shape != y.shape or x.shape != w.shape:
            raise InvalidInputError(
                f"logits {x.shape}, truth values {y.shape} and weights {w.shape} must be rows of one length"
            )
        if not all(np.isfinite(values).all() for values in (x, y, w)):
            raise InvalidInputError(
                "logits, truth values and weights must be finite; leave pairs without a score out"
            )
        if not (0 < y.sum() < len(y)):
            raise InvalidInputError(
                "calibration needs relevant passages and others; all given are of one kind"
            )
        centre, spread = float(x.mean()), float(x.std()) or 1.0
        design = np.stack([(x - centre) / spread, np.ones_like(x)], axis=1)
        beta = np.zeros(2)
        for _ in range(STEPS):
            p = _sigmoid(design @ beta)
            gradient = design.T @ (w * (p - y)) + RIDGE * beta
            curvature = (design * (w * p * (1 - p))[:, None]).T @ design + RIDGE * np.eye(2)
            move = np.linalg.solve(curvature, gradient)
            beta = beta - move
            if float(np.abs(move).max()) < 1e-9:
                break
        slope = float(beta[0]) / spread
        return cls(slope, float(beta[1]) - slope * centre)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Calibration | None:
        """Read the map out of a reranker's config.json; None where it has none."""
        kept = config.get("calibration")
        if kept is None:
            return None
        try:
            return cls(float(kept["slope"]), float(kept["intercept"]))
        except (TypeError, KeyError, ValueError) as error:
            raise ModelError(f"the reranker's config.json has a damaged calibration ({error!r})") from error

    def to_dict(self) -> dict[str, float]:
        """Return slope and intercept, JSON-ready."""
        return asdict(self)

    def probability(self, logits: ArrayLike) -> NDArray[np.float32]:
        """Turn logits into probabilities.

        :param logits: any shape.
        :return: float32 of that shape, 0 to 1.
        """
        return _sigmoid(self.slope * np.asarray(logits, dtype=np.float64) + self.intercept).astype(np.float32)


def expected_calibration_error(probabilities: ArrayLike, relevant: ArrayLike, *, bins: int = BINS) -> float:
    """How far stated probabilities are from the shares that came true, weighted by bin (Guo et al. 2017).

    :param probabilities: n values, 0 to 1.
    :param relevant: n truth values.
    :param bins: equal parts of [0, 1].
    :return: 0 (honest) to 1.
    """
    stated = np.asarray(probabilities, dtype=np.float64)
    came = np.asarray(relevant, dtype=np.float64)
    place = np.minimum((stated * bins).astype(np.int64), bins - 1)
    gaps = [abs(float((stated - came)[place == one].sum())) for one in range(bins)]
    return sum(gaps) / max(1, len(stated))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic function without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))
