import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_a_search_answers_what_the_python_call_answers(serve, make):
    retriever = make()
    client = serve(retriever=retriever)
    answer = client.post("/v1/search", json={"query": "a dog on the mat", "k": 3}).json()
    results, timings = retriever.search_timed("a dog on the mat", k=3)
    assert answer["results"] == [result.to_dict() for result in results]
    assert answer["collection"] == "docs"
    assert answer["dimensions"] == 16
    assert answer["timings"]["reranked"] == timings.reranked == 5
    assert answer["timings"]["first_stage_ms"] > 0


def test_a_batch_answers_each_query_in_order(serve, make):
    retriever = make()
    client = serve(retriever=retriever)
    queries = ["zebra", "stocks fell", "wind"]
    answer = client.post("/v1/search/batch", json={"queries": queries, "k": 2}).json()
    assert [batch["query"] for batch in answer["batches"]] == queries
    for query, batch in zip(queries, answer["batches"], strict=True):
        wanted = retriever.search(query, k=2)
        assert [(result["id"], result["rank"]) for result in batch["results"]] == [
            (w.id, w.rank) for w in wanted
        ]
        assert [result["score"] for result in batch["results"]] == pytest.approx([w.score for w in wanted])


def test_filter_depth_and_rerank_reach_the_search(serve):
    client = serve()
    body = {"query": "the mat", "filter": {"year": {"gte": 2020}}, "depth": 1}
    answer = client.post("/v1/search", json=body).json()
    assert {result["id"] for result in answer["results"]} == {"dog", "stocks"}
    assert answer["timings"]["reranked"] == 1
    answer = client.post("/v1/search", json={"query": "the mat", "rerank": False}).json()
    assert answer["timings"]["reranked"] == 0
    assert all(result["stages"]["reranked"] is None for result in answer["results"])


def test_without_texts_and_with_matched_words(serve):
    body = {"query": "cats on mats", "k": 1, "include_text": False, "matched": True}
    result = serve().post("/v1/search", json=body).json()["results"][0]
    assert "text" not in result
    assert result["matched"] == ["cat", "mat"]


def test_fewer_dimensions_search_as_a_collection_built_with_them_would(serve, make, tmp_path):
    whole = make()
    client = serve(retriever=whole)
    body = {"query": "dog ran", "dimensions": 4, "rerank": False}
    answer = client.post("/v1/search", json=body).json()
    assert answer["dimensions"] == 4
    vectors = whole.encoder.truncate(4).encode(["dog ran", "Pets A dog ran over the mat."])
    scored = {result["id"]: result["stages"]["dense"]["score"] for result in answer["results"]}
    assert scored["dog"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    client.put("/v1/documents", json={"documents": [{"id": "new", "text": "dog ran dog ran"}]})
    answer = client.post("/v1/search", json=body).json()
    assert answer["results"][0]["id"] == "new"
    client.delete("/v1/documents", params={"id": "new"})
    answer = client.post("/v1/search", json=body).json()
    assert "new" not in {result["id"] for result in answer["results"]}


def test_several_collections_are_told_apart(serve, make):
    client = serve(retrievers={"one": make(), "two": make(["seven eight nine"])})
    refused = client.post("/v1/search", json={"query": "cat"})
    assert refused.status_code == 422
    assert "one, two" in refused.json()["error"]["message"]
    found = client.post("/v1/search", json={"query": "eight", "collection": "two"}).json()
    assert [result["text"] for result in found["results"]] == ["seven eight nine"]
    unknown = client.post("/v1/search", json={"query": "eight", "collection": "three"})
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"query": ""}, "query"),
        ({"query": "  "}, "the query is empty"),
        ({"query": "cat", "k": 0}, "k:"),
        ({"query": "cat", "k": 5000}, "this server takes up to 1000"),
        ({"query": "cat", "depth": 5000}, "this server takes up to 500"),
        ({"query": "cat", "dimensions": 99}, "docs has 16"),
        ({"query": "cat", "limit": 3}, "limit: Extra inputs"),
        ({"query": "cat", "filter": {"year": {"above": 1}}}, "unknown filter operator 'above'"),
        ({"query": "cat", "filter": {"year": 10**30}}, "more than 64 bits"),
        ({"query": 7}, "query: Input should be a valid string"),
        ({}, "query: Field required"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_reason(serve, body, said):
    answer = serve().post("/v1/search", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=JSON, field=st.text(max_size=8))
def test_no_filter_and_no_query_makes_the_server_fail(shared_client, value, field):
    import json

    for body in (
        {"query": "cat", "filter": {field: value}},
        {"query": value},
        {"query": "cat", field: value},
    ):
        content = json.dumps(body)  # with NaN, infinity and lone surrogates where hypothesis likes them
        answer = shared_client.post(
            "/v1/search", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (200, 400, 422), (body, answer.text)


@pytest.fixture
def shared_client(serve):
    return serve()


def test_budget_and_probability_reach_the_search(serve, make):
    client = serve()
    answer = client.post("/v1/search", json={"query": "the cat", "budget_ms": 10_000})
    assert answer.json()["timings"]["reranked"] == 5
    for body in ({"budget_ms": 0}, {"min_probability": 1.5}):
        assert client.post("/v1/search", json={"query": "the cat", **body}).status_code == 422
    refused = client.post("/v1/search", json={"query": "the cat", "min_probability": 0.5})
    assert "calibration" in refused.json()["error"]["message"]  # that of the tests has none
