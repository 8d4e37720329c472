"""LlamaIndex's metadata filters in the retriever's own syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from retriever.errors import FilterError

_RESERVED = ("and", "or", "not")
_DIRECT = {
    FilterOperator.EQ: "eq",
    FilterOperator.NE: "ne",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.IN: "in",
    FilterOperator.CONTAINS: "contains",
    FilterOperator.TEXT_MATCH: "contains",
}


def to_filter(filters: MetadataFilters) -> dict[str, Any]:
    """Translate filters.

    :param filters: conditions, nested to any depth.
    :return: the same in the syntax of `Retriever.search`; no conditions at all let everything pass.
    :raises FilterError: if an operator has no counterpart; the message names it.
    """
    parts = [
        to_filter(part) if isinstance(part, MetadataFilters) else _condition(part) for part in filters.filters
    ]
    if not parts:
        return {}
    if filters.condition == FilterCondition.OR:
        return {"or": parts}
    if filters.condition == FilterCondition.NOT:
        return {"not": {"or": parts}}  # LlamaIndex: none of them holds
    return {"and": parts}


def _condition(condition: MetadataFilter) -> dict[str, Any]:
    """Translate one comparison."""
    key, value, operator = condition.key, condition.value, condition.operator
    if key in _RESERVED:
        raise FilterError(f"a field named {key!r} cannot be filtered on; rename it in the metadata")
    if operator in _DIRECT:
        return {key: {_DIRECT[operator]: value}}
    composed: dict[FilterOperator, Callable[[str, Any], dict[str, Any]]] = {
        FilterOperator.NIN: lambda key, value: {"not": {key: {"in": value}}},
        FilterOperator.ANY: lambda key, value: {
            "or": [{key: {"contains": one}} for one in _list(key, value)]
        },
        FilterOperator.ALL: lambda key, value: {
            "and": [{key: {"contains": one}} for one in _list(key, value)]
        },
    }
    if operator not in composed:
        raise FilterError(
            f"the operator {operator.value!r} on {key!r} is not supported; "
            f"use one of {', '.join(one.value for one in [*_DIRECT, *composed])}"
        )
    return composed[operator](key, value)


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise FilterError(f"the filter on {key!r} takes a non-empty list, not {value!r}")
    return value
