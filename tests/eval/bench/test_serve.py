"""The clients of the benchmark against a real server, briefly."""

import asyncio
import os
import threading

import pytest
import uvicorn

from eval.bench.serve import in_turn, load, resident_mb, threads_in_process
from retriever import Retriever, RetrieverConfig
from retriever.serve import create_app
from tests.factories import CORPUS, tiny_encoder

QUERIES = ["the cat", "zebra", "stocks fell"]


@pytest.fixture
def retriever():
    return Retriever.from_corpus(CORPUS, config=RetrieverConfig(reranker=None), encoder=tiny_encoder())


@pytest.fixture
def port(retriever):
    config = uvicorn.Config(create_app({"docs": retriever}), port=0, log_config=None)
    server, listening = uvicorn.Server(config), config.bind_socket()
    listening.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(20)


def test_every_request_is_counted_under_load_and_at_a_rate(port, retriever):
    for rate in (None, 20.0):
        seen = asyncio.run(load(port, os.getpid(), QUERIES, clients=3, seconds=0.6, rate=rate))
        assert seen["lost"] == 0
        assert set(seen["statuses"]) == {"200"}
        assert seen["requests"] == seen["statuses"]["200"] > 0
        assert 0 < seen["p50_ms"] <= seen["p99_ms"]
        assert len(seen["server_memory_mb"]) > 0
    seen = asyncio.run(in_turn(port, retriever, QUERIES * 3))
    assert seen["statuses"] == {"200": 9}
    assert seen["difference_ms"] == pytest.approx(seen["http_p50_ms"] - seen["in_process_p50_ms"], abs=0.02)


def test_a_server_that_is_gone_loses_requests_and_says_so():
    seen = asyncio.run(load(9, os.getpid(), QUERIES, clients=2, seconds=0.1, rate=100.0))
    assert seen["lost"] == seen["requests"] > 0
    assert seen["statuses"] == {}


def test_threads_call_in_process(retriever):
    assert threads_in_process(retriever, QUERIES, 2, 0.2)["statuses"]["200"] > 0
    assert resident_mb(os.getpid()) > 1 or resident_mb(os.getpid()) != resident_mb(os.getpid())
