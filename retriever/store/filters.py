"""Metadata filters, validated and compiled to SQL over the JSON metadata column."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from retriever.errors import FilterError
from retriever.types import Filter

Clause = tuple[str, list[Any]]
_COLUMN = "documents.metadata"
_RANGES = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LAST_CHARACTER = 8 * "\U0010ffff"  # sorts after all that begin as wanted
_TOO_LARGE = "the filter is too long or nested too deep for {}; nest less, and give many values to 'in'"
_REFUSALS = ("Expression tree is too large", "parser stack overflow", "too many SQL variables")
_NO_JSON = (float("inf"), float("-inf"))
_INTEGERS = range(-(1 << 63), 1 << 63)  # that SQLite compares
_OPERATORS = ("eq", "ne", "in", *_RANGES, "prefix", "contains", "exists")


def compile_filter(filter: Filter) -> Clause:
    """Compile a filter to a SQL condition and its parameters.

    A filter maps fields to a value (equality) or to operators: `eq`, `ne`, `in`, `gt`, `gte`, `lt`, `lte`,
    `prefix`, `contains` (an array's element or a string's part) and `exists`; `and` and `or` take lists of
    filters, `not` takes one. Fields of one filter must all hold. A dot descends into nested objects.
    Types are kept apart: 1, "1" and true are three values.

    :param filter: for example `{"lang": "en", "year": {"gte": 2020}, "or": [{"tags": {"contains": "faq"}}]}`.
    :return: a SQL expression over the table `documents`, and its parameters.
    :raises FilterError: if the filter is malformed; the message says where.
    """
    try:
        return _compiled(filter)
    except RecursionError as error:
        raise FilterError(_TOO_LARGE.format("Python")) from error


@contextmanager
def answerable() -> Iterator[None]:
    """Turn SQLite's refusal of a filter into ours: the database is whole.

    :raises FilterError: if the filter is longer or deeper than SQLite reads.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if any(refusal in str(error) for refusal in _REFUSALS):
            raise FilterError(_TOO_LARGE.format("SQLite")) from error
        raise


def _compiled(filter: Filter) -> Clause:
    """Compile all fields of a filter."""
    if not isinstance(filter, Mapping):
        raise FilterError(f"a filter is a mapping such as {{'lang': 'en'}}, not {type(filter).__name__}")
    return _join([_entry(field, condition) for field, condition in filter.items()], "AND")


def _entry(field: object, condition: Any) -> Clause:
    """Compile one field or one logical operator."""
    if not isinstance(field, str) or not field:
        raise FilterError(f"filter fields are non-empty strings, not {field!r}")
    if field in ("and", "or"):
        if isinstance(condition, str) or not isinstance(condition, Sequence) or not condition:
            raise FilterError(f"{field!r} takes a non-empty list of filters, not {condition!r}")
        return _join([_compiled(part) for part in condition], field.upper())
    if field == "not":
        sql, values = _compiled(condition)
        return f"NOT coalesce({sql}, 0)", values
    if isinstance(condition, Mapping):
        if not condition:
            raise FilterError(
                f"the filter on {field!r} is empty; use a value or one of {', '.join(_OPERATORS)}"
            )
        return _join([_operator(field, name, value) for name, value in condition.items()], "AND")
    return _equal(field, condition)


def _operator(field: str, name: object, value: Any) -> Clause:
    """Compile one operator on one field."""
    compilers: dict[str, Callable[[str, Any], Clause]] = {
        "eq": _equal,
        "ne": lambda field, value: _negated(_equal(field, value)),
        "in": _member,
        "prefix": _prefix,
        "contains": _contains,
        "exists": _exists,
    }
    if name in _RANGES:
        return _compare(field, _RANGES[str(name)], value)
    if name not in compilers:
        raise FilterError(
            f"unknown filter operator {name!r} on {field!r}; use one of {', '.join(_OPERATORS)}"
        )
    return compilers[str(name)](field, value)


def _equal(field: str, value: Any) -> Clause:
    if value is None:
        return f"coalesce(json_type({_COLUMN}, {field_path(field)}), 'null') = 'null'", []
    if isinstance(value, bool):
        return f"json_type({_COLUMN}, {field_path(field)}) = ?", ["true" if value else "false"]
    return _compare(field, "=", value)


def _compare(field: str, symbol: str, value: Any) -> Clause:
    """Compare with a number or a string, each only with its own kind."""
    path = field_path(field)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise FilterError(f"the filter on {field!r} compares with {value!r}; use a string or a number")
    if value != value:
        raise FilterError(f"the filter on {field!r} compares with NaN, which equals nothing; use a number")
    _check_storable(field, value)
    condition = f"{field_value(path)} {symbol} ? AND json_type({_COLUMN}, {path}) IN ({_json_types(value)})"
    return f"({condition})", [value]


