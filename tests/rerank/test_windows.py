"""Queries stay whole where they can, and windows cover what they must."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rerank.windows import MOST_WINDOWS, OVERLAP, cut_query, passage_room, passage_windows


@given(st.lists(st.integers(4, 99), max_size=200), st.integers(16, 128))
def test_a_query_is_cut_only_beyond_half_the_window(ids: list[int], window: int) -> None:
    whole = [2, *ids, 3]
    kept = cut_query(whole, window)
    assert kept == whole if len(whole) <= window // 2 else len(kept) == window // 2
    assert kept[0] == 2
    assert kept[-1] == 3


@given(st.integers(0, 400), st.integers(4, 100))
def test_windows_are_alike_and_few(length: int, room: int) -> None:
    found = passage_windows(range(1000, 1000 + length), [], room)
    assert found[0][0] == 0
    assert 1 <= len(found) <= MOST_WINDOWS
    assert len({end - start for start, end in found}) == 1
    assert all(0 <= start <= end <= length and end - start <= room for start, end in found)
    if len(found) < MOST_WINDOWS:
        assert {n for start, end in found for n in range(start, end)} == set(range(length))


def test_windows_that_share_words_with_the_query_are_kept() -> None:
    ids = [0] * 500
    ids[333] = 77
    assert any(start <= 333 < end for start, end in passage_windows(ids, [77], 20))


@given(st.integers(20, 400), st.integers(20, 100))
def test_no_sentence_is_only_seen_cut(length: int, room: int) -> None:
    found = passage_windows(range(1000, 1000 + length), [], room)
    if len(found) < MOST_WINDOWS:
        for (_, end), (start, _) in itertools.pairwise(found):
            assert end - start >= room // OVERLAP - 1


@given(st.integers(16, 512), st.data())
def test_queries_of_like_length_leave_the_same_room(window: int, data: st.DataObject) -> None:
    query = data.draw(st.integers(1, window // 2))
    room = passage_room(window, query)
    assert query + room <= window
    assert room in {window - window // share for share in (2, 4, 8)}
