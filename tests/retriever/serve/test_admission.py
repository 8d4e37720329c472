import asyncio
import threading

import pytest

from retriever.serve.admission import BusyError, Lane, TooSlowError
from retriever.serve.metrics import Metrics


def lane(**options):
    return Lane(
        "read", **{"concurrency": 1, "max_waiting": 2, "timeout_s": 5.0, **options}, metrics=Metrics()
    )


def test_what_waits_is_bounded_and_the_rest_is_refused_with_a_time():
    async def scene():
        one, gate = lane(), threading.Event()
        at_work = asyncio.create_task(one.run(gate.wait))
        waiting = [asyncio.create_task(one.run(lambda i=i: i)) for i in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError) as refused:
            await one.run(lambda: 3)
        assert refused.value.retry_after_s >= 1
        gate.set()
        assert await at_work is True
        assert await asyncio.gather(*waiting) == [0, 1]
        assert await one.run(lambda: 4) == 4
        one.close()

    asyncio.run(scene())


def test_work_that_is_too_slow_keeps_its_thread_until_it_is_done():
    async def scene():
        one, gate = lane(timeout_s=0.1), threading.Event()
        with pytest.raises(TooSlowError, match=r"not done within 0\.1 s"):
            await one.run(gate.wait)
        with pytest.raises(TooSlowError):
            await one.run(lambda: 1)
        gate.set()
        await asyncio.sleep(0.05)
        assert await one.run(lambda: 2) == 2
        one.close()

    asyncio.run(scene())


def test_an_error_of_the_work_comes_out_and_the_turn_is_given_back():
    async def scene():
        one = lane()
        with pytest.raises(ZeroDivisionError):
            await one.run(lambda: 1 // 0)
        assert await one.run(lambda: 1) == 1
        one.close()

    asyncio.run(scene())


class SlowReranker:
    recommended_weight = 1.0

    def __init__(self):
        self.gate = threading.Event()

    def score(self, query, passages):
        self.gate.wait(20)
        return [0.0] * len(passages)


def test_over_http_busy_is_429_with_retry_after_and_slow_is_503(serve, make):
    slow = SlowReranker()
    client = serve(retriever=make(reranker=slow), concurrency=1, max_waiting=0, timeout_s=0.3, rerank=False)
    late = client.post("/v1/search", json={"query": "cat", "rerank": True})
    assert late.status_code == 503
    assert late.json()["error"]["code"] == "timeout"
    busy = client.post("/v1/search", json={"query": "cat"})
    assert busy.status_code == 429
    assert int(busy.headers["retry-after"]) >= 1
    assert client.get("/health").status_code == 200
    slow.gate.set()
    for _ in range(100):
        answer = client.post("/v1/search", json={"query": "cat"})
        if answer.status_code == 200:
            break
    assert answer.status_code == 200
