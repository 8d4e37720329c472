"""Which tokens of a query and a passage the model gets to see."""

from __future__ import annotations

from collections.abc import Sequence

MOST_WINDOWS = 4  # of one passage; what more there is costs time and seldom holds the best
OVERLAP = 4  # a quarter of a window is shared with the next: no sentence is only ever seen cut


def cut_query(ids: Sequence[int], window: int) -> list[int]:
    """Keep a query whole unless it fills more than half the window; then cut it there.

    :param ids: token ids, special tokens included.
    :param window: tokens the model reads at once.
    :return: at most half the window, the closing token kept.
    """
    limit = window // 2
    return list(ids) if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def passage_windows(ids: Sequence[int], query: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Choose the parts of a passage that are scored; the passage's score is that of its best part.

    :param ids: the passage's token ids, without special tokens.
    :param query: the query's token ids.
    :param room: tokens of a part.
    :return: [start, end) of each part; the beginning, and of the others those that share most with the query.
    """
    if len(ids) <= room:
        return [(0, len(ids))]
    step = max(1, room - room // OVERLAP)
    last = len(ids) - room
    starts = [*range(0, last, step), last]
    if len(starts) > MOST_WINDOWS:
        asked = set(query)
        shared = {start: len(asked.intersection(ids[start : start + room])) for start in starts[1:]}
        best = sorted(starts[1:], key=lambda start: (-shared[start], start))[: MOST_WINDOWS - 1]
        starts = [0, *sorted(best)]
    return [(start, start + room) for start in starts]