def _member(field: str, value: Any) -> Clause:
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence | set | frozenset):
        raise FilterError(f"'in' on {field!r} takes a list of values, not {value!r}")
    if not value:
        return "0", []
    together: dict[str, list[str | float]] = {}
    clauses = []
    for item in value:
        if (
            isinstance(item, bool)
            or not isinstance(item, int | float | str)
            or item in _NO_JSON
            or item != item
        ):
            clauses.append(_equal(field, item))
            continue
        _check_storable(field, item)
        together.setdefault(_json_types(item), []).append(item)
    path = field_path(field)
    for types, items in together.items():
        # One parameter however many there are: SQLite takes no more than a thousand conditions.
        among = f"{field_value(path)} IN (SELECT value FROM json_each(?))"
        clauses.append((f"({among} AND json_type({_COLUMN}, {path}) IN ({types}))", [json.dumps(items)]))
    return _join(clauses, "OR")


def _prefix(field: str, value: Any) -> Clause:
    if not isinstance(value, str):
        raise FilterError(f"'prefix' on {field!r} takes a string, not {value!r}")
    _check_storable(field, value)
    path = field_path(field)
    # The range lets an index help.
    within = f"{field_value(path)} >= ? AND {field_value(path)} < ?"
    condition = (
        f"{within} AND json_type({_COLUMN}, {path}) = 'text' AND substr({field_value(path)}, 1, ?) = ?"
    )
    return f"({condition})", [value, value + _LAST_CHARACTER, len(value), value]


def _contains(field: str, value: Any) -> Clause:
    """An array holds the value, or a string holds it as a part."""
    if value is None or not isinstance(value, bool | int | float | str):
        raise FilterError(f"'contains' on {field!r} takes a string, number or boolean, not {value!r}")
    _check_storable(field, value)
    path = field_path(field)
    if isinstance(value, bool):
        match, values = "each.type = ?", list[Any](["true" if value else "false"])
    else:
        match, values = f"each.type IN ({_json_types(value)}) AND each.value = ?", [value]
    element = (
        f"json_type({_COLUMN}, {path}) = 'array' AND "
        f"EXISTS (SELECT 1 FROM json_each({_COLUMN}, {path}) AS each WHERE {match})"
    )
    if not isinstance(value, str):
        return f"({element})", values
    part = f"json_type({_COLUMN}, {path}) = 'text' AND instr({field_value(path)}, ?) > 0"
    return f"(({element}) OR ({part}))", [*values, value]


def _json_types(value: str | float) -> str:
    """Return the JSON types that a value is compared with, as SQL literals: only its own kind."""
    return "'text'" if isinstance(value, str) else "'integer', 'real'"


def _check_storable(field: str, value: str | float) -> None:
    """Raise where no document can hold a value, for SQLite cannot either."""
    if isinstance(value, int) and value not in _INTEGERS:
        raise FilterError(f"the filter on {field!r} holds a number of more than 64 bits; use a float")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise FilterError(f"the filter on {field!r} holds half a character ({error.reason})") from error


def _exists(field: str, value: Any) -> Clause:
    if not isinstance(value, bool):
        raise FilterError(f"'exists' on {field!r} takes true or false, not {value!r}")
    return f"json_type({_COLUMN}, {field_path(field)}) IS {'NOT ' if value else ''}NULL", []


def _negated(clause: Clause) -> Clause:
    return f"NOT coalesce({clause[0]}, 0)", clause[1]


def _join(clauses: list[Clause], word: str) -> Clause:
    """Combine conditions; none at all holds always."""
    if not clauses:
        return "1", []
    sql = f" {word} ".join(f"({sql})" for sql, _ in clauses)
    return f"({sql})", [value for _, values in clauses for value in values]


def field_value(path: str) -> str:
    """Return the SQL expression of a field's value; an index over the same expression is used.

    :param path: the field as a SQL literal, as `field_path` writes it.
    """
    return f"json_extract({_COLUMN}, {path})"


def field_path(field: str) -> str:
    """Write a dotted field as a SQL literal of a JSON path, quoting every step.

    A literal and not a parameter: SQLite uses an index over an expression only where it is the same.

    :raises FilterError: if the field holds what JSON paths cannot name.
    """
    if '"' in field or "\0" in field:
        raise FilterError(f"the field {field!r} holds a double quote or NUL, which JSON paths cannot name")
    _check_storable(field, field)
    path = "$" + "".join(f".{json.dumps(step, ensure_ascii=False)}" for step in field.split("."))
    return "'" + path.replace("'", "''") + "'"
