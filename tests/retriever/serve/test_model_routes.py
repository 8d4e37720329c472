"""Other people's clients, unchanged, against a real port."""

import base64
import json

import cohere
import httpx
import numpy as np
import openai
import pytest

from tests.factories import OverlapReranker

TEXTS = ["the cat sat on the mat", "stocks fell", "zebra zebra"]


@pytest.fixture
def client(live, make):
    retriever = make()
    address = live(retriever=retriever)
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none-is-needed", max_retries=0) as client:
        yield client, retriever


def test_openai_s_client_gets_the_vectors_of_the_python_api(client):
    openai_client, retriever = client
    wanted = retriever.encoder.encode(TEXTS)
    answer = openai_client.embeddings.create(model="docs", input=TEXTS)
    assert np.array_equal(np.asarray([one.embedding for one in answer.data], dtype=np.float32), wanted)
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens == int(retriever.encoder.count_tokens(TEXTS).sum())
    floats = openai_client.embeddings.create(model="docs", input=TEXTS, encoding_format="float")
    assert np.array_equal(np.asarray([one.embedding for one in floats.data], dtype=np.float32), wanted)


def test_base64_is_little_endian_float32(client):
    openai_client, retriever = client
    raw = openai_client.embeddings.with_raw_response.create(
        model="docs", input="zebra", encoding_format="base64"
    )
    encoded = json.loads(raw.text)["data"][0]["embedding"]
    assert np.array_equal(np.frombuffer(base64.b64decode(encoded), "<f4"), retriever.encoder.encode("zebra"))


def test_openai_s_client_can_ask_for_fewer_dimensions(client):
    openai_client, retriever = client
    answer = openai_client.embeddings.create(model="docs", input="zebra", dimensions=4)
    assert np.allclose(answer.data[0].embedding, retriever.encoder.truncate(4).encode("zebra"))


def test_openai_s_client_sees_errors_as_its_own(client):
    openai_client, _ = client
    with pytest.raises(openai.NotFoundError, match="there are: docs"):
        openai_client.embeddings.create(model="text-embedding-3-small", input="zebra")
    with pytest.raises(openai.UnprocessableEntityError, match="input is empty"):
        openai_client.embeddings.create(model="docs", input=["zebra", ""])
    with pytest.raises(openai.UnprocessableEntityError, match="token numbers of another tokenizer"):
        openai_client.embeddings.create(model="docs", input=[[1, 2, 3]])
    assert [model.id for model in openai_client.models.list()] == ["docs"]


def test_cohere_s_clients_rerank(live, make):
    retriever = make()
    address = live(retriever=retriever)
    documents = ["wind and storm", "the cat sat on the mat", "the dog"]
    logits = retriever.reranker.score("the cat sat", documents)
    newer = cohere.ClientV2(api_key="none-is-needed", base_url=address)
    answer = newer.rerank(model="docs", query="the cat sat", documents=documents, top_n=2)
    assert [one.index for one in answer.results] == np.argsort(-logits)[:2].tolist()
    assert [one.relevance_score for one in answer.results] == pytest.approx(
        sorted((1 / (1 + np.exp(-logits))).tolist(), reverse=True)[:2]
    )
    older = cohere.Client(api_key="none-is-needed", base_url=address)
    answer = older.rerank(model="docs", query="the cat sat", documents=documents, return_documents=True)
    assert [one.document.text for one in answer.results] == [documents[i] for i in np.argsort(-logits)]


def test_jina_s_request_reranks(live):
    body = {
        "model": "docs",
        "query": "the cat sat",
        "documents": [{"text": "wind"}, {"text": "the cat sat on the mat"}],
        "top_n": 1,
        "return_documents": True,
    }
    answer = httpx.post(f"{live()}/v1/rerank", json=body).json()
    assert answer["model"] == "docs"
    assert answer["results"][0]["index"] == 1
    assert answer["results"][0]["document"] == {"text": "the cat sat on the mat"}
    assert answer["usage"]["total_tokens"] > 0


def test_a_collection_without_reranker_says_so(serve, make):
    retriever = make(reranker=None)
    retriever._reranker = None
    client = serve(retriever=make_without_reranker(retriever), rerank=False)
    refused = client.post("/v1/rerank", json={"query": "cat", "documents": ["cat"]})
    assert refused.status_code == 422
    assert "docs has no reranker" in refused.json()["error"]["message"]


def make_without_reranker(retriever):
    retriever.collection.config = retriever.config.model_copy(update={"reranker": None})
    return retriever


def test_relevance_is_the_probability_that_the_reranker_was_calibrated_to(serve, make):
    reranker = OverlapReranker()
    reranker.config = {"calibration": {"slope": 2.0, "intercept": -1.0}}
    reranker.score = lambda query, passages: np.asarray([35.7, 36.0, 12.0][: len(passages)], np.float32)
    body = {"model": "docs", "query": "the cat", "documents": ["a", "b", "c"]}
    scores = [
        one["relevance_score"]
        for one in serve(retriever=make(reranker=reranker)).post("/v1/rerank", json=body).json()["results"]
    ]
    assert scores == pytest.approx([1 / (1 + np.exp(1 - 2 * logit)) for logit in (36.0, 35.7, 12.0)])
