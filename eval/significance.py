"""How sure a figure is, and whether two runs differ by more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.errors import InvalidInputError, MissingExtraError

Values = NDArray[np.float64]

RESAMPLES = 10_000
_CHUNK = 1_000  # resamples drawn at once: bounds memory at 1,000 x queries


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval.

    :param mean: over the queries.
    :param low: lower bound.
    :param high: upper bound.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's length: the ± of the mean."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared query by query on one measure.

    :param measure: its name.
    :param mean_a: the first run's mean.
    :param mean_b: the second run's mean.
    :param difference: b minus a, with its bootstrap interval.
    :param p_randomization: two-sided p of the paired randomization test.
    :param p_t: two-sided p of the paired t test.
    :param wins: queries on which b is better.
    :param ties: queries on which both are equal.
    :param losses: queries on which b is worse.
    :param p_corrected: the randomization p after Holm's correction for all comparisons made together.
    """

    measure: str
    mean_a: float
    mean_b: float
    difference: Interval
    p_randomization: float
    p_t: float
    wins: int
    ties: int
    losses: int
    p_corrected: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return asdict(self)


def bootstrap_means(values: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> Values:
    """Draw the means of resampled query sets.

    :param values: one value a query, shape (n,), or several settings' at once, shape (n, m).
    :param resamples: how many query sets to draw, with replacement.
    :param seed: of the draw; equal seeds draw the same queries, so that settings stay paired.
    :return: means, shape (resamples,) or (resamples, m).
    """
    generator = np.random.default_rng(seed)
    means = [
        values[generator.integers(0, len(values), (min(_CHUNK, resamples - start), len(values)))].mean(axis=1)
        for start in range(0, resamples, _CHUNK)
    ]
    return np.concatenate(means)


def interval(
    values: Values, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Bootstrap a confidence interval of the mean over queries (percentile method, Efron 1979).

    :param values: one value a query, shape (n,).
    :param confidence: coverage wanted, between 0 and 1.
    :param resamples: how many query sets to draw.
    :param seed: of the draw.
    :return: the mean and its interval.
    :raises InvalidInputError: if there are no values, or the confidence is not between 0 and 1.

    >>> interval(np.array([0.5, 0.5])).half_width
    0.0
    """
    if not 0 < confidence < 1:
        raise InvalidInputError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    if len(values) == 0:
        raise InvalidInputError("there are no queries to take a mean over")
    means = bootstrap_means(values, resamples=resamples, seed=seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def randomization_p(differences: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Test whether paired differences centre on zero, by flipping their signs at random.

    Fisher's paired randomization test, the one Smucker, Allan and Carterette (CIKM 2007) recommend for
    retrieval experiments.

    :param differences: one difference a query, shape (n,).
    :param resamples: how many sign patterns to draw; the least p is 1 / (resamples + 1).
    :param seed: of the draw.
    :return: two-sided p, never 0.
    """
    observed = abs(differences.sum())
    if observed == 0:
        return 1.0
    generator = np.random.default_rng(seed)
    extreme = 0
    for start in range(0, resamples, _CHUNK):
        shape = (min(_CHUNK, resamples - start), len(differences))
        signs = generator.integers(0, 2, shape, dtype=np.int8) * 2 - 1
        # The tolerance keeps patterns equal to the observed one, whose sums differ in the last bit.
        extreme += int((np.abs(signs @ differences) >= observed * (1 - 1e-12)).sum())
    return (extreme + 1) / (resamples + 1)


def t_p(differences: Values) -> float:
    """Test whether paired differences centre on zero, by Student's t test.

    :param differences: one difference a query, shape (n,).
    :return: two-sided p; 1 where all differences are equal to zero or there are fewer than two.
    :raises MissingExtraError: if scipy is not installed.
    """
    if len(differences) < 2 or not differences.any():
        return 1.0
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingExtraError(
            "the paired t test needs scipy: pip install 'two-stage-retriever[report]'"
        ) from error
    if np.ptp(differences) == 0:
        return 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for many comparisons by Holm's step-down method (1979).

    :param p_values: one p a comparison.
    :return: corrected values in the same order; below alpha where the comparison holds at family-wise alpha.

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    corrected = [0.0] * len(p_values)
    floor = 0.0
    for position, row in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - position) * p_values[row]))
        corrected[row] = floor
    return corrected


def compare(
    pairs: Sequence[tuple[str, Values, Values]],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Comparison]:
    """Compare pairs of runs query by query, corrected for how many comparisons are made.

    :param pairs: (name of the comparison, values of a, values of b), both of shape (n,), queries aligned.
    :param confidence: coverage of the difference's interval.
    :param resamples: draws for the interval and for the randomization test.
    :param seed: of the draws.
    :return: one comparison a pair, in the order given.
    :raises InvalidInputError: if the two runs of a pair have not the same number of queries.
    :raises MissingExtraError: if scipy is not installed.
    """
    for name, first, second in pairs:
        if first.shape != second.shape:
            raise InvalidInputError(
                f"{name}: {len(first)} queries against {len(second)}; "
                "measure both runs with the same judgments"
            )
    differences = [second - first for _, first, second in pairs]
    chances = [randomization_p(gap, resamples=resamples, seed=seed) for gap in differences]
    return [
        Comparison(
            measure=name,
            mean_a=float(first.mean()),
            mean_b=float(second.mean()),
            difference=interval(gap, confidence=confidence, resamples=resamples, seed=seed),
            p_randomization=chance,
            p_t=t_p(gap),
            wins=int((gap > 0).sum()),
            ties=int((gap == 0).sum()),
            losses=int((gap < 0).sum()),
            p_corrected=corrected,
        )
        for (name, first, second), gap, chance, corrected in zip(
            pairs, differences, chances, holm(chances), strict=True
        )
    ]
