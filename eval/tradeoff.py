"""What each knob buys on one corpus: depth, dimensions, fusion and reranker against quality and time.

The whole grid is read off one deep run. Every first stage is asked once, at the greatest depth; every pair of
query and passage that any of them brings up is scored once; each setting then only cuts and reorders. Some
queries are reranked one by one, and timed; the others together, so that a passage they share is read once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eval.attribution import perfect_reranking
from eval.datasets import Dataset
from eval.evaluation import Latency
from eval.first_stage import FirstStage, RetrieverStage, Shortlist
from eval.metrics import Judge
from eval.score_log import ScoreLog
from eval.significance import interval
from eval.study_result import Setting, SettingResult, TradeoffResult
from rerank.protocol import PairReranker, Reranker
from retriever.config import BUNDLED, RetrieverConfig
from retriever.errors import InvalidInputError
from retriever.fusion import blend
from retriever.loading import load_named_reranker
from retriever.pipeline import DEFAULT_RERANK_WEIGHT
from retriever.second_stage import score_texts

Milliseconds = NDArray[np.float64]
Fusion = Literal["zscore", "rrf"]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, the number of queries done, and of all."""

DEPTHS = (0, 10, 20, 50, 100, 200)
TIMED = 100  # enough for a 99th percentile
_TOGETHER = 100  # of the others are reranked in one call, and written down
_LEAST_LIMIT = 100  # candidates a query at least: recall@100 and MAP need them
_LONGEST = 2_000  # characters; a cross-encoder cuts what is longer, so it costs no more


