import re
import time


def value(page, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return None if found is None else float(found.group(1))


def test_health_at_once_and_ready_after_the_first_search(serve):
    client = serve()
    assert client.get("/health").json() == {"status": "ok"}
    until = time.monotonic() + 20
    while client.get("/ready").status_code == 503:
        assert time.monotonic() < until
    assert client.get("/ready").json() == {"status": "ready"}


def test_a_model_that_cannot_be_loaded_is_told_by_readiness(serve, make):
    retriever = make()
    retriever._reranker = None
    retriever.collection.config = retriever.config.model_copy(update={"reranker": "no/such/reranker"})
    client = serve(retriever=retriever)
    for _ in range(200):
        if client.get("/ready").json()["status"] == "failed":
            break
        time.sleep(0.05)
    assert client.get("/ready").json() == {"status": "failed"}
    assert client.get("/health").status_code == 200


def test_metrics_count_requests_and_every_stage(serve):
    client = serve()
    client.post("/v1/search", json={"query": "the cat"})
    client.post("/v1/search", json={"query": "the cat", "rerank": False, "filter": {"lang": "none"}})
    client.post("/v1/search/batch", json={"queries": ["the cat", "zebra"]})
    client.post("/v1/embeddings", json={"model": "docs", "input": ["cat", "dog"]})
    client.post("/v1/rerank", json={"query": "cat", "documents": ["cat", "dog", "mat"]})
    client.put("/v1/documents", json={"documents": [{"text": "one two"}]})
    client.get("/v1/documents", params={"id": "nobody"})
    page = client.get("/metrics").text
    docs = 'collection="docs"'
    assert value(page, f'retriever_stage_seconds_count{{{docs},stage="first_stage"}}') == 2
    assert value(page, f'retriever_stage_seconds_count{{{docs},stage="rerank"}}') == 2
    assert value(page, f'retriever_stage_seconds_count{{{docs},stage="batch"}}') == 1
    assert value(page, f"retriever_searches_total{{{docs}}}") == 4
    assert value(page, f"retriever_empty_searches_total{{{docs}}}") == 1
    assert value(page, f"retriever_reranked_pairs_total{{{docs}}}") == 8
    assert value(page, f"retriever_embedded_texts_total{{{docs}}}") == 2
    assert value(page, f'retriever_written_documents_total{{change="added",{docs}}}') == 1
    assert value(page, f"retriever_documents{{{docs}}}") == 6
    assert value(page, 'retriever_requests_total{method="GET",route="/v1/documents",status="404"}') == 1
    assert value(page, 'retriever_waiting_seconds_count{lane="read"}') == 6
    assert value(page, "retriever_in_flight") == 1


def test_collections_say_what_filters_can_use(serve):
    listed = serve().get("/v1/collections").json()["collections"]
    assert [one["name"] for one in listed] == ["docs"]
    assert listed[0]["documents"] == 5
    assert listed[0]["fields"]["lang"] == ["en", "de"]
    assert listed[0]["fields"]["tags"] == ["faq"]


def test_openapi_describes_every_path_with_an_example(serve):
    described = serve().get("/openapi.json").json()
    for path in ("/v1/search", "/v1/search/batch", "/v1/documents", "/v1/embeddings", "/v1/rerank"):
        assert path in described["paths"]
    for name in (
        "SearchRequest",
        "BatchSearchRequest",
        "DocumentsRequest",
        "EmbeddingsRequest",
        "RerankRequest",
    ):
        assert described["components"]["schemas"][name]["examples"], name
    answer = described["paths"]["/v1/search"]["post"]["responses"]["200"]
    assert answer["content"]["application/json"]["example"]["results"]
    assert "HTTPBearer" in described["components"]["securitySchemes"]


def test_the_examples_in_openapi_are_answered(serve):
    client = serve()
    described = client.get("/openapi.json").json()
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            schema = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            )
            if schema is None:
                continue
            name = schema["$ref"].rpartition("/")[2]
            for example in described["components"]["schemas"][name]["examples"]:
                body = example | ({"dimensions": 8} if "dimensions" in example else {})
                answer = client.request(method, path, json=body)
                # The example's document is in the corpus already, with another title or without.
                assert answer.status_code in (200, 201, 409), (path, answer.text)
