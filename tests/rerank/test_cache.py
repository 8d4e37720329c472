"""The cache never changes a score, never exceeds its bytes, and tells models and texts apart."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.cache import ENTRY_BYTES, CachedReranker, PairCache, pair_key
from rerank.errors import InvalidInputError


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
