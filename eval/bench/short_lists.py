"""What the first stage hands to a reranker, so that rerankers are compared on the very same lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset
from eval.metrics import score
from rerank.protocol import PairReranker
from rerank.reading_plan import ReadingPlan
from retriever import Retriever
from retriever.fusion import blend
from retriever.second_stage import score_texts, vectors_of

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ShortLists:
    """Candidates of every query of a data set.

    :param name: the data set's.
    :param qrels: query id to document id to grade.
    :param queries: query id to text.
    :param ids: query id to document ids, best first.
    :param texts: what a reranker reads of each.
    :param scores: the first stage's scores, float32.
    :param vectors: of each, where the first stage has them.
    :param feedback: share of the feedback from what comes out best.
    """

    name: str
    qrels: Mapping[str, Mapping[str, int]]
    queries: Mapping[str, str]
    ids: Mapping[str, list[str]]
    texts: Mapping[str, list[str]]
    scores: Mapping[str, FloatArray]
    vectors: Mapping[str, FloatArray | None]
    feedback: float

    @classmethod
    def of(cls, data: Dataset, retriever: Retriever, depth: int) -> ShortLists:
        """Ask the first stage for every query.

        :param data: queries and judgments.
        :param retriever: over the data set's corpus.
        :param depth: candidates a query.
        :return: the lists.
        """
        names = list(data.queries)
        found = retriever.first_stage([data.queries[name] for name in names], limit=depth)
        return cls(
            data.name,
            data.qrels,
            data.queries,
            {name: [one.id for one in some] for name, some in zip(names, found, strict=True)},
            {name: [one.rerank_text for one in some] for name, some in zip(names, found, strict=True)},
            {
                name: np.array([one.fused.score for one in some], np.float32)
                for name, some in zip(names, found, strict=True)
            },
            {name: vectors_of(some) for name, some in zip(names, found, strict=True)},
            retriever.config.feedback,
        )

    def logits(self, reranker: PairReranker) -> dict[str, FloatArray]:
        """Score every pair, all queries together.

        :param reranker: scores them.
        :return: query id to float32 logits.
        """
        queries = [self.queries[name] for name in self.texts]
        return dict(zip(self.texts, score_texts(reranker, queries, list(self.texts.values())), strict=True))

    def ndcg(
        self,
        logits: Mapping[str, FloatArray] | None = None,
        weight: float = 1.0,
        depth: int | None = None,
    ) -> float:
        """Measure nDCG@10.

        :param logits: of every candidate, NaN where one was not read; None leaves the first stage's order.
        :param weight: share of the reranker in the blend of z-scores.
        :param depth: how many candidates the list has; None for all.
        :return: the mean over the queries.
        """
        return float(self.ndcg_by_query(logits, weight, depth).mean())

    def ndcg_by_query(
        self,
        logits: Mapping[str, FloatArray] | None = None,
        weight: float = 1.0,
        depth: int | None = None,
    ) -> NDArray[np.float64]:
        """Do what `ndcg` does, for each judged query."""
        rankings = {name: self._order(name, logits, weight, depth) for name in self.ids}
        return score(self.qrels, rankings, ["nDCG@10"]).values["nDCG@10"]

    def read(
        self, logits: Mapping[str, FloatArray], weight: float, tolerance: float
    ) -> tuple[dict[str, FloatArray], float]:
        """What `depth="auto"` would read of each list.

        :param logits: of every candidate.
        :param weight: share of the reranker in the blend.
        :param tolerance: see `rerank.reading_plan.ReadingPlan`.
        :return: query id to logits, NaN where a candidate would not be read, and the share of all pairs read.
        """
        seen = {
            name: ReadingPlan(scores, 10, weight, self.vectors[name], self.feedback, tolerance).read(
                logits[name]
            )
            for name, scores in self.scores.items()
        }
        every = np.concatenate(list(seen.values()))
        return seen, float((~np.isnan(every)).mean())

    def _order(
        self,
        name: str,
        logits: Mapping[str, FloatArray] | None,
        weight: float,
        depth: int | None,
    ) -> Sequence[str]:
        """Document ids of one query in their final order."""
        ids = self.ids[name]
        if logits is None:
            return ids
        listed = len(ids) if depth is None else min(depth, len(ids))
        final = blend(
            self.scores[name][:listed],
            logits[name][:listed],
            weight,
            vectors=None if (vectors := self.vectors[name]) is None else vectors[:listed],
            feedback=self.feedback,
        )
        return [ids[row] for row in np.argsort(-final, kind="stable")] + ids[listed:]

    def relevant(self, name: str) -> NDArray[np.bool_]:
        """Which candidates of a query are relevant."""
        grades = self.qrels[name]
        return np.array([grades.get(one, 0) > 0 for one in self.ids[name]])
