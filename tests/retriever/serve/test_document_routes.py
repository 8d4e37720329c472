NEW = {"id": "bird", "title": "Air", "text": "The bird flew over paper.", "metadata": {"year": 2024}}


def test_a_document_is_added_found_replaced_and_deleted(serve):
    client = serve(path=True)
    added = client.post("/v1/documents", json={"documents": [NEW]})
    assert added.status_code == 201
    assert added.json() == {"added": 1, "updated": 0, "unchanged": 0, "ids": ["bird"]}
    found = client.post("/v1/search", json={"query": "bird paper", "k": 1}).json()["results"][0]
    assert found["id"] == "bird"
    assert client.get("/v1/documents", params={"id": "bird"}).json() == NEW
    replaced = client.put(
        "/v1/documents", json={"documents": [NEW | {"text": "The bird sat."}, NEW | {"id": "b2"}]}
    )
    assert replaced.json() == {"added": 1, "updated": 1, "unchanged": 0, "ids": ["bird", "b2"]}
    deleted = client.delete("/v1/documents", params={"id": ["bird", "b2", "nobody"]})
    assert deleted.json() == {"deleted": 2}
    missing = client.get("/v1/documents", params={"id": "bird"})
    assert missing.status_code == 404
    assert "no document has the id 'bird'" in missing.json()["error"]["message"]


def test_an_id_is_made_and_told(serve):
    client = serve()
    ids = client.post("/v1/documents", json={"documents": [{"text": "one two three"}]}).json()["ids"]
    assert client.get("/v1/documents", params={"id": ids[0]}).json()["text"] == "one two three"


def test_an_id_that_exists_is_a_conflict_and_nothing_is_written(serve):
    client = serve()
    refused = client.post("/v1/documents", json={"documents": [NEW, NEW | {"id": "cat"}]})
    assert refused.status_code == 409
    assert "'cat' exists already" in refused.json()["error"]["message"]
    assert client.get("/v1/documents", params={"id": "bird"}).status_code == 404


def test_documents_that_cannot_be_stored_are_refused(serve):
    client = serve()
    for document, said in [
        ({"text": "  "}, "has no text"),
        ({"id": "", "text": "one"}, "id"),
        ({"id": "x"}, "text: Field required"),
        ({"text": "one", "kind": 1}, "kind: Extra inputs"),
        ({"text": "one", "metadata": [1]}, "metadata"),
        ({"text": "one", "metadata": {"n": 2**70}}, "more than 64 bits"),
    ]:
        refused = client.post("/v1/documents", json={"documents": [document]})
        assert refused.status_code == 422, document
        assert said in refused.json()["error"]["message"]


def test_ids_are_names_and_never_paths(serve, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("do not show")
    client = serve(path=True)
    hostile = [
        "../secret.txt",
        "..%2fsecret.txt",
        str(secret),
        "/etc/passwd",
        "....//secret.txt",
        "a\x00b",
        "C:\\x",
    ]
    for id in hostile:
        answer = client.get("/v1/documents", params={"id": id})
        assert answer.status_code == 404
        assert "do not show" not in answer.text
    assert client.get("/../secret.txt").status_code == 404
    assert client.get("/%2e%2e/secret.txt").status_code == 404
    written = client.post(
        "/v1/documents", json={"documents": [{"id": id, "text": f"one {i}"} for i, id in enumerate(hostile)]}
    )
    assert written.status_code == 201
    for i, id in enumerate(hostile):
        assert client.get("/v1/documents", params={"id": id}).json()["text"] == f"one {i}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection", "secret.txt"]
    assert client.delete("/v1/documents", params={"id": hostile}).json() == {"deleted": len(hostile)}
    assert secret.read_text() == "do not show"
