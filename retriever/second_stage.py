"""The second stage: a reranker reads the short list, and its say is blended with the first stage's."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rerank.budget import CostModel, score_within
from rerank.calibration import Calibration
from rerank.protocol import PairReranker, Reranker
from rerank.reading_plan import ReadingPlan
from retriever.errors import InvalidInputError, ModelError
from retriever.fusion import blend
from retriever.types import Candidate, Depth, SearchResult, StageScore, StageScores

FloatArray = NDArray[np.float32]

AUTO_DEPTH = 50  # candidates that depth="auto" reads some of
TOLERANCE = 0.1  # for rerankers that no stopping tolerance was fitted with


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one query's candidates.

    :param order: places of the candidates, best first.
    :param scores: final score of each candidate, in the candidates' own order.
    :param reranked: the reranker's rank and score by place; places it did not read are missing.
    """

    order: list[int]
    scores: FloatArray
    reranked: dict[int, StageScore]


def greatest_depth(depth: Depth) -> int:
    """How many candidates a depth reads at most."""
    return AUTO_DEPTH if depth == "auto" else depth


def score_all(
    reranker: Reranker, queries: Sequence[str], found: Sequence[Sequence[Candidate]]
) -> list[FloatArray]:
    """Score every query's candidates, all pairs together where the reranker can.

    :return: logits, one array a query.
    :raises ModelError: if the reranker returns anything but one finite number a passage.
    """
    return score_texts(
        reranker, queries, [[candidate.rerank_text for candidate in candidates] for candidates in found]
    )


