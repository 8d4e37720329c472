import webbrowser

import httpx
import uvicorn
from fastapi.testclient import TestClient

from retriever.cli import demo


def test_the_demo_s_collection_is_served_and_its_page_opened_with_the_question(make, monkeypatch):
    opened, answers = [], []

    def run(server, sockets):
        with TestClient(server.config.app, base_url="http://localhost") as client:
            answers.append(client.post("/v1/search", json={"query": "zebra", "k": 1}).json())
        for listening in sockets:
            listening.close()

    monkeypatch.setattr(demo, "_collection", make)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(uvicorn.Server, "run", run)
    demo.demo("where is the zebra?", open_page=True)
    address = httpx.URL(opened[0])
    assert address.host == "127.0.0.1"
    assert address.params["q"] == "where is the zebra?"
    assert answers[0]["collection"] == "stdlib"
    assert answers[0]["results"][0]["id"] == "zebra"
