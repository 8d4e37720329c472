"""What a reader learns from to tell sides apart, and what that is measured on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """Queries and passages of the same words; a passage is right for the queries of its side.

    :param passages: statements.
    :param passage_sides: the side of each.
    :param queries: what is asked.
    :param query_sides: the side of each.
    """

    passages: tuple[str, ...]
    passage_sides: tuple[int, ...]
    queries: tuple[str, ...]
    query_sides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """A query with a right and a wrong passage.

    :param sort: what kind of difference it is.
    :param query: what is asked.
    :param right: the passage that answers it.
    :param wrong: one of the same words that does not.
    """

    sort: str
    query: str
    right: str
    wrong: str
