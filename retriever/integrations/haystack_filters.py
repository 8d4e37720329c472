"""Haystack's filters in the retriever's own syntax."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from haystack.errors import FilterError as HaystackFilterError

from retriever.errors import FilterError

_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_COMPARISONS = ("==", "!=", *_RANGES, "in", "not in")
_LOGIC = ("AND", "OR", "NOT")
_DOCUMENT_FIELDS = ("id", "content", "blob", "score", "embedding", "sparse_embedding")
_RESERVED = ("and", "or", "not")


class UnsupportedFilterError(FilterError, HaystackFilterError):
    """A filter is malformed or uses what the store does not have; caught as Haystack's error and as ours."""


def to_filter(filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Translate filters.

    Dates are compared as the ISO 8601 text they are stored as; keep to one form and one time zone.

    :param filters: a comparison (`field`, `operator`, `value`) or logic (`operator`, `conditions`), nested
        to any depth; None or {} let everything pass.
    :return: the same in the syntax of `Retriever.search`.
    :raises FilterError: if a key or operator is absent or unknown; the message says which.
    """
    if not filters:
        return None
    return _comparison(filters) if "field" in filters else _logic(filters)


def _logic(filters: dict[str, Any]) -> dict[str, Any]:
    """Translate AND, OR or NOT; a NOT is true unless all its conditions are."""
    for key in ("operator", "conditions"):
        if key not in filters:
            raise UnsupportedFilterError(f"{key!r} is missing in the filter {filters}")
    operator, conditions = filters["operator"], filters["conditions"]
    if operator not in _LOGIC:
        raise UnsupportedFilterError(f"unknown logical operator {operator!r}; use one of {', '.join(_LOGIC)}")
    parts = [_comparison(part) if "field" in part else _logic(part) for part in conditions]
    if not parts:
        raise UnsupportedFilterError(f"{operator} has no conditions; leave the filter out or name some")
    if operator == "NOT":
        return {"not": {"and": parts}}
    return {operator.lower(): parts}


def _comparison(condition: dict[str, Any]) -> dict[str, Any]:
    """Translate one comparison."""
    for key in ("operator", "value"):
        if key not in condition:
            raise UnsupportedFilterError(f"{key!r} is missing in the filter {condition}")
    field, operator, value = _field(condition["field"]), condition["operator"], condition["value"]
    if operator not in _COMPARISONS:
        raise UnsupportedFilterError(
            f"unknown comparison operator {operator!r} on {field!r}; use one of {', '.join(_COMPARISONS)}"
        )
    if operator in _RANGES:
        return _range(field, operator, value)
    if operator in ("in", "not in"):
        return _membership(field, operator, value)
    plain = value.isoformat() if isinstance(value, datetime) else value
    if plain is not None and not isinstance(plain, str | int | float | bool):
        raise UnsupportedFilterError(
            f"{operator!r} on {field!r} takes a string, number, boolean or None, not {value!r}"
        )
    return {field: {"eq" if operator == "==" else "ne": plain}}


def _range(field: str, operator: str, value: Any) -> dict[str, Any]:
    """Translate an ordering: of numbers, or of dates."""
    if value is None:
        return {field: {"in": []}}  # Haystack: nothing is more or less than None
    if isinstance(value, datetime):
        value = value.isoformat()
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not (isinstance(value, str) and _is_date(value)):
        raise UnsupportedFilterError(
            f"{operator!r} on {field!r} takes a number or an ISO date, not {value!r}"
        )
    return {field: {_RANGES[operator]: value}}


def _membership(field: str, operator: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        raise UnsupportedFilterError(f"{operator!r} on {field!r} takes a list, not {value!r}")
    member = {field: {"in": value}}
    return {"not": member} if operator == "not in" else member


def _field(name: Any) -> str:
    """Return the metadata field that Haystack calls `meta.name`."""
    field = str(name).removeprefix("meta.")
    if field in _DOCUMENT_FIELDS and field == name:
        raise UnsupportedFilterError(f"filters select on metadata; {name!r} is not 'meta.…'")
    if field in _RESERVED:
        raise UnsupportedFilterError(
            f"a field named {field!r} cannot be filtered on; rename it in the metadata"
        )
    return field


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
