"""Options of all searches of an adapter, checked where it is made and not by the first question."""

from __future__ import annotations

from retriever.arguments import check_depth
from retriever.store.filters import compile_filter
from retriever.types import Depth, Filter


def check_search(filter: Filter | None, depth: Depth | None) -> None:
    """Refuse what no search could have; None is fine.

    :raises FilterError: if the filter is malformed.
    :raises InvalidInputError: if the depth is neither "auto" nor a whole number from 1.
    """
    if filter is not None:
        compile_filter(filter)
    if depth is not None:
        check_depth(depth)
