"""Stage by stage, against what a search answers and against trec_eval."""

import json

import pytest
import pytrec_eval

from eval.datasets import Dataset
from eval.evaluation import Latency, evaluate
from eval.runs import read_run, write_run
from retriever import Retriever, RetrieverConfig
from retriever.errors import InvalidInputError
from tests.eval.factories import OverlapReranker, topical_dataset


@pytest.fixture(scope="module")
def retriever(encoder):
    config = RetrieverConfig(encoder=encoder, depth=20)
    with Retriever.from_corpus(
        topical_dataset().documents, config=config, reranker=OverlapReranker()
    ) as built:
        yield built


@pytest.fixture(scope="module")
def evaluation(retriever):
    return evaluate(topical_dataset(), retriever)


def test_all_four_stages_are_measured_in_their_order(evaluation):
    assert [result.stage for result in evaluation.stages] == ["lexical", "dense", "hybrid", "reranked"]
    assert all(0 < result.scores.mean("nDCG@10") <= 1 for result in evaluation.stages)
    assert (evaluation.documents, evaluation.queries, evaluation.depth) == (60, 12, 20)


def test_each_list_is_what_a_retriever_of_that_part_alone_answers(evaluation, encoder):
    dataset = topical_dataset()
    for stage, parts in (
        ("lexical", {"dense": False}),
        ("dense", {"lexical": False, "feedback": 0.0}),  # the part as it is
        ("hybrid", {}),
    ):
        config = RetrieverConfig(encoder=encoder, reranker=None, **parts)
        with Retriever.from_corpus(dataset.documents, config=config) as alone:
            for query, text in dataset.queries.items():
                expected = [result.id for result in alone.search(text, k=10)]
                assert [id for id, _ in evaluation.stage(stage).run[query]][:10] == expected


def test_the_reranked_list_is_the_search(evaluation, retriever):
    for query, text in topical_dataset().queries.items():
        expected = [result.id for result in retriever.search(text, k=10)]
        assert [id for id, _ in evaluation.stage("reranked").run[query]][:10] == expected


def test_figures_equal_trec_evals_on_the_exported_runs(evaluation, tmp_path):
    measures = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map"}
    qrels = topical_dataset().qrels
    for result in evaluation.stages:
        write_run(tmp_path / "x.run", result.run)
        found = pytrec_eval.RelevanceEvaluator(qrels, set(measures.values())).evaluate(
            read_run(tmp_path / "x.run")
        )
        for ours, theirs in measures.items():
            mean = sum(values[theirs] for values in found.values()) / len(qrels)
            assert result.scores.mean(ours) == pytest.approx(mean, abs=1e-6)


def test_the_plain_form_is_json_and_says_on_what_it_was_measured(evaluation):
    values = json.loads(json.dumps(evaluation.to_dict()))
    first = values["stages"]["reranked"]["measures"]["nDCG@10"]
    assert first["low"] <= first["mean"] <= first["high"]
    assert values["environment"]["cores"] >= 1
    assert values["encoder_fingerprint"]


def test_without_reranker_or_half_a_first_stage_only_what_there_is_is_measured(encoder):
    dataset = topical_dataset()
    config = RetrieverConfig(encoder=encoder, lexical=False, reranker=None)
    with Retriever.from_corpus(dataset.documents, config=config) as retriever:
        found = evaluate(dataset, retriever)
    assert [result.stage for result in found.stages] == ["dense"]
    with pytest.raises(InvalidInputError, match="'hybrid' was not run; there are dense"):
        found.stage("hybrid")


def test_judgments_about_another_collection_are_refused(retriever):
    other = Dataset("other", {"q": "whale"}, {"q": {"elsewhere": 1}})
    with pytest.raises(InvalidInputError, match=r"none of the 1 relevant documents.*'elsewhere'"):
        evaluate(other, retriever)


def test_some_unknown_documents_are_counted(retriever):
    some = Dataset("some", {"q": "whale"}, {"q": {"d1": 1, "elsewhere": 1}})
    assert evaluate(some, retriever).unknown == 1


def test_a_data_set_without_documents_needs_a_retriever():
    with pytest.raises(InvalidInputError, match="no documents of its own"):
        evaluate(Dataset("none", {"q": "x"}, {"q": {"d": 1}}))


def test_progress_counts_queries(retriever):
    heard = []
    evaluate(topical_dataset(), retriever, rerank=False, progress=lambda *call: heard.append(call))
    assert heard == [(done, 12) for done in range(1, 13)]


def test_latency_summarises_times():
    found = Latency.of([1.0, 2.0, 3.0])
    assert (found.mean, found.p50) == (2.0, 2.0)
    assert 2.9 < found.p99 <= 3.0


def test_the_hybrid_list_does_not_hang_on_the_reranker(encoder):
    class Upside(OverlapReranker):
        def score(self, query, passages):
            return -super().score(query, passages)

    dataset = topical_dataset(documents=240)
    config = RetrieverConfig(encoder=encoder)
    with Retriever.from_corpus(dataset.documents, config=config, reranker=Upside()) as built:
        shallow, deep = (evaluate(dataset, built, depth=depth).stage("hybrid").run for depth in (20, 200))
    assert {query: [id for id, _ in found] for query, found in deep.items()} == {
        query: [id for id, _ in found] for query, found in shallow.items()
    }
