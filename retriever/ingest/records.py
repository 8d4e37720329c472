"""From a record (a line of JSONL, a row of CSV or Parquet) to a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from retriever.errors import SourceError
from retriever.store.content_id import content_id
from retriever.types import Document

_ID = ("id", "_id")
_TEXT = ("text", "content", "body", "contents")
_TITLE = ("title", "heading")
_DEEPEST = 100  # levels of a metadata value


@dataclass(frozen=True, slots=True)
class RecordFields:
    """Which fields of a record are what; the others become metadata.

    :param id: field with the id; None tries `id` and `_id`, and makes one from the content without.
    :param text: field with the text; None tries `text`, `content`, `body` and `contents`.
    :param title: field with the title; None tries `title` and `heading`.
    """

    id: str | None = None
    text: str | None = None
    title: str | None = None


USUAL_FIELDS = RecordFields()


def record_document(record: Mapping[str, Any], fields: RecordFields, where: str) -> Document | None:
    """Turn a record into a document.

    :param record: field names to JSON-like values; a `metadata` object is merged with the remaining fields.
    :param fields: which field is what.
    :param where: file and line, for errors.
    :return: the document, or None where neither text nor title holds anything.
    :raises SourceError: if there is no text field, or none of a name that was given, or a value cannot be
        kept.
    """
    id_field, text_field, title_field = picked(record, fields)
    there = ", ".join(map(repr, record)) or "nothing"
    if fields.id is not None and id_field is None:
        raise SourceError(
            f"{where} has no field {fields.id!r} for its id, only {there}; "
            "name another with --id-field (RecordFields(id=…)), or none"
        )
    # A title alone will do where no text was asked for by name.
    if text_field is None and (title_field is None or fields.text is not None):
        expected = fields.text or ", ".join(_TEXT)
        raise SourceError(
            f"{where} has no text field ({expected}), only {there}; "
            "name the field with --text-field (RecordFields(text=…))"
        )
    text = _string(record, text_field, where)
    title = _string(record, title_field, where).strip()
    if not text.strip() and not title:
        return None
    given = record.get(id_field) if id_field is not None else None
    rest = {name: value for name, value in record.items() if name not in (text_field, title_field, id_field)}
    return Document(
        id=_id(given, where) if given not in (None, "") else content_id(title, text),
        text=text,
        title=title,
        metadata=_metadata(rest, where),
    )


def picked(names: Iterable[str], fields: RecordFields) -> tuple[str | None, str | None, str | None]:
    """Return the fields of a record with the id, the text and the title; None where there is none.

    :param names: the record's fields.
    :param fields: which were named.
    """
    there = list(names)
    lowered = {name.lower(): name for name in reversed(there)}
    return (
        _pick(there, lowered, fields.id, _ID),
        _pick(there, lowered, fields.text, _TEXT),
        _pick(there, lowered, fields.title, _TITLE),
    )


def json_value(value: Any, where: str, *, depth: int = 0) -> Any:
    """Turn a value into one that JSON has: dates become ISO 8601 strings, decimals numbers, NaN None.

    :param value: what a reader gave.
    :param where: file, line and field, for errors.
    :param depth: how deep it is nested in the field's value.
    :raises SourceError: if JSON has nothing for it, a string is no valid Unicode, an integer has more than
        64 bits, or it is nested too deeply.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise SourceError(f"{where} is an integer of more than 64 bits; write it as a string")
        return value
    if isinstance(value, str):
        return _valid(value, where)
    if depth > _DEEPEST:
        raise SourceError(f"{where} is nested too deeply; flatten it")
    if isinstance(value, Mapping):
        return {
            _valid(str(key), where): json_value(inner, where, depth=depth + 1) for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [json_value(inner, where, depth=depth + 1) for inner in value]
    return _converted(value, where)


def _converted(value: Any, where: str) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, UUID):
        return str(value)
    raise SourceError(f"{where} is a {type(value).__name__}, which JSON cannot hold; leave the field out")


def _pick(
    there: Sequence[str], names: Mapping[str, str], named: str | None, usual: tuple[str, ...]
) -> str | None:
    """Return the field to use: the one the user named, else the first usual one that is there."""
    if named is not None:
        return named if named in there else None
    return next((names[name] for name in usual if name in names), None)


def _string(record: Mapping[str, Any], field: str | None, where: str) -> str:
    value = record[field] if field is not None else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SourceError(f"the field {field!r} of {where} is a {type(value).__name__}; it must be a string")
    return _valid(value, f"the field {field!r} of {where}")


def _id(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise SourceError(
            f"the id of {where} is a {type(value).__name__}; it must be a string or a whole number"
        )
    return _valid(str(value), f"the id of {where}")


def _metadata(rest: Mapping[str, Any], where: str) -> dict[str, Any]:
    nested = rest.get("metadata")
    flat = (
        {**nested, **{k: v for k, v in rest.items() if k != "metadata"}}
        if isinstance(nested, Mapping)
        else rest
    )
    kept = {
        _valid(str(name), f"the name of the field {name!r} of {where}"): json_value(
            value, f"the field {name!r} of {where}"
        )
        for name, value in flat.items()
    }
    return {name: value for name, value in kept.items() if value is not None}


def _valid(text: str, where: str) -> str:
    """Refuse halves of characters, which JSON can spell and no file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SourceError(
            f"{where} holds a lone surrogate at character {error.start}, which is no valid Unicode; "
            "write the file again with a valid character there"
        ) from error
    return text
