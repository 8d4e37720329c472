"""Who may come in, and how much they may bring."""

import json
import logging

import pytest

from tests.retriever.serve.conftest import READ, WRITE, bearer

SEARCH = {"query": "the cat", "k": 1}
DOCUMENT = {"documents": [{"id": "new", "text": "one two"}]}


@pytest.fixture
def guarded(serve, tokens):
    return serve(tokens=tokens)


def test_without_or_with_a_wrong_token_nothing_is_shown(guarded):
    for headers in (
        {},
        bearer("wrong-token-of-the-tests"),
        bearer(READ + "x"),
        bearer(""),
        {"Authorization": READ},
    ):
        for method, path in [
            ("POST", "/v1/search"),
            ("GET", "/v1/documents?id=cat"),
            ("DELETE", "/v1/documents?id=cat"),
            ("GET", "/v1/collections"),
            ("GET", "/metrics"),
            ("GET", "/report"),
            ("GET", "/no/such/path"),
        ]:
            answer = guarded.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "cat" not in answer.text
    assert guarded.get("/v1/documents", params={"id": "cat"}, headers=bearer(READ)).status_code == 200


def test_a_wrong_token_is_refused_before_the_body_is_read(guarded):
    def body():
        raise AssertionError("the body was read")
        yield b""

    answer = guarded.post("/v1/search", content=b"x" * 2**24, headers={"content-type": "application/json"})
    assert answer.status_code == 401


def test_a_read_token_reads_and_a_write_token_also_writes(guarded):
    assert guarded.post("/v1/search", json=SEARCH, headers=bearer(READ)).status_code == 200
    for method in ("POST", "PUT"):
        answer = guarded.request(method, "/v1/documents", json=DOCUMENT, headers=bearer(READ))
        assert answer.status_code == 403
        assert "may only read" in answer.json()["error"]["message"]
    assert guarded.delete("/v1/documents", params={"id": "cat"}, headers=bearer(READ)).status_code == 403
    assert guarded.post("/v1/documents", json=DOCUMENT, headers=bearer(WRITE)).status_code == 201
    assert guarded.post("/v1/search", json=SEARCH, headers=bearer(WRITE)).status_code == 200
    assert guarded.delete("/v1/documents", params={"id": "new"}, headers=bearer(WRITE)).status_code == 200


def test_health_and_the_page_need_no_token_and_tell_nothing(guarded):
    for path in ("/health", "/ready", "/openapi.json", "/", "/page.js", "/page.css"):
        answer = guarded.get(path)
        assert answer.status_code in (200, 503)
        assert "docs" not in answer.text or path == "/openapi.json"


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(serve):
    client = serve(max_body_bytes=1000)
    headers = {"content-type": "application/json"}
    large = json.dumps({"query": "cat " * 1000}).encode()
    told = client.post("/v1/search", content=large, headers=headers)
    untold = client.post(
        "/v1/search", content=(large[i : i + 100] for i in range(0, len(large), 100)), headers=headers
    )
    lying = client.post("/v1/search", content=b"{}", headers=headers | {"content-length": "9" * 40})
    for answer in (told, untold, lying):
        assert answer.status_code == 413
        assert "larger than 1,000 bytes" in answer.json()["error"]["message"]
    assert client.post("/v1/search", json=SEARCH).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/documents", {"documents": [{"text": f"one {i}"} for i in range(4)]}),
        ("/v1/search/batch", {"queries": ["cat"] * 4}),
        ("/v1/embeddings", {"model": "docs", "input": ["cat"] * 4}),
        ("/v1/rerank", {"query": "cat", "documents": ["cat"] * 4}),
    ],
)
def test_batches_are_bounded(serve, path, body):
    answer = serve(max_batch=3, max_queries=3).post(path, json=body)
    assert answer.status_code == 413
    assert "has 4 entries, more than 3" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"query": "a", "query"',
        b'{"a":' * 5000,
        b'"cat"',
        b"nan",
    ],
)
def test_malformed_json_is_refused(serve, content):
    answer = serve().post("/v1/search", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"]


def test_filters_made_to_exhaust_the_server_are_refused(serve):
    client = serve()
    nested = {"lang": "en"}
    for _ in range(200):
        nested = {"not": nested}
    answer = client.post("/v1/search", json={"query": "cat", "filter": nested})
    assert answer.status_code == 422
    assert "nested more than 32 levels" in answer.json()["error"]["message"]
    wide = {"year": {"in": list(range(20_000))}}
    answer = client.post("/v1/search", json={"query": "cat", "filter": wide})
    assert answer.status_code == 422
    assert "more than 10,000 values" in answer.json()["error"]["message"]


def test_what_is_no_json_is_refused_so_that_no_other_site_s_form_can_write(serve):
    client = serve()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = client.post("/v1/documents", content=json.dumps(DOCUMENT), headers={"content-type": kind})
        assert answer.status_code == 415
    assert client.get("/v1/documents", params={"id": "new"}).status_code == 404


def test_without_tokens_only_this_machine_s_names_are_answered(serve):
    client = serve()
    assert client.get("/v1/collections", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/v1/collections", headers={"host": "8.8.8.8"}).status_code == 421
    for host in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "localhost", "LOCALHOST", "127.0.0.2:1"):
        assert client.get("/v1/collections", headers={"host": host}).status_code == 200


def test_errors_do_not_leak(serve, make, monkeypatch):
    retriever = make(path=True)
    client = serve(retriever=retriever)

    def broken(*_, **__):
        raise RuntimeError(f"secret at {retriever.collection.path}")

    monkeypatch.setattr(type(retriever), "search_timed", broken)
    answer = client.post("/v1/search", json=SEARCH)
    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "the server failed; its log says why"


def test_every_answer_has_a_request_id_and_a_log_line_without_the_query(serve, caplog):
    client = serve()
    with caplog.at_level(logging.INFO, logger="retriever.serve"):
        answer = client.post("/v1/search", json={"query": "zebra"}, headers={"x-request-id": "my-id.1"})
        hostile = client.get("/health", headers={"x-request-id": 'x" \n'.strip() + "<script>"})
    assert answer.headers["x-request-id"] == "my-id.1"
    assert "script" not in hostile.headers["x-request-id"]
    fields = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert fields[0]["request_id"] == "my-id.1"
    assert fields[0]["status"] == 200
    assert fields[0]["first_stage_ms"] > 0
    assert fields[0]["collection"] == "docs"
    assert "zebra" not in caplog.text
