"""Which setting to use: the best within a time budget, or the cheapest above a quality floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eval.study_result import SettingResult, TradeoffResult
from retriever.config import RetrieverConfig
from retriever.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A setting to use, and why.

    :param result: the setting and what it reached.
    :param reason: one sentence.
    :param alternative: a cheaper setting whose loss may be chance, if there is one.
    :param alternative_reason: one sentence about it, or "".
    :param measure: what quality was measured by.
    """

    result: SettingResult
    reason: str
    alternative: SettingResult | None
    alternative_reason: str
    measure: str

    @property
    def config(self) -> RetrieverConfig:
        """The configuration to give to a Retriever."""
        return self.result.config or RetrieverConfig()

    @property
    def code(self) -> str:
        """The configuration as a line to paste; what is at its default is left out."""
        return config_code(self.config)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "setting": str(self.result.setting),
            "reason": self.reason,
            self.measure: round(self.result.quality, 4),
            "config": self.config.model_dump(mode="json", exclude_defaults=True),
            "code": self.code,
            "alternative": None if self.alternative is None else str(self.alternative.setting),
            "alternative_reason": self.alternative_reason,
        }

    def __str__(self) -> str:
        return "\n".join(part for part in (self.reason, self.alternative_reason, self.code) if part)


def recommend(
    result: TradeoffResult, *, budget_ms: float | None = None, floor: float | None = None
) -> Recommendation:
    """Recommend one of the project's own settings.

    With a budget: the best quality whose p99 stays within it. With a floor: the least median time that
    reaches it. With both: the best within the budget, which must reach the floor. With neither: the fastest
    setting whose loss against the best is within chance.

    :param result: the measured grid.
    :param budget_ms: milliseconds that 99 of 100 queries may take.
    :param floor: the deciding measure's least mean.
    :return: the setting, the reason, and its configuration.
    :raises InvalidInputError: if no setting meets what is asked; the message says what comes nearest.
    """
    own = [entry for entry in result.settings if entry.config is not None]
    if not own:
        raise InvalidInputError("the study has none of the project's own settings to recommend")
    if budget_ms is not None:
        return _within_budget(result, own, budget_ms, floor)
    if floor is not None:
        return _above_floor(result, own, floor)
    best = max(own, key=lambda entry: entry.quality)
    chosen = _cheapest_equal(result, own, best) or best
    told = _told(result, chosen)
    if chosen is best:
        return Recommendation(
            best,
            f"The best setting: {told}; every faster one loses more than chance.",
            None,
            "",
            result.measure,
        )
    reason = (
        f"The fastest setting whose loss against the best may be chance: {told}; "
        f"the best reaches {best.interval} at {best.total.p50:.0f} ms ({best.setting}), question by question "
        f"{_gain(result, chosen, best)}."
    )
    return Recommendation(chosen, reason, None, "", result.measure)


def reranking_told(result: TradeoffResult, entry: SettingResult) -> str:
    """Say what a setting's reranking costs and gains.

    :param result: the measured grid.
    :param entry: one of its settings.
    :return: a sentence; "" for a setting that does not rerank.
    """
    if not entry.setting.depth:
        return ""
    plain = next(one for one in result.settings if one.setting.stage == entry.setting.stage and not one.pairs)
    longer = entry.total.p50 - plain.total.p50
    return (
        f"Not reranked, the same first stage reaches {plain.interval.mean:.3f} at {plain.total.p50:.0f} ms: "
        f"reranking takes {longer:.0f} ms more and is, question by question, worth "
        f"{_gain(result, plain, entry)}."
    )


def _gain(result: TradeoffResult, one: SettingResult, other: SettingResult) -> str:
    """Write the gain from one setting to another with its interval."""
    gain = result.chance_of_gain(one, other)
    return f"{gain.mean:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f})"


def config_code(config: RetrieverConfig) -> str:
    """Write a configuration as Python.

    :param config: any.
    :return: ``RetrieverConfig(...)`` with what differs from the defaults.

    >>> config_code(RetrieverConfig(depth=20))
    'RetrieverConfig(depth=20)'
    """
    changed = config.model_dump(exclude_defaults=True)
    return f"RetrieverConfig({', '.join(f'{name}={value!r}' for name, value in changed.items())})"


def _within_budget(
    result: TradeoffResult, own: list[SettingResult], budget_ms: float, floor: float | None
) -> Recommendation:
    """Take the best that is fast enough."""
    affordable = [entry for entry in own if entry.total.p99 <= budget_ms]
    if not affordable:
        fastest = min(own, key=lambda entry: entry.total.p99)
        raise InvalidInputError(
            f"no setting answers 99 of 100 queries within {budget_ms:g} ms; the fastest is "
            f"{fastest.setting} with {fastest.total.p99:.0f} ms; raise the budget or add smaller depths"
        )
    best = max(affordable, key=lambda entry: entry.quality)
    if floor is not None and best.quality < floor:
        raise InvalidInputError(
            f"no setting within {budget_ms:g} ms reaches {result.measure} {floor:g}; the best is "
            f"{best.setting} with {best.interval}; raise the budget or lower the floor"
        )
    alternative = _cheapest_equal(result, affordable, best)
    return Recommendation(
        best,
        f"Within {budget_ms:g} ms: {_told(result, best)}.",
        alternative,
        _alternative_told(result, best, alternative),
        result.measure,
    )


def _above_floor(result: TradeoffResult, own: list[SettingResult], floor: float) -> Recommendation:
    """Take the fastest that is good enough."""
    enough = [entry for entry in own if entry.quality >= floor]
    if not enough:
        best = max(own, key=lambda entry: entry.quality)
        raise InvalidInputError(
            f"no setting reaches {result.measure} {floor:g}; the best is {best.setting} with "
            f"{best.interval}; lower the floor, or adapt the models to the corpus"
        )
    chosen = min(enough, key=lambda entry: (entry.total.p50, -entry.quality))
    return Recommendation(
        chosen,
        f"At least {result.measure} {floor:g}, fastest: {_told(result, chosen)}.",
        None,
        "",
        result.measure,
    )


def _cheapest_equal(
    result: TradeoffResult, among: list[SettingResult], best: SettingResult
) -> SettingResult | None:
    """Return the fastest setting whose loss against the best may be chance; None if that is the best."""
    for entry in sorted(among, key=lambda entry: entry.total.p50):
        if entry is best or entry.total.p50 >= best.total.p50:
            return None
        if result.chance_of_gain(entry, best).low <= 0:
            return entry
    return None


def _told(result: TradeoffResult, entry: SettingResult) -> str:
    """Say what a setting is and does."""
    return (
        f"{entry.setting}: {result.measure} {entry.interval} "
        f"at {entry.total.p50:.0f} ms a query (p99 {entry.total.p99:.0f} ms)"
    )


def _alternative_told(result: TradeoffResult, best: SettingResult, other: SettingResult | None) -> str:
    """Say what the cheaper setting would save and risk."""
    if other is None:
        return ""
    gain = result.chance_of_gain(other, best)
    return (
        f"Cheaper, and the loss may be chance ({-gain.mean:+.3f}, 95 % interval {-gain.high:+.3f} to "
        f"{-gain.low:+.3f}): {_told(result, other)}."
    )
