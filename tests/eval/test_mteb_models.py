"""Both wrappers on a local task, through mteb itself."""

import pytest

from eval.datasets import write_beir
from eval.evaluation import evaluate
from eval.mteb_models import MtebEncoder, MtebPipeline, beir_task
from retriever import Retriever, RetrieverConfig
from retriever.errors import InvalidInputError
from tests.eval.factories import topical_dataset

mteb = pytest.importorskip("mteb", reason="mteb is not installed: it is an extra")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("mteb")
    write_beir(root / "topics", topical_dataset())
    return root


def main_score(model, folders):
    result = mteb.evaluate(model, [beir_task(folders / "topics")], cache=None, show_progress_bar=False)
    return result.task_results[0].get_score()


def test_the_encoder_scores_what_our_own_evaluation_says(folders, encoder):
    config = RetrieverConfig(encoder=encoder, lexical=False, reranker=None)
    dataset = topical_dataset()
    with Retriever.from_corpus(dataset.documents, config=config) as retriever:
        ours = evaluate(dataset, retriever).stage("dense").scores.mean("nDCG@10")
    assert main_score(MtebEncoder(encoder), folders) == pytest.approx(ours, abs=2e-3)


def test_the_pipeline_scores_what_our_own_evaluation_says(folders, encoder):
    config = RetrieverConfig(encoder=encoder, reranker=None)
    dataset = topical_dataset()
    with Retriever.from_corpus(dataset.documents, config=config) as retriever:
        ours = evaluate(dataset, retriever).stage("hybrid").scores.mean("nDCG@10")
    assert main_score(MtebPipeline(config), folders) == pytest.approx(ours, abs=2e-3)


def test_given_documents_are_ordered_for_reranking_tasks(encoder):
    pipeline = MtebPipeline(RetrieverConfig(encoder=encoder, reranker=None))
    with pytest.raises(InvalidInputError, match="call index before search"):
        pipeline.search([], top_k=3)
    pipeline.index([{"id": "a", "text": "whale reef"}, {"id": "b", "text": "oven flour"}])
    found = pipeline.search([{"id": "q", "text": "reef"}], top_k=1, top_ranked={"q": ["b", "a"]})
    assert max(found["q"], key=found["q"].get) == "a"
    assert set(found["q"]) == {"a", "b"}
    pipeline.close()
