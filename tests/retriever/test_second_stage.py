import time
from dataclasses import replace

import numpy as np
import pytest

from rerank.budget import CostModel
from rerank.reading_plan import ReadingPlan
from retriever.errors import InvalidInputError, InvalidTypeError
from retriever.second_stage import decide, score_until
from retriever.types import Candidate, StageScore
from tests.factories import OverlapReranker


def short_list(*fused):
    return [
        Candidate(str(i), "", f"passage {i}", "{}", (0, 9), StageScore(i + 1, score), None, None)
        for i, score in enumerate(fused)
    ]


def logits(*values):
    return np.asarray(values, dtype=np.float32)


class SlowReranker(OverlapReranker):
    """Takes five milliseconds a pair."""

    def score_pairs(self, pairs):
        time.sleep(0.005 * len(pairs))
        return super().score_pairs(pairs)


class AgreeingReranker:
    """Counts the query's words, as BM25 nearly does."""

    def score(self, query, passages):
        return np.array([passage.split().count(query) for passage in passages], dtype=np.float32)


class CalibratedReranker(OverlapReranker):
    def __init__(self):
        super().__init__()
        self.config = {"calibration": {"slope": 10.0, "intercept": -5.0}}


def test_the_reranker_alone_orders_by_logit_and_ties_keep_the_first_stage():
    decision = decide(short_list(3, 2, 1, 0), logits(1, 5, 5, 1), 1.0)
    assert decision.order == [1, 2, 0, 3]
    assert decision.reranked[1] == StageScore(1, 5.0)


def test_what_was_not_read_stays_below_with_falling_scores():
    decision = decide(short_list(9, 8, 7, 6), logits(-3, 4, np.nan), 0.75)
    assert decision.order == [1, 0, 2, 3]
    assert np.all(np.diff(decision.scores[decision.order]) <= 0)
    assert set(decision.reranked) == {0, 1}


def with_vectors(candidates, vectors):
    return [replace(one, vector=vector) for one, vector in zip(candidates, vectors, strict=True)]


def test_what_is_like_the_best_of_those_read_gains():
    candidates = short_list(*range(20, 0, -1))
    vectors = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    vectors[14] = vectors[0]
    read = logits(*range(15, 0, -1))
    plain = decide(candidates, read, 0.5)
    fed = decide(with_vectors(candidates, vectors), read, 0.5, feedback=0.5)
    assert plain.order == list(range(20))
    assert fed.order.index(14) < 14
    assert sorted(fed.order[:15]) == list(range(15))  # what was not read stays below
    assert decide(candidates, read, 0.5, feedback=0.5).order == plain.order  # no vectors
    alone = decide(with_vectors(candidates, vectors), read, 1.0, feedback=0.5)
    assert alone.scores[:15].tolist() == read.tolist()


def test_nothing_read_is_the_first_stage():
    decision = decide(short_list(3, 2), logits(), 0.5)
    assert decision.order == [0, 1] and decision.scores.tolist() == [3, 2] and decision.reranked == {}


def test_no_time_left_reads_nothing():
    cost = CostModel(None)
    ends = time.perf_counter() - 1.0
    plan = ReadingPlan(logits(2, 1), 10, 0.5)
    (scores,) = score_until(ends, OverlapReranker(), ["q"], [short_list(2, 1)], [plan], cost)
    assert len(scores) == 2 and np.isnan(scores).all()
    assert decide(short_list(2, 1), scores, 0.5).order == [0, 1]


def test_a_budget_stops_in_time_and_keeps_the_rest_in_order(make):
    docs = [(f"d{i}", f"cat number {i}") for i in range(60)]
    retriever = make(docs, reranker=SlowReranker())
    for _ in range(3):  # the cost of a pair is learnt in the first calls
        retriever.search("cat", budget_ms=100)
    started = time.perf_counter()
    results, timings = retriever.search_timed("cat", k=60, depth=60, budget_ms=150)
    elapsed = (time.perf_counter() - started) * 1e3
    assert 0 < timings.reranked < 60
    assert elapsed < 400  # the budget itself is a benchmark's to measure: a test machine may be busy
    assert [result.stages.reranked is not None for result in results[: timings.reranked]] == [
        True
    ] * timings.reranked
    rest = [result.stages.fused.rank for result in results[timings.reranked :]]
    assert rest == sorted(rest) and len(results) == 60


def test_a_budget_in_the_configuration(make):
    docs = [(f"d{i}", f"cat number {i}") for i in range(60)]
    retriever = make(docs, reranker=SlowReranker(), budget_ms=60, depth=60)
    retriever.search("cat")
    assert retriever.search_timed("cat")[1].reranked < 60
    assert len(retriever.search_batch(["cat", "number"], k=3)) == 2


def test_auto_depth_stops_reading_when_nothing_else_matters(make):
    docs = [(f"d{i}", "cat " * (60 - i) + "dog " * i) for i in range(60)]
    retriever = make(docs, reranker=AgreeingReranker())
    results, timings = retriever.search_timed("cat", k=3, depth="auto")
    assert 3 <= timings.reranked < 50
    assert [found.id for found in results] == [found.id for found in retriever.search("cat", k=3, depth=50)]
    assert len(make(docs, reranker=AgreeingReranker(), depth="auto").search("cat", k=5)) == 5
    assert len(retriever.search_batch(["cat", "dog"], k=2, depth="auto")) == 2
    assert retriever.search("cat", k=3, depth="auto", budget_ms=5000)


def test_auto_depth_reads_the_whole_list_where_any_might_be_the_best(make):
    docs = [(f"d{i}", f"cat number {i}") for i in range(60)]
    retriever = make(docs, reranker=OverlapReranker())  # which finds all alike
    results, timings = retriever.search_timed("cat", k=60, depth="auto")
    assert timings.reranked == 50 and len(results) == 60
    assert retriever.search_timed("cat", depth="auto")[1].reranked == 50


def test_results_carry_a_probability_and_can_be_cut_by_it(make):
    retriever = make(reranker=CalibratedReranker())
    results = retriever.search("zebra one red")
    assert [result.probability > 0.5 for result in results] == [True] + [False] * (len(results) - 1)
    assert [result.id for result in retriever.search("zebra one red", min_probability=0.5)] == ["zebra"]
    assert retriever.search("nine nine nine", min_probability=0.5) == []
    assert all(result.probability is None for result in retriever.search("zebra", rerank=False))


@pytest.mark.parametrize("options", [{}, {"rerank": False}])
def test_probabilities_need_a_calibrated_reranker(make, options):
    reranker = CalibratedReranker() if options else OverlapReranker()
    with pytest.raises(InvalidInputError, match="min_probability needs a reranker that reads"):
        make(reranker=reranker).search("cat", min_probability=0.5, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"budget_ms": 0}, InvalidInputError, "budget_ms is 0; give milliseconds above 0"),
        ({"budget_ms": float("nan")}, InvalidInputError, "budget_ms is nan"),
        ({"budget_ms": "1s"}, InvalidTypeError, "budget_ms is a str"),
        ({"min_probability": 1.5}, InvalidInputError, "min_probability is 1.5; give 0 to 1"),
    ],
)
def test_bad_options_are_explained(make, options, error, message):
    with pytest.raises(error, match=message):
        make().search("cat", **options)


def test_costs_are_kept_with_a_durable_collection(make, tmp_path):
    retriever = make(path=True)
    retriever.search("cat", budget_ms=1000)
    retriever.close()
    assert (tmp_path / "collection" / "rerank-cost.json").is_file()
