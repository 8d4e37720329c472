"""Retrieval measures for each query, computed by trec_eval's code through ir_measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ir_measures
import numpy as np
from numpy.typing import NDArray

from eval.runs import Qrels, Rankings
from retriever.errors import InvalidInputError

DEFAULT_MEASURES = ("nDCG@10", "R@100", "RR@10", "AP")

LABELS = {"RR@10": "MRR@10", "AP": "MAP", "nDCG@10": "nDCG@10", "R@100": "recall@100"}
"""What the field calls the mean of a measure."""


def label(measure: str) -> str:
    """Name a measure as the field writes it.

    :param measure: a name that ir_measures knows, such as "RR@10".
    :return: "MRR@10" for it; "recall@k" for "R@k"; others as they are.
    """
    if measure.startswith("R@"):
        return f"recall@{measure[2:]}"
    return LABELS.get(measure, measure)


@dataclass(frozen=True, slots=True)
class QueryScores:
    """One run's measures for every judged query.

    :param queries: the judged queries, n of them, in the order of the judgments.
    :param values: measure name to float64 values, shape (n,), in the order of `queries`.
    :param unjudged: how many of the documents in the first ten have no judgment, over all queries.
    :param retrieved: how many documents are in the first ten, over all queries.
    """

    queries: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    unjudged: int
    retrieved: int

    def mean(self, measure: str) -> float:
        """Return the mean of a measure over all judged queries.

        :param measure: one of the keys of `values`.
        :return: the mean; queries that the run does not answer count as 0, as with ``trec_eval -c``.
        """
        return float(self.values[measure].mean())

    def means(self) -> dict[str, float]:
        """Return the mean of every measure.

        :return: measure name to mean.
        """
        return {measure: self.mean(measure) for measure in self.values}


class Judge:
    """Measures runs against one set of judgments, reusing what trec_eval prepares for it.

    :param qrels: the judgments.
    :param measures: names that ir_measures parses: nDCG@10, R@100, RR@10, AP, P@5, Success@1, ...
    :raises InvalidInputError: if there are no judgments, or a measure is not known.
    """

    def __init__(self, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES) -> None:
        if not qrels:
            raise InvalidInputError(
                "there are no judgments to measure against; give at least one query with qrels"
            )
        self.qrels = qrels
        self.queries = tuple(qrels)
        self._row = {query: row for row, query in enumerate(self.queries)}
        self._measures = {_parse(name): name for name in measures}
        # trec_eval writes where it must not where all of a query's grades are below 0 (TREC's Web tracks).
        judged = {
            query: grades if max(grades.values(), default=0) >= 0 else dict.fromkeys(grades, 0)
            for query, grades in qrels.items()
        }
        self._evaluator = ir_measures.evaluator(list(self._measures), judged)

    def score(self, rankings: Rankings) -> QueryScores:
        """Measure one run.

        :param rankings: document ids by query, best first; queries without judgments are left out.
        :return: each measure for each judged query.
        """
        values = {name: np.zeros(len(self.queries)) for name in self._measures.values()}
        # Whole falling numbers leave no ties, on which the implementations behind ir_measures differ.
        run = {
            query: {document: float(-rank) for rank, document in enumerate(documents)}
            for query, documents in rankings.items()
            if query in self._row and documents
        }
        for metric in self._evaluator.iter_calc(run):
            values[self._measures[metric.measure]][self._row[metric.query_id]] = metric.value
        tops = [(query, document) for query in run for document in list(run[query])[:10]]
        unjudged = sum(document not in self.qrels[query] for query, document in tops)
        return QueryScores(self.queries, values, unjudged, len(tops))


def score(qrels: Qrels, rankings: Rankings, measures: Sequence[str] = DEFAULT_MEASURES) -> QueryScores:
    """Measure one run against judgments.

    :param qrels: the judgments, graded or not.
    :param rankings: document ids by query, best first.
    :param measures: names that ir_measures parses.
    :return: each measure for each judged query.
    :raises InvalidInputError: if there are no judgments, or a measure is not known.

    >>> score({"q": {"a": 1}}, {"q": ["b", "a"]}, ["RR@10"]).mean("RR@10")
    0.5
    """
    return Judge(qrels, measures).score(rankings)


def _parse(name: str) -> ir_measures.Measure:
    """Parse a measure, or say which names there are."""
    try:
        return ir_measures.parse_measure(name)
    except (NameError, ValueError, SyntaxError) as error:
        raise InvalidInputError(
            f"'{name}' is not a measure; use names as ir_measures writes them: nDCG@10, R@100, RR@10, AP, P@5"
        ) from error
