"""Measure each part of a retriever on judged queries: lexical, dense, hybrid, reranked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset
from eval.environment import environment
from eval.metrics import DEFAULT_MEASURES, Judge, QueryScores, label
from eval.significance import Interval, interval
from retriever import Retriever
from retriever.collection import Collection
from retriever.errors import InvalidInputError
from retriever.second_stage import greatest_depth

Stage = Literal["lexical", "dense", "hybrid", "reranked"]
Ranked = list[tuple[str, float]]
Progress = Callable[[int, int], None]
"""Called with the number of queries done and of all."""

CUTOFF = 100
"""Documents kept of each list: what recall@100 looks at."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took a query, in milliseconds.

    :param mean: over the queries.
    :param p50: half of the queries took less.
    :param p99: all but one query in a hundred took less.
    """

    mean: float
    p50: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Sequence[float] | NDArray[np.float64]) -> Latency:
        """Summarise one time a query.

        :param milliseconds: n times.
        :raises InvalidInputError: if there is none.
        """
        values = np.asarray(milliseconds, dtype=np.float64)
        if not len(values):
            raise InvalidInputError("there is no time to summarise; time at least one query")
        p50, p99 = np.percentile(values, [50, 99])
        return cls(float(values.mean()), float(p50), float(p99))

    def to_dict(self) -> dict[str, float]:
        """Return plain values, rounded to a microsecond."""
        return {"mean": round(self.mean, 3), "p50": round(self.p50, 3), "p99": round(self.p99, 3)}


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage's list measured on every query.

    :param stage: which.
    :param scores: each measure for each query.
    :param latency: of everything that has to run for this list.
    :param run: query id to (document id, score), best first.
    """

    stage: Stage
    scores: QueryScores
    latency: Latency
    run: Mapping[str, Ranked]

    def interval(self, measure: str) -> Interval:
        """Return a measure's mean with its 95 % bootstrap interval."""
        return interval(self.scores.values[measure])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values; measures are named as the field names their means."""
        measures = {}
        for name in self.scores.values:
            found = self.interval(name)
            measures[label(name)] = {
                "mean": round(found.mean, 4),
                "low": round(found.low, 4),
                "high": round(found.high, 4),
            }
        return {
            "measures": measures,
            "milliseconds_per_query": self.latency.to_dict(),
            "unjudged_in_first_ten": self.scores.unjudged,
            "retrieved_in_first_ten": self.scores.retrieved,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A retriever measured on a data set.

    :param dataset: its name.
    :param documents: how many the collection holds.
    :param queries: how many were asked.
    :param dropped: judged queries that have no text.
    :param unknown: relevant documents that the collection does not hold.
    :param stages: what each stage reached, in the order they run.
    :param depth: documents reranked for a query; 0 without a reranker.
    :param index_seconds: what building the collection took; None for an existing one.
    :param config: the retriever's configuration.
    :param encoder: fingerprint of the encoder.
    """

    dataset: str
    documents: int
    queries: int
    dropped: int
    unknown: int
    stages: tuple[StageResult, ...]
    depth: int
    index_seconds: float | None
    config: Mapping[str, Any]
    encoder: str

    def stage(self, name: Stage) -> StageResult:
        """Return one stage's result.

        :param name: which.
        :raises InvalidInputError: if it was not run.
        """
        for result in self.stages:
            if result.stage == name:
                return result
        ran = ", ".join(result.stage for result in self.stages)
        raise InvalidInputError(f"the stage '{name}' was not run; there are {ran}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values, with what they were measured on."""
        return {
            "dataset": self.dataset,
            "documents": self.documents,
            "queries": self.queries,
            "queries_without_text": self.dropped,
            "relevant_documents_not_in_collection": self.unknown,
            "stages": {result.stage: result.to_dict() for result in self.stages},
            "depth": self.depth,
            "index_seconds": None if self.index_seconds is None else round(self.index_seconds, 2),
            "config": dict(self.config),
            "encoder_fingerprint": self.encoder,
            "environment": environment(),
        }


def evaluate(
    dataset: Dataset,
    retriever: Retriever | None = None,
    *,
    measures: Sequence[str] = DEFAULT_MEASURES,
    depth: int | None = None,
    rerank: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure each stage of a retriever on judged queries.

    Every query is asked by itself, so that the times are those of a single searcher.

    :param dataset: judged queries.
    :param retriever: whose collection is asked; None builds one in memory from the data set's documents.
    :param measures: names that ir_measures parses.
    :param depth: documents reranked; None takes the retriever's.
    :param rerank: False leaves the reranker out.
    :param progress: called after each query.
    :return: measures, intervals and times a query for each stage.
    :raises InvalidInputError: if there is no retriever and the data set has no documents, or none of the
        relevant documents is in the collection.
    """
    if retriever is None:
        if dataset.documents is None:
            raise InvalidInputError(
                f"{dataset.name} has no documents of its own; give the retriever whose collection it is about"
            )
        started = time.perf_counter()
        with Retriever.from_corpus(dataset.documents) as built:
            seconds = time.perf_counter() - started
            return _evaluate(dataset, built, measures, depth, rerank, progress, seconds)
    return _evaluate(dataset, retriever, measures, depth, rerank, progress, None)


def _evaluate(
    dataset: Dataset,
    retriever: Retriever,
    measures: Sequence[str],
    depth: int | None,
    rerank: bool,
    progress: Progress | None,
    index_seconds: float | None,
) -> Evaluation:
    """Ask every query, then measure the lists."""
    unknown = _unknown(dataset, retriever)
    judge = Judge(dataset.qrels, measures)
    # An evaluation reads to one depth: the same lists are compared for every query.
    depth = greatest_depth(retriever.config.depth) if depth is None else depth
    rerank = rerank and retriever.reranker is not None
    runs, times = _ask(dataset, retriever, depth, rerank, progress)
    stages = tuple(
        StageResult(
            stage,
            judge.score({query: [document for document, _ in ranked] for query, ranked in run.items()}),
            Latency.of(times[stage]),
            run,
        )
        for stage, run in runs.items()
    )
    return Evaluation(
        dataset=dataset.name,
        documents=len(retriever),
        queries=len(dataset.queries),
        dropped=len(dataset.dropped),
        unknown=len(unknown),
        stages=stages,
        depth=depth if rerank else 0,
        index_seconds=index_seconds,
        config=retriever.config.model_dump(mode="json"),
        encoder=retriever.encoder.fingerprint,
    )


def _unknown(dataset: Dataset, retriever: Retriever) -> list[str]:
    """List relevant documents that are not there; refuse judgments about another collection."""
    unknown = dataset.unknown_documents(retriever)
    relevant = {
        document for grades in dataset.qrels.values() for document, grade in grades.items() if grade > 0
    }
    if len(unknown) == len(relevant):
        raise InvalidInputError(
            f"none of the {len(relevant)} relevant documents of {dataset.name} is in the collection "
            f"(such as '{next(iter(unknown), '')}'); check that the judgments use its document ids"
        )
    return unknown


def _ask(
    dataset: Dataset, retriever: Retriever, depth: int, rerank: bool, progress: Progress | None
) -> tuple[dict[Stage, dict[str, Ranked]], dict[Stage, list[float]]]:
    """Ask every query of every part; return the lists and the milliseconds."""
    parts = _parts(retriever)
    names: list[Stage] = [*parts, "hybrid", "reranked"] if rerank else [*parts, "hybrid"]
    if len(parts) == 1:
        names.remove("hybrid")
    runs: dict[Stage, dict[str, Ranked]] = {name: {} for name in names}
    times: dict[Stage, list[float]] = {name: [] for name in names}
    # The first search pays for what is loaded once: kernels, sessions, memory maps.
    retriever.search(next(iter(dataset.queries.values())), k=1, depth=1, rerank=rerank)
    for done, (query, text) in enumerate(dataset.queries.items(), 1):
        for part, search in parts.items():
            runs[part][query], milliseconds = search(text)
            times[part].append(milliseconds)
        # All that was reranked: what it moved down is still where it was in the first stage.
        results, timings = retriever.search_timed(text, k=max(CUTOFF, depth), depth=depth, rerank=rerank)
        if "hybrid" in runs:
            fused = {r.id: r.stages.fused for r in results if r.stages.fused is not None}
            order = sorted(fused.items(), key=lambda entry: entry[1].rank or 0)[:CUTOFF]
            runs["hybrid"][query] = [(document, place.score) for document, place in order]
            times["hybrid"].append(timings.first_stage_ms)
        if rerank:
            runs["reranked"][query] = [(result.id, result.score) for result in results[:CUTOFF]]
            times["reranked"].append(timings.first_stage_ms + timings.rerank_ms)
        if progress is not None:
            progress(done, len(dataset.queries))
    return runs, times


def _parts(retriever: Retriever) -> dict[Stage, Callable[[str], tuple[Ranked, float]]]:
    """Return the halves of the first stage that the configuration has on."""
    collection = retriever.collection
    parts: dict[Stage, Callable[[str], tuple[Ranked, float]]] = {}
    if collection.lexical is not None:
        parts["lexical"] = lambda text: _lexical(collection, text)
    if collection.vectors is not None:
        parts["dense"] = lambda text: _dense(collection, text)
    return parts


def _lexical(collection: Collection, text: str) -> tuple[Ranked, float]:
    """Search BM25 alone, timed."""
    with collection.reading():
        if collection.lexical is None:
            return [], 0.0
        started = time.perf_counter()
        found = collection.lexical.search(text, collection.config.candidates)
        elapsed = (time.perf_counter() - started) * 1e3
        return _documents(collection, *found), elapsed


def _dense(collection: Collection, text: str) -> tuple[Ranked, float]:
    """Encode and search the vectors alone, timed."""
    with collection.reading():
        if collection.vectors is None:
            return [], 0.0
        started = time.perf_counter()
        (found,) = collection.vectors.search(collection.encoder.encode([text]), collection.config.candidates)
        elapsed = (time.perf_counter() - started) * 1e3
        return _documents(collection, *found), elapsed


def _documents(collection: Collection, pids: NDArray[np.int64], scores: NDArray[np.float32]) -> Ranked:
    """Turn passages into documents, each where its best passage stands."""
    best: dict[int, float] = {}
    for row, score in zip(collection.store.passages.rows_of(pids).tolist(), scores.tolist(), strict=True):
        if row >= 0:
            best.setdefault(row, score)
    rows = list(best)[:CUTOFF]
    contents = collection.store.documents(rows)
    return [(contents[row].id, best[row]) for row in rows if row in contents]
