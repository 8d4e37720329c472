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
    return cut(ids, window // 2)


def cut(ids: Sequence[int], limit: int) -> list[int]:
    """Keep the first token ids of a text, and the closing one.

    :param ids: token ids, special tokens included.
    :param limit: how many at most.
    :return: that many, or all where they are no more.
    """
    return list(ids) if len(ids) <= limit else [*ids[: limit - 1], ids[-1]]


def passage_room(window: int, query: int) -> int:
    """Tokens of a passage that fit beside a query, special tokens included.

    The query is given an eighth of the window, or a quarter, or half: passages are cut alike for all queries
    of about a length, and what was read of a passage for one serves the next.

    :param window: tokens the model reads at once.
    :param query: tokens of the query, at most half the window.
    :return: what is left.
    """
    share = next(part for part in (8, 4, 2) if query <= window // part or part == 2)
    return window - window // share


def parts_of(length: int, room: int) -> tuple[int, int]:
    """How many parts cover a passage, and how long each is: no longer than it takes, for time's sake.

    :param length: the passage's tokens, without special tokens.
    :param room: most tokens of a part.
    :return: parts, of which at most `MOST_WINDOWS` are read, and tokens of each.
    """
    if length <= room:
        return 1, length
    shared = room // OVERLAP
    count = 1 + -(-(length - room) // max(1, room - shared))
    return count, min(room, -(-(length + (count - 1) * shared) // count))


def passage_windows(ids: Sequence[int], query: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Choose the parts of a passage that are scored; the passage's score is that of its best part.

    :param ids: the passage's token ids, without special tokens.
    :param query: the query's token ids.
    :param room: most tokens of a part.
    :return: [start, end) of each part, all of one length; of more than four the beginning, and of the others
        those that share most with the query.
    """
    count, size = parts_of(len(ids), room)
    starts = [round(place * (len(ids) - size) / max(1, count - 1)) for place in range(count)]
    if count > MOST_WINDOWS:
        asked = set(query)
        common = {start: len(asked.intersection(ids[start : start + size])) for start in starts[1:]}
        best = sorted(starts[1:], key=lambda start: (-common[start], start))[: MOST_WINDOWS - 1]
        starts = [0, *sorted(best)]
    return [(start, start + size) for start in starts]
