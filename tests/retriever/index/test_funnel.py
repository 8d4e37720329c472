import threading

import numpy as np
import pytest

from retriever.index import funnel
from retriever.index.funnel import FunnelIndex
from retriever.index.layered_codes import LayeredSearch

WIDTH, COUNT = 64, 2500


def unit(count, seed):
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


VECTORS, QUERIES = unit(COUNT, 0), unit(5, 1)


@pytest.fixture
def index():
    made = FunnelIndex(WIDTH, encode=lambda pids: VECTORS[pids], sample=VECTORS, leading=32)
    made.add(np.arange(COUNT), VECTORS)
    return made


def same(ours, theirs):
    return all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(ours, theirs, strict=True))


def test_similarities_are_those_of_the_texts(index):
    for query, (pids, similarities) in zip(QUERIES, index.search(QUERIES, 30), strict=True):
        assert np.allclose(similarities, VECTORS[pids] @ query, atol=1e-6)


def test_one_query_is_answered_as_among_many(index):
    assert same(index.search(QUERIES, 20), [index.search(query[None], 20)[0] for query in QUERIES])


def test_what_a_filter_leaves_is_not_scanned_when_it_is_little(index, monkeypatch):
    def refused(*given):
        raise AssertionError("scanned")

    monkeypatch.setattr(LayeredSearch, "candidates", refused)
    allowed = np.arange(7, 400)
    pids, _ = index.search(QUERIES[:1], 10, allowed=allowed)[0]
    assert pids.tolist() == (7 + np.argsort(-(VECTORS[7:400] @ QUERIES[0]))[:10]).tolist()
    with pytest.raises(AssertionError, match="scanned"):
        index.search(QUERIES[:1], 10, allowed=np.arange(COUNT - 1))


def test_busy_threads_are_not_waited_for(index):
    """A search does itself what nobody else has begun."""
    quiet = index.search(QUERIES, 20)
    release, busy = threading.Event(), threading.Barrier(3)

    def hold():
        busy.wait(10)
        release.wait(10)

    held = [funnel._threads().submit(hold) for _ in range(2)]
    busy.wait(10)
    try:
        assert same(index.search(QUERIES, 20), quiet)
    finally:
        release.set()
    for one in held:
        one.result(10)


def test_an_error_on_another_thread_is_raised(index, monkeypatch):
    def broken(pids):
        raise OSError("no space")

    monkeypatch.setattr(index, "_encode", broken)
    with pytest.raises(OSError, match="no space"):
        index.search(QUERIES[:1], 10)
