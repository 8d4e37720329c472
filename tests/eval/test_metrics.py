"""Measures against trec_eval's own binding."""

import random

import pytest
import pytrec_eval

from eval.metrics import Judge, label, score
from eval.runs import read_run, write_run
from retriever.errors import InvalidInputError


def graded_example(seed, queries=40, documents=300):
    """Random graded judgments and rankings, some queries unanswered."""
    draw = random.Random(seed)
    pool = [f"d{number}" for number in range(documents)]
    qrels = {
        f"q{number}": {document: draw.randint(0, 3) for document in draw.sample(pool, 20)}
        for number in range(queries)
    }
    run = {query: draw.sample(pool, 150) for query in list(qrels)[: queries - 3]}
    return qrels, run


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_trec_eval_on_the_exported_run(tmp_path, seed):
    qrels, run = graded_example(seed)
    write_run(
        tmp_path / "a.run",
        {query: [(document, 0.0) for document in documents] for query, documents in run.items()},
    )
    names = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "RR": "recip_rank", "P@5": "P_5"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, set(names.values())).evaluate(read_run(tmp_path / "a.run"))
    ours = score(qrels, run, list(names))
    for measure, name in names.items():
        expected = sum(values[name] for values in theirs.values()) / len(qrels)
        assert ours.mean(measure) == pytest.approx(expected, abs=1e-12)


def test_reciprocal_rank_is_cut_at_ten():
    qrels = {"q": {"right": 1}}
    tenth = [f"d{place}" for place in range(9)] + ["right"]
    assert score(qrels, {"q": tenth}).mean("RR@10") == pytest.approx(0.1)
    assert score(qrels, {"q": ["before", *tenth]}).mean("RR@10") == 0.0


def test_unanswered_queries_count_as_zero_and_unjudged_documents_are_counted():
    measured = score({"q1": {"a": 1}, "q2": {"b": 1}}, {"q1": ["a", "x", "y"], "other": ["a"]})
    assert measured.mean("nDCG@10") == 0.5
    assert (measured.unjudged, measured.retrieved) == (2, 3)


def test_a_judge_measures_many_runs():
    judge = Judge({"q": {"a": 1}}, ["nDCG@10"])
    assert [judge.score({"q": run}).mean("nDCG@10") for run in (["a"], ["b"], ["b", "a"])] == [
        1.0,
        0.0,
        pytest.approx(0.6309, abs=1e-4),
    ]


def test_unknown_measures_and_empty_judgments_are_refused():
    with pytest.raises(InvalidInputError, match=r"'goodness' is not a measure.*nDCG@10"):
        score({"q": {"a": 1}}, {}, ["goodness"])
    with pytest.raises(InvalidInputError, match="no judgments"):
        score({}, {})


def test_labels_are_the_fields_words():
    assert [label(name) for name in ("RR@10", "R@50", "AP", "P@5")] == ["MRR@10", "recall@50", "MAP", "P@5"]


def test_queries_whose_grades_are_all_negative_count_as_unanswered():
    judge = Judge({"q1": {"a": -2, "b": -1}, "q2": {"b": 1}})
    for _ in range(50):
        found = judge.score({"q1": ["a", "b"], "q2": ["b"]})
        assert found.values["nDCG@10"].tolist() == [0.0, 1.0]