@dataclass(slots=True)
class TradeoffStudy:
    """A grid of settings measured on one data set for about the price of its deepest setting.

    :param dataset: judged queries with their corpus.
    :param depths: how many documents are reranked; 0 is the first stage alone and is always measured.
    :param dimensions: leading vector dimensions to try; None is the encoder's full width.
    :param fusions: ways of combining dense and lexical lists.
    :param rerankers: names ("bundled", "fast", a folder, a hub id), or rerankers under names of one's own.
    :param peers: further first stages to hold beside the project's own, made from the data set.
    :param config: everything that is not tried out.
    :param folder: where scores are kept, so that an interrupted study goes on; None keeps them in memory.
    :param measures: names that ir_measures parses; the first one decides.
    :param timed: queries, at least, that are reranked one by one, evenly spread; times are theirs.

    Example::

        study = TradeoffStudy(load_beir("scifact"), depths=[10, 50], dimensions=[64, 256])
        print(recommend(study.run(), budget_ms=100))
    """

    dataset: Dataset
    depths: Sequence[int] = DEPTHS
    dimensions: Sequence[int | None] = (None,)
    fusions: Sequence[Fusion] = ("zscore",)
    rerankers: Sequence[str] | Mapping[str, Reranker] = (BUNDLED,)
    peers: Sequence[Callable[[Dataset], FirstStage]] = ()
    config: RetrieverConfig = field(default_factory=RetrieverConfig)
    folder: Path | None = None
    measures: Sequence[str] = ("nDCG@10", "RR@10", "AP", "R@100")
    timed: int = TIMED

    def __post_init__(self) -> None:
        if self.dataset.documents is None:
            raise InvalidInputError(
                f"{self.dataset.name} has no documents, and a study indexes them anew for each setting; "
                "give them with dataclasses.replace(dataset, documents=retriever)"
            )
        if not self.depths or min(self.depths) < 0:
            raise InvalidInputError("depths must be whole numbers from 0 on, such as 0,10,50")
        if not self.dimensions or not self.fusions or not self.measures:
            raise InvalidInputError("give at least one number of dimensions, one fusion and one measure")
        if self.timed < 1:
            raise InvalidInputError(f"timed is {self.timed}; at least one query has to be timed")

    def run(self, *, progress: Progress | None = None) -> TradeoffResult:
        """Measure every setting.

        :param progress: called as the work goes on.
        :return: the measured grid.
        :raises ConfigError: if a number of dimensions is more than the encoder has.
        :raises ModelNotFoundError: if there is no reranker of a name.
        """
        started = time.perf_counter()
        report = progress or _silent
        rerankers = self._load_rerankers()
        asked = [self._ask(make, report) for make in self._first_stages()]
        scorings = [self._score(name, reranker, asked, report) for name, reranker in rerankers.items()]
        read = _Reading(Judge(self.dataset.qrels, self._all_measures()), self.measures[0])
        for one in asked:
            read.add(one, None, (0,))
            for scoring in scorings:
                read.add(one, scoring, self._reranked_depths())
        return TradeoffResult(
            dataset=self.dataset,
            measures=tuple(self.measures),
            settings=tuple(read.results),
            orders=read.orders,
            upper_bounds={one.key: self._perfect(one) for one in asked},
            documents=max(one.stage.documents for one in asked),
            pairs_scored=sum(scoring.fresh for scoring in scorings),
            seconds=time.perf_counter() - started,
        )

    def _reranked_depths(self) -> tuple[int, ...]:
        return tuple(sorted({depth for depth in self.depths if depth}))

    def _all_measures(self) -> list[str]:
        """Return the measures asked for and recall at every depth, each once."""
        return list(dict.fromkeys([*self.measures, *(f"R@{depth}" for depth in self._reranked_depths())]))

    def _load_rerankers(self) -> dict[str, Reranker]:
        """Load what is named; nothing where no depth needs one."""
        if not self._reranked_depths():
            return {}
        if isinstance(self.rerankers, Mapping):
            return dict(self.rerankers)
        return {name: load_named_reranker(name) for name in self.rerankers if name != "none"}

    def _first_stages(self) -> Iterator[Callable[[], FirstStage]]:
        """Yield makers of first stages, so that one corpus index is in memory at a time."""
        fusions = self.fusions if self.config.dense and self.config.lexical else self.fusions[:1]
        for fusion in fusions:
            for width in self.dimensions:
                config = self.config.model_copy(update={"dimensions": width, "fusion": fusion})
                yield lambda config=config: RetrieverStage(self.dataset.documents or (), config)  # type: ignore[misc]
        for peer in self.peers:
            yield lambda peer=peer: peer(self.dataset)  # type: ignore[misc]

    def _ask(self, make: Callable[[], FirstStage], report: Progress) -> _Asked:
        """Ask one first stage every query, at the greatest depth."""
        total = len(self.dataset.queries)
        report("indexing", 0, total)
        stage = make()
        limit = max(_LEAST_LIMIT, *self.depths)
        lists = {}
        for done, (query, text) in enumerate(self.dataset.queries.items(), 1):
            lists[query] = stage.retrieve(text, limit)
            report(f"asking {stage.name}", done, total)
        return _Asked(stage, lists)

    def _score(self, name: str, reranker: Reranker, asked: Sequence[_Asked], report: Progress) -> _Scoring:
        """Score every pair that any setting needs and that was not scored before."""
        log = ScoreLog(self._log_path(name, reranker))
        reranker.score("warm up", ["The first call pays for what is loaded once."])
        fresh = done = 0
        for names, timed in self._batches(reranker):
            missing = {query: self._missing(query, asked, log, timed=timed) for query in names}
            self._score_batch(reranker, missing, log)
            fresh, done = fresh + sum(map(len, missing.values())), done + len(names)
            report(f"reranking with {name}", done, len(self.dataset.queries))
        configured = self.config.rerank_weight
        weight = getattr(reranker, "recommended_weight", DEFAULT_RERANK_WEIGHT)
        weight = weight if configured is None else configured
        return _Scoring(name, log, weight, self.config.feedback, self.dataset.queries, fresh)

    def _batches(self, reranker: Reranker) -> Iterator[tuple[list[str], bool]]:
        """Yield queries to be timed, each by itself, then the others in groups, and which it is."""
        names = list(self.dataset.queries)
        step = max(1, len(names) // self.timed)
        timed = names[::step] if isinstance(reranker, PairReranker) else names
        yield from (([name], True) for name in timed)
        alone = set(timed)
        others = [name for name in names if name not in alone]
        yield from ((others[start : start + _TOGETHER], False) for start in range(0, len(others), _TOGETHER))

    def _score_batch(self, reranker: Reranker, missing: Mapping[str, Sequence[str]], log: ScoreLog) -> None:
        """Score one query's passages and time it, or those of several together."""
        asked = [(self.dataset.queries[query], texts) for query, texts in missing.items() if texts]
        if len(asked) > 1:
            logits = score_texts(reranker, [query for query, _ in asked], [texts for _, texts in asked])
            for (query, texts), some in zip(asked, logits, strict=True):
                log.add(query, texts, some, [np.nan] * len(texts))
            return
        for query, texts in asked:
            began = time.perf_counter()
            scores = reranker.score(query, texts)
            log.add(query, texts, scores, _shares(texts, (time.perf_counter() - began) * 1e3))

    def _missing(self, query: str, asked: Sequence[_Asked], log: ScoreLog, *, timed: bool) -> list[str]:
        """Return the passages that any first stage found for a query and that have no score, or time, yet."""
        deepest = max(self._reranked_depths())
        candidates = [passage for one in asked for passage in one.lists[query].texts[:deepest]]
        return log.missing(self.dataset.queries[query], candidates, timed=timed)

    def _log_path(self, name: str, reranker: Reranker) -> Path | None:
        """Give every reranker a file of its own; another version of a model must not meet old scores."""
        if self.folder is None:
            return None
        identity = f"{name} {getattr(reranker, 'fingerprint', '')}"
        return self.folder / f"scores-{hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()}.jsonl"

    def _perfect(self, one: _Asked) -> dict[int, float]:
        """Bound what any reranker could reach on this first stage."""
        ranked = {query: shortlist.ids for query, shortlist in one.lists.items()}
        return perfect_reranking(
            ranked, self.dataset.qrels, self._reranked_depths(), measure=self.measures[0]
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One first stage's short lists, by query."""

    stage: FirstStage
    lists: Mapping[str, Shortlist]

    @property
    def key(self) -> tuple[str, int | None]:
        return self.stage.name, self.stage.dimensions


@dataclass(frozen=True, slots=True)
class _Scoring:
    """One reranker's scores."""

    name: str
    log: ScoreLog
    weight: float
    feedback: float
    queries: Mapping[str, str]
    fresh: int

    def reorder(self, query: str, shortlist: Shortlist, depth: int) -> tuple[list[str], float]:
        """Return the final order at a depth, and the milliseconds that its pairs took; NaN if not timed."""
        logits, costs = self.log.look_up(self.queries[query], shortlist.texts[:depth])
        vectors = None if shortlist.vectors is None else shortlist.vectors[:depth]
        scores = blend(shortlist.scores[:depth], logits, self.weight, vectors=vectors, feedback=self.feedback)
        head = [shortlist.ids[i] for i in np.argsort(-scores, kind="stable")]
        return head + list(shortlist.ids[depth:]), float(costs.sum())


class _Reading:
    """Settings read off the deep run."""

    def __init__(self, judge: Judge, decider: str) -> None:
        self.results: list[SettingResult] = []
        self.orders: dict[Setting, dict[str, list[str]]] = {}
        self._judge = judge
        self._decider = decider

    def add(self, one: _Asked, scoring: _Scoring | None, depths: Sequence[int]) -> None:
        """Read off one first stage with one reranker, or without, at every depth."""
        for depth in depths:
            setting = Setting(*one.key, None if scoring is None else scoring.name, depth)
            order: dict[str, list[str]] = {}
            rerank: list[float] = []
            for query, shortlist in one.lists.items():
                order[query], cost = (
                    (list(shortlist.ids), 0.0)
                    if scoring is None
                    else scoring.reorder(query, shortlist, depth)
                )
                rerank.append(cost)
            self.orders[setting] = order
            self.results.append(self._measure(setting, one, order, np.asarray(rerank)))

    def _measure(
        self, setting: Setting, one: _Asked, order: Mapping[str, Sequence[str]], rerank: Milliseconds
    ) -> SettingResult:
        """Measure one setting's lists."""
        scores = self._judge.score(order)
        first = np.asarray([shortlist.milliseconds for shortlist in one.lists.values()])
        pairs = [min(setting.depth, len(shortlist.ids)) for shortlist in one.lists.values()]
        timed = ~np.isnan(rerank)
        config = one.stage.config
        if config is not None:
            second = {"reranker": setting.reranker}
            config = config.model_copy(update=second | ({"depth": setting.depth} if setting.depth else {}))
        return SettingResult(
            setting=setting,
            scores=scores,
            interval=interval(scores.values[self._decider]),
            # Reranking reorders the first `depth` documents among themselves, so both orders have one recall.
            recall_at_depth=scores.mean(f"R@{setting.depth}") if setting.depth else None,
            first_stage=Latency.of(first),
            rerank=Latency.of(rerank[timed]),
            total=Latency.of((first + rerank)[timed]),
            pairs=float(np.mean(pairs)),
            bytes_per_passage=one.stage.bytes_per_passage,
            encode_seconds=one.stage.build_seconds,
            config=config,
        )


def _shares(texts: Sequence[str], milliseconds: float) -> list[float]:
    """Share a call's time among its passages by length, which is what a cross-encoder's time goes by."""
    lengths = np.asarray([min(len(text), _LONGEST) + 1 for text in texts], dtype=np.float64)
    shares: list[float] = (milliseconds * lengths / lengths.sum()).tolist()
    return shares


def _silent(phase: str, done: int, total: int) -> None:
    """Report to nobody."""
