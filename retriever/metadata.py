"""Metadata as the one JSON text that its content has, whatever the order of its keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from retriever.errors import InvalidInputError, InvalidTypeError

_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_SERIALIZE_NUMPY
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def metadata_json(metadata: Mapping[str, Any], id: str) -> str:
    """Return a document's metadata as canonical JSON: keys sorted, no spaces.

    :param id: the document's, for messages.
    :raises InvalidTypeError: if it is no JSON object.
    :raises InvalidInputError: if it holds NaN or infinity.
    """
    if not isinstance(metadata, Mapping) or not _has_string_keys(metadata):
        raise InvalidTypeError(
            f"the metadata of document {id!r} must be a mapping with string keys, "
            f"not {type(metadata).__name__}"
        )
    if not metadata:
        return "{}"
    try:
        written = orjson.dumps(metadata, default=_plain, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise InvalidTypeError(
            f"the metadata of document {id!r} is not JSON ({error}); "
            "use strings, numbers, booleans, None, lists and mappings with string keys"
        ) from error
    # NaN and infinity are written as null.
    if b"null" in written and not _is_finite(metadata):
        raise InvalidInputError(
            f"the metadata of document {id!r} cannot be stored; replace NaN and infinity by None"
        )
    return written.decode()


def _has_string_keys(metadata: Mapping[str, Any]) -> bool:
    # Almost always they are strings and nothing more, which is seen without asking one by one.
    return {str}.issuperset(map(type, metadata)) or all(isinstance(key, str) for key in metadata)


def _plain(value: Any) -> Any:
    """Return what is JSON in all but its class as what it is."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"a {type(value).__name__} is none")


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    try:
        return value is None or isinstance(value, str) or math.isfinite(value)
    except TypeError:  # an array, which only NumPy can look into
        return bool(np.isfinite(value).all())
