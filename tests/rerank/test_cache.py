"""The cache never changes a score, never exceeds its bytes, and tells models and texts apart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.budget import CostModel, score_within
from rerank.cache import ENTRY_BYTES, CachedReranker, PairCache, pair_key
from rerank.errors import InvalidInputError
from rerank.protocol import WindowedReranker


class Counting:
    """Scores by length and counts the pairs it was asked for."""

    name = "counting"

    def __init__(self) -> None:
        self.asked = 0

    def score(self, query: str, passages: Sequence[str]) -> np.ndarray:
        self.asked += len(passages)
        return np.array([len(query) + len(text) / 8 for text in passages], dtype=np.float32)


def test_known_pairs_are_not_scored_again() -> None:
    inner = Counting()
    cached = CachedReranker(inner, PairCache())
    first = cached.score("q", ["a", "bb", "ccc"])
    np.testing.assert_array_equal(cached.score("q", ["ccc", "a", "dddd"])[:2], first[[2, 0]])
    assert inner.asked == 4


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=40))
def test_scores_are_those_of_the_reranker_inside(pairs: list[tuple[str, str]]) -> None:
    cached = CachedReranker(Counting(), PairCache(max_bytes=10 * ENTRY_BYTES))
    for _ in range(2):
        expected = [Counting().score(query, [passage])[0] for query, passage in pairs]
        np.testing.assert_array_equal(cached.score_pairs(pairs), np.array(expected, np.float32))


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    cache = PairCache(max_bytes=3 * ENTRY_BYTES)
    keys = [pair_key("m", "q", str(n)) for n in range(5)]
    for key in keys[:3]:
        cache.put([key], np.ones(1, np.float32))
    cache.get([keys[0]])
    cache.put([keys[3]], np.ones(1, np.float32))
    assert cache.nbytes <= 3 * ENTRY_BYTES
    assert np.isnan(cache.get(keys)).tolist() == [False, True, False, False, True]


def test_models_and_texts_are_told_apart() -> None:
    keys = [
        pair_key("m", "ab", "c"),
        pair_key("m", "a", "bc"),
        pair_key("n", "ab", "c"),
        pair_key("ma", "b", "c"),
    ]
    assert len(set(keys)) == 4


def test_a_nameless_reranker_needs_a_fingerprint() -> None:
    class Nameless:
        def score(self, query: str, passages: Sequence[str]) -> np.ndarray:
            return np.zeros(len(passages), np.float32)

    with pytest.raises(InvalidInputError, match="fingerprint"):
        CachedReranker(Nameless(), PairCache())
    assert CachedReranker(Nameless(), PairCache(), fingerprint="mine").score("q", ["a"]).tolist() == [0.0]


def test_disk_keeps_scores(tmp_path: Path) -> None:
    cache = PairCache(path=tmp_path / "pairs.sqlite", max_bytes=4 * ENTRY_BYTES)
    keys = [pair_key("m", "q", str(n)) for n in range(9)]
    cache.put(keys, np.arange(9, dtype=np.float32))
    cache.close()
    again = PairCache(path=tmp_path / "pairs.sqlite", max_bytes=4 * ENTRY_BYTES)
    assert again.get(keys[5:]).tolist() == [5, 6, 7, 8]
    assert np.isnan(again.get(keys[:5])).all()
    again.clear()
    assert len(again) == 0


def test_many_threads(tmp_path: Path) -> None:
    cached = CachedReranker(Counting(), PairCache(path=tmp_path / "pairs.sqlite", max_bytes=50 * ENTRY_BYTES))
    wrong: list[int] = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(30):
            texts = ["x" * int(n) for n in rng.integers(0, 80, size=10)]
            if not np.array_equal(cached.score("q", texts), Counting().score("q", texts)):
                wrong.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cached.cache.nbytes <= 50 * ENTRY_BYTES


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="max_bytes"):
        PairCache(max_bytes=10)


def test_what_is_on_disk_is_no_more_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "pairs.sqlite"
    keys = [pair_key("m", "q", str(n)) for n in range(9)]
    cache = PairCache(path=path)
    cache.put(keys, np.array([*range(8), np.nan], dtype=np.float32))
    cache.close()
    again = PairCache(path=path, max_bytes=3 * ENTRY_BYTES)
    assert again.get(keys[5:8]).tolist() == [5, 6, 7]
    again.close()
    assert len(PairCache(path=path)) == 3


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all " * 100)
    for path in (tmp_path / "text", tmp_path / "none" / "pairs.sqlite"):
        with pytest.raises(InvalidInputError, match="cannot be used as a cache"):
            PairCache(path=path)


class Windowed(Counting):
    """Counts words as tokens, and reads no more of them than it is told to."""

    window = 128
    config = {"calibration": {"slope": 1.0, "intercept": 0.0}}  # noqa: RUF012

    def count_tokens(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts], dtype=np.int64)

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> np.ndarray:
        self.asked += len(passages)
        return np.array([len(text.split()[: window or self.window]) for text in passages], dtype=np.float32)


def test_what_was_read_with_a_smaller_window_is_another_score() -> None:
    inner = Windowed()
    cached = CachedReranker(inner, PairCache())
    text = "word " * 100
    assert [cached.score("q", [text], window=window)[0] for window in (64, None, 128, 64)] == [
        64,
        100,
        100,
        64,
    ]
    assert inner.asked == 2
    assert cached.known("q", [text, "other"], window=64).tolist() == [True, False]


def test_what_the_reranker_inside_offers_is_offered() -> None:
    cached = CachedReranker(Windowed(), PairCache())
    assert isinstance(cached, WindowedReranker)
    assert (cached.name, cached.window, cached.config, cached.reader) == (
        "counting",
        128,
        Windowed.config,
        None,
    )
    assert cached.count_tokens(["a b", "c"]).tolist() == [2, 1]
    plain = CachedReranker(Counting(), PairCache())
    assert (plain.window, plain.config) == (None, {})
    with pytest.raises(InvalidInputError, match="counting does not count tokens"):
        plain.count_tokens(["a"])


@pytest.mark.parametrize("inner", [Counting(), Windowed()])
def test_known_pairs_need_no_time_and_teach_nothing(inner: Counting) -> None:
    cached, cost = CachedReranker(inner, PairCache()), CostModel()
    texts = [f"passage number {row} of some" for row in range(30)]
    cost.learn(np.full(4, 8, dtype=np.int64), 4 * 100.0)  # a machine that is far too slow
    assert score_within(cached, "q", texts, budget_ms=50, cost=cost).scored == 0
    cached.score("q", texts)
    before = cost.predict(np.array([8], dtype=np.int64))
    assert score_within(cached, "q", texts, budget_ms=50, cost=cost).scored == 30
    assert cost.predict(np.array([8], dtype=np.int64)) == before


def test_another_process_that_writes_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pairs.sqlite"
    cache, keys = PairCache(path=path), [pair_key("m", "q", str(n)) for n in range(2)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        cache.put(keys[:1], np.ones(1, np.float32))
        other.execute("ROLLBACK")
    cache.put(keys[1:], np.ones(1, np.float32))
    assert not np.isnan(cache.get(keys)).any()
    cache.close()
    assert np.isnan(PairCache(path=path).get(keys)).tolist() == [True, False]


def test_a_file_that_cannot_be_written_fails_no_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pairs.sqlite"
    cache, keys = PairCache(path=path), [pair_key("m", "q", str(n)) for n in range(2)]
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TABLE scores")
    for key in keys:
        cache.put([key], np.ones(1, np.float32))
    assert not np.isnan(cache.get(keys)).any()
    assert caplog.text.count("kept in memory alone") == 1
