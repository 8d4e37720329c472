"""The server as a process: several workers on one collection, and an end without a lost request."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from retriever import Retriever, RetrieverConfig
from retriever.errors import ConfigError
from retriever.serve.run import run
from retriever.serve.served import names_of
from retriever.serve.settings import ServeSettings
from tests.factories import CORPUS

COMMAND = (sys.executable, "-c", "from retriever.cli.main import main; main()", "serve")


@pytest.fixture
def folder(tmp_path):
    """A durable collection with the bundled encoder and no reranker."""
    path = tmp_path / "docs"
    Retriever.from_corpus(CORPUS, path=path, config=RetrieverConfig(reranker=None)).close()
    return path


class Process:
    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.lines, self.address = [], None
        self.started = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.started.wait(60)

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if line.startswith("serving at "):
                self.address = line.split()[2]
                self.started.set()
        self.started.set()

    def wait_ready(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.address}/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        pytest.fail(f"not ready: {self.lines}")

    def stop(self, kind=signal.SIGTERM):
        self.process.send_signal(kind)
        self.process.wait(30)
        self.reader.join(10)
        return self.process.returncode


@pytest.fixture
def start():
    started = []

    def run_command(*arguments, **environment):
        started.append(Process(*map(str, arguments), **environment))
        return started[-1]

    yield run_command
    for one in started:
        if one.process.poll() is None:
            one.process.kill()


def test_one_process_serves_logs_json_and_ends_well(start, folder):
    server = start(folder, "--port", 0)
    server.wait_ready()
    answer = httpx.post(f"{server.address}/v1/search", json={"query": "cat", "k": 1}).json()
    assert answer["results"][0]["id"] == "cat"
    assert server.stop() in (0, -signal.SIGTERM)
    logged = [json.loads(line) for line in server.lines if line.startswith("{")]
    assert len(logged) == len(server.lines) - 1
    assert {"time", "level", "event", "worker"} <= set(logged[0])
    requests = [entry for entry in logged if entry["event"] == "request"]
    assert requests[-1]["path"] == "/v1/search"
    assert requests[-1]["status"] == 200


class GatedReranker:
    recommended_weight = 1.0

    def __init__(self):
        self.entered, self.gate = threading.Event(), threading.Event()

    def score(self, query, passages):
        self.entered.set()
        self.gate.wait(20)
        return [0.0] * len(passages)


def test_a_request_under_way_is_answered_before_the_end(live, make):
    reranker = GatedReranker()
    address = live(retriever=make(reranker=reranker), rerank=False)
    answers = []

    def search():
        body = {"query": "cat", "rerank": True}
        answers.append(httpx.post(f"{address}/v1/search", json=body, timeout=30))

    asking = threading.Thread(target=search)
    asking.start()
    assert reranker.entered.wait(20)
    live.stop()
    time.sleep(0.3)
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/health")
    assert not answers
    reranker.gate.set()
    asking.join(20)
    assert answers[0].status_code == 200
    assert len(answers[0].json()["results"]) == 5


def test_several_workers_share_a_collection_and_its_figures(start, folder):
    server = start(folder, "--port", 0, "--workers", 2)
    server.wait_ready()
    for turn in range(6):
        with httpx.Client(
            base_url=server.address, timeout=30
        ) as client:  # a new connection may meet another worker
            added = client.post(
                "/v1/documents", json={"documents": [{"id": f"n{turn}", "text": f"seven {turn}"}]}
            )
            assert added.status_code == 201, added.text
    for _ in range(12):
        with httpx.Client(base_url=server.address, timeout=30) as client:
            found = client.post("/v1/search", json={"query": "seven", "k": 6}).json()["results"]
            assert {result["id"] for result in found} == {f"n{turn}" for turn in range(6)}
    page = httpx.get(f"{server.address}/metrics").text
    assert 'retriever_searches_total{collection="docs"} 12.0' in page
    assert 'retriever_written_documents_total{change="added",collection="docs"} 6.0' in page
    server.stop()
    workers = {
        json.loads(line)["worker"]
        for line in server.lines
        if line.startswith("{") and '"path": "/v1/search"' in line
    }
    assert workers
    with Retriever.open(folder) as retriever:
        assert len(retriever) == len(CORPUS) + 6


def test_beyond_loopback_without_a_token_it_does_not_start(start, folder):
    server = start(folder, "--host", "0.0.0.0", "--port", 0)
    assert server.process.wait(60) == 1
    server.reader.join(10)
    assert "refusing to listen on 0.0.0.0 without a token" in "".join(server.lines)


def test_a_token_from_the_environment_is_asked_for(start, folder):
    secret = "a-secret-of-the-tests"
    server = start(folder, "--port", 0, "--host", "0.0.0.0", RETRIEVER_READ_TOKEN=secret)
    server.address = address = server.address.replace("0.0.0.0", "127.0.0.1")
    server.wait_ready()
    assert httpx.post(f"{address}/v1/search", json={"query": "cat"}).status_code == 401
    answer = httpx.post(
        f"{address}/v1/search", json={"query": "cat"}, headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 200
    server.stop()
    assert secret not in "".join(server.lines)


def test_two_folders_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="would both be called 'docs'"):
        names_of([tmp_path / "a" / "docs", tmp_path / "b" / "docs"])


def test_a_port_that_is_taken_is_refused_by_name(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port} .*--port"):
            run([tmp_path], ServeSettings(port=port))


def test_run_refuses_before_it_opens_anything(tmp_path):
    with pytest.raises(ConfigError, match="refusing to listen"):
        run([tmp_path / "absent"], ServeSettings(host="0.0.0.0"))