def score_texts(
    reranker: Reranker, queries: Sequence[str], texts: Sequence[Sequence[str]]
) -> list[FloatArray]:
    """Score every query's texts, all pairs together where the reranker can.

    :return: logits, one array a query.
    :raises ModelError: if the reranker returns anything but one finite number a text.
    """
    if isinstance(reranker, PairReranker):
        pairs = [(query, text) for query, passages in zip(queries, texts, strict=True) for text in passages]
        scores = _checked(reranker, reranker.score_pairs(pairs) if pairs else [], len(pairs))
        ends = np.cumsum([len(passages) for passages in texts], dtype=np.int64).tolist()
        return [scores[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [
        _checked(reranker, reranker.score(query, passages) if passages else [], len(passages))
        for query, passages in zip(queries, texts, strict=True)
    ]


def score_until(
    ends: float,
    reranker: Reranker,
    queries: Sequence[str],
    found: Sequence[Sequence[Candidate]],
    plans: Sequence[ReadingPlan],
    cost: CostModel,
) -> list[FloatArray]:
    """Score until a moment of the performance counter; each query gets an equal share of what is left.

    :param ends: the moment, in seconds.
    :param plans: in what order each query's candidates are read, and what ends that before.
    :return: logits, one array a query, NaN where a candidate was not scored.
    """
    logits = []
    for position, (query, candidates, plan) in enumerate(zip(queries, found, plans, strict=True)):
        left_ms = (ends - time.perf_counter()) * 1e3 / (len(queries) - position)
        logits.append(_score_in_time(reranker, query, candidates, left_ms=left_ms, cost=cost, plan=plan))
    return logits


def _score_in_time(
    reranker: Reranker,
    query: str,
    candidates: Sequence[Candidate],
    *,
    left_ms: float,
    cost: CostModel,
    plan: ReadingPlan,
) -> FloatArray:
    """Score the most promising candidates, as many as the time left allows and the plan finds worth it."""
    if left_ms <= 0:
        return np.full(len(candidates), np.nan, dtype=np.float32)
    texts = [candidate.rerank_text for candidate in candidates]
    bought = score_within(reranker, query, texts, budget_ms=left_ms, cost=cost, following=plan.following)
    _checked(reranker, bought.scores[~np.isnan(bought.scores)], bought.scored)
    return bought.scores


def decide(
    candidates: Sequence[Candidate], logits: FloatArray, weight: float, *, feedback: float = 0.0
) -> Decision:
    """Order candidates by the blend of both stages; what was not read stays below what was.

    :param candidates: in first-stage order.
    :param logits: the reranker's scores of the first of them, NaN where it did not read one; may be none.
    :param weight: share of the reranker, 0 to 1.
    :param feedback: share of the feedback from what comes out best.
    """
    fused = _fused_scores(candidates)
    listed, read = len(logits), np.flatnonzero(~np.isnan(logits))
    if not len(read):
        return Decision(list(range(len(candidates))), fused, {})
    vectors = vectors_of(candidates[:listed])
    scores = blend(fused[:listed], logits, weight, vectors=vectors, feedback=feedback)
    order = np.argsort(-scores, kind="stable").tolist()
    by_logit = read[np.argsort(-logits[read], kind="stable")].tolist()
    reranked = {i: StageScore(rank, float(logits[i])) for rank, i in enumerate(by_logit, start=1)}
    # Shifted, so that scores fall in the order of ranks over the whole list.
    below = fused[listed:] - fused[listed - 1 : listed] + scores.min()
    return Decision([*order, *range(listed, len(candidates))], np.concatenate([scores, below]), reranked)


def vectors_of(candidates: Sequence[Candidate]) -> FloatArray | None:
    """Return the candidates' vectors, shape (n, d); None where they have none."""
    vectors = [candidate.vector for candidate in candidates if candidate.vector is not None]
    return np.stack(vectors) if vectors and len(vectors) == len(candidates) else None


def results_of(
    candidates: Sequence[Candidate],
    decision: Decision,
    calibration: Calibration | None,
    k: int,
    min_probability: float | None,
) -> list[SearchResult]:
    """Make the results of one query, cut to k and to what is likely enough."""
    probabilities: dict[int, float] = {}
    if calibration is not None:
        for i, stage in decision.reranked.items():
            probabilities[i] = float(calibration.probability(stage.score))
    order = decision.order
    if min_probability is not None:
        order = [i for i in order if probabilities.get(i, -1.0) >= min_probability]
    results = []
    for rank, i in enumerate(order[:k], start=1):
        candidate = candidates[i]
        stages = StageScores(candidate.dense, candidate.lexical, candidate.fused, decision.reranked.get(i))
        results.append(
            SearchResult(
                id=candidate.id,
                text=candidate.text,
                title=candidate.title,
                metadata=json.loads(candidate.metadata),
                score=float(decision.scores[i]),
                rank=rank,
                passage=candidate.passage,
                span=candidate.span,
                stages=stages,
                probability=probabilities.get(i),
            )
        )
    return results


def reading_plan(
    candidates: Sequence[Candidate], k: int, weight: float, feedback: float, tolerance: float | None
) -> ReadingPlan:
    """Make the plan by which one query's candidates are read; see `ReadingPlan`."""
    return ReadingPlan(_fused_scores(candidates), k, weight, vectors_of(candidates), feedback, tolerance)


def tolerance_of(reranker: Reranker) -> float:
    """Return the stopping tolerance that was fitted with a reranker, or a cautious one."""
    return float(getattr(reranker, "config", {}).get("stopping_tolerance", TOLERANCE))


def calibration_of(reranker: Reranker | None, *, needed: bool) -> Calibration | None:
    """Return the map from logits to probabilities that was fitted with a reranker.

    :raises InvalidInputError: if it is needed and there is none.
    """
    calibration = None if reranker is None else Calibration.from_config(getattr(reranker, "config", {}))
    if needed and calibration is None:
        raise InvalidInputError(
            "min_probability needs a reranker that reads (rerank=True) and has a fitted calibration, such as "
            "the bundled one; rerank with that, or leave min_probability out"
        )
    return calibration


def _fused_scores(candidates: Sequence[Candidate]) -> FloatArray:
    """What the first stage thought of each candidate."""
    return np.asarray([candidate.fused.score for candidate in candidates], dtype=np.float32)


def _checked(reranker: Reranker, scores: object, expected: int) -> FloatArray:
    """Refuse scores that would silently put results in a wrong order."""
    array = np.asarray(scores, dtype=np.float32)
    if array.shape != (expected,) or not np.isfinite(array).all():
        raise ModelError(
            f"{type(reranker).__name__} returned scores of shape {array.shape}"
            f"{'' if np.isfinite(array).all() else ' with NaN or infinity'} for {expected} passages; "
            "score must return one finite number a passage"
        )
    return array
