"""What a trade-off study found: the measured grid, its Pareto front, and its plain form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.attribution import FATES, Attribution, LostQuery, attribute, with_texts
from eval.datasets import Dataset
from eval.environment import environment
from eval.evaluation import Latency
from eval.metrics import QueryScores, label
from eval.significance import Interval, bootstrap_means
from retriever.config import RetrieverConfig
from retriever.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid.

    :param first_stage: what finds the candidates.
    :param dimensions: of its vectors; None where it has none.
    :param reranker: what reads the short list; None for nothing.
    :param depth: how many documents it reads; 0 without one.
    """

    first_stage: str
    dimensions: int | None
    reranker: str | None
    depth: int

    @property
    def stage(self) -> tuple[str, int | None]:
        """The first stage with its width: what settings differ in before anything is reranked."""
        return self.first_stage, self.dimensions

    def __str__(self) -> str:
        width = f" {self.dimensions}d" if self.dimensions else ""
        second = f", reranked to depth {self.depth}" if self.depth else ", not reranked"
        return f"{self.first_stage}{width}{second}"


@dataclass(frozen=True, slots=True)
class SettingResult:
    """One setting measured.

    :param setting: which.
    :param scores: each measure for each query.
    :param interval: 95 % bootstrap interval of the first measure.
    :param recall_at_depth: share of the relevant documents that reach the reranker; None at depth 0.
    :param first_stage: milliseconds a query, encoding to fused list with its texts.
    :param rerank: milliseconds a query in the cross-encoder.
    :param total: both together.
    :param pairs: pairs scored a query, mean.
    :param bytes_per_passage: of the vectors.
    :param encode_seconds: what encoding and indexing the corpus took.
    :param config: to give to a Retriever; None for a peer.
    """

    setting: Setting
    scores: QueryScores
    interval: Interval
    recall_at_depth: float | None
    first_stage: Latency
    rerank: Latency
    total: Latency
    pairs: float
    bytes_per_passage: float
    encode_seconds: float
    config: RetrieverConfig | None

    @property
    def quality(self) -> float:
        """The mean of the first measure."""
        return self.interval.mean

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "first_stage": self.setting.first_stage,
            "dimensions": self.setting.dimensions,
            "reranker": self.setting.reranker,
            "depth": self.setting.depth,
            "measures": {label(name): round(value, 4) for name, value in self.scores.means().items()},
            "interval": [round(self.interval.low, 4), round(self.interval.high, 4)],
            "recall_at_depth": None if self.recall_at_depth is None else round(self.recall_at_depth, 4),
            "milliseconds_per_query": {
                "first_stage": self.first_stage.to_dict(),
                "rerank": self.rerank.to_dict(),
                "total": self.total.to_dict(),
            },
            "pairs_per_query": round(self.pairs, 1),
            "vector_bytes_per_passage": self.bytes_per_passage,
            "encode_and_index_seconds": round(self.encode_seconds, 2),
            "unjudged_in_first_ten": self.scores.unjudged,
            "config": None if self.config is None else self.config.model_dump(mode="json"),
        }


@dataclass(frozen=True, slots=True)
class TradeoffResult:
    """A grid of settings measured on one data set.

    :param dataset: the judged queries.
    :param measures: the measures asked for; the first one decides.
    :param settings: every setting, first stages in the order they were asked, depths rising.
    :param orders: each setting's document ids by query, best first.
    :param upper_bounds: for each first stage, what a perfect reranker would reach at each depth.
    :param documents: how many the corpus has.
    :param pairs_scored: pairs that the cross-encoder had to score in this run.
    :param seconds: what the whole study took.
    """

    dataset: Dataset
    measures: tuple[str, ...]
    settings: tuple[SettingResult, ...]
    orders: Mapping[Setting, Mapping[str, Sequence[str]]]
    upper_bounds: Mapping[tuple[str, int | None], Mapping[int, float]]
    documents: int
    pairs_scored: int
    seconds: float

    @property
    def measure(self) -> str:
        """What the deciding measure is called."""
        return label(self.measures[0])

    def find(self, setting: Setting) -> SettingResult:
        """Return a setting's result.

        :param setting: which.
        :raises InvalidInputError: if it is not part of the study.
        """
        for result in self.settings:
            if result.setting == setting:
                return result
        raise InvalidInputError(f"{setting} is not part of the study")

    def pareto(self) -> list[SettingResult]:
        """Return the settings that no other beats in both quality and median time.

        :return: fastest first; quality rises along the list.
        """
        front: list[SettingResult] = []
        for result in sorted(self.settings, key=lambda result: (result.total.p50, -result.quality)):
            if not front or result.quality > front[-1].quality:
                front.append(result)
        return front

    def chance_of_gain(self, one: SettingResult, other: SettingResult) -> Interval:
        """Bound the gain in the deciding measure from one setting to the other, query by query.

        :param one: the setting to start from.
        :param other: the setting to go to.
        :return: mean gain with its 95 % interval; an interval that holds 0 is no proof of a gain.
        """
        gap = other.scores.values[self.measures[0]] - one.scores.values[self.measures[0]]
        low, high = np.quantile(bootstrap_means(gap), [0.025, 0.975])
        return Interval(float(gap.mean()), float(low), float(high))

    def attribute(self, setting: Setting, *, k: int = 10) -> Attribution:
        """Say where each query's answer was lost under a setting.

        :param setting: which.
        :param k: how far down a reader looks.
        :return: every query's fate.
        """
        first = Setting(setting.first_stage, setting.dimensions, None, 0)
        return attribute(
            self.orders[first], self.orders[setting], self.dataset.qrels, depth=setting.depth, k=k
        )

    def lost(self, attribution: Attribution, *, limit: int = 3) -> list[LostQuery]:
        """Return the queries hit hardest by each fate, with their texts.

        :param attribution: from `attribute`.
        :param limit: at most this many of each fate.
        :return: all that were not answered, fate by fate.
        """
        fates = [query for fate in FATES if fate != "answered" for query in attribution.worst(fate, limit)]
        return with_texts(fates, self.dataset.queries, self.dataset.documents or ())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values, with what they were measured on."""
        return {
            "dataset": self.dataset.name,
            "documents": self.documents,
            "queries": len(self.dataset.queries),
            "deciding_measure": self.measure,
            "settings": [result.to_dict() for result in self.settings],
            "pareto_front": [str(result.setting) for result in self.pareto()],
            "perfect_reranker": [
                {"first_stage": name, "dimensions": width, "depth": depth, self.measure: round(value, 4)}
                for (name, width), bounds in self.upper_bounds.items()
                for depth, value in bounds.items()
            ],
            "pairs_scored": self.pairs_scored,
            "seconds": round(self.seconds, 1),
            "environment": environment(),
        }
