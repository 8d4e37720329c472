"""Token tables: what may be one, and how to store one in 8 or 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Tokenizer

from retriever.errors import InvalidInputError, InvalidTypeError

TableType = Literal["float32", "float16", "int8"]
INT8_LARGEST = 127  # symmetric: -128 is not used
_ROWS_AT_A_TIME = 8192
_LEAST_WEIGHT = 1e-6  # of a place: sums stay far from the ends of float32


def checked_table(table: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view of a table that can be used.

    :param table: any array.
    :return: a view with adjacent dimensions; a copy only where they are not adjacent.
    :raises InvalidInputError: if shape or dtype are wrong.
    """
    if table.ndim != 2 or 0 in table.shape:
        raise InvalidInputError(f"the table must have shape (rows, dimensions), not {table.shape}")
    if table.dtype not in (np.float32, np.float16, np.int8):
        raise InvalidInputError(f"the table is {table.dtype}; convert it to float32, float16 or int8")
    return read_only(table)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a contiguous view that cannot be written to.

    :param array: any array; copied only where it is not contiguous.
    :return: the view.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def checked_position_weights(weights: ArrayLike | None) -> NDArray[np.float32] | None:
    """Return a read-only copy of position weights that can be used.

    :param weights: any array of numbers, or None.
    :return: float32; None stays None.
    :raises InvalidTypeError: if they are no numbers.
    :raises InvalidInputError: if it has another shape than (places,), or values that give no mean.
    """
    if weights is None:
        return None
    try:
        values = np.array(weights)
    except ValueError:  # rows of different lengths
        values = np.array(None)
    if values.dtype.kind not in "fiu":
        raise InvalidTypeError("position_weights must be numbers, one a place")
    if values.ndim != 1 or not values.size:
        raise InvalidInputError(
            f"position_weights must have shape (places,), at least one place, not {values.shape}"
        )
    if not ((values >= _LEAST_WEIGHT) & (values <= 1 / _LEAST_WEIGHT)).all():
        raise InvalidInputError("position_weights must be from 1e-6 to 1e6; the first is usually 1")
    return read_only(values.astype(np.float32))


def check_tokens(
    table: NDArray[Any],
    tokenizer: Tokenizer,
    vocabulary: Mapping[str, int],
    weights: NDArray[np.float32] | None,
    mapping: NDArray[np.int32] | None,
) -> None:
    """Check that every token has a row, a weight and a mapping.

    :param table: rows.
    :param tokenizer: whose ids they belong to.
    :param vocabulary: of its model.
    :param weights: one a token, or None.
    :param mapping: one a token, or None.
    :raises InvalidInputError: if something does not fit.
    """
    added = tokenizer.get_added_tokens_decoder()
    tokens = max(max(vocabulary.values(), default=-1), max(added, default=-1)) + 1
    for name, part in (("weights", weights), ("mapping", mapping)):
        if part is not None and part.shape != (tokens,):
            raise InvalidInputError(f"{name} must have shape ({tokens},), one a token, not {part.shape}")
    if mapping is None and len(table) != tokens:
        raise InvalidInputError(
            f"the tokenizer has {tokens} tokens and the table {len(table)} rows: "
            "they belong to different models"
        )
    if mapping is not None and (mapping.min() < 0 or mapping.max() >= len(table)):
        raise InvalidInputError(f"mapping points outside the table's {len(table)} rows")


def quantized(
    table: NDArray[Any],
    weights: NDArray[np.float32] | None,
    mapping: NDArray[np.int32] | None,
    dtype: TableType,
) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
    """Store a table in another type.

    int8 takes one scale a row, its largest absolute value over 127, which becomes part of the weights:
    model2vec multiplies them in too. The other types take the weights into the rows where they can.

    :param table: rows.
    :param weights: factor of each token, or None.
    :param mapping: row of each token, or None.
    :param dtype: the type wanted.
    :return: the new table and the new weights.
    :raises InvalidInputError: if the type is unknown.
    """
    if dtype in ("float32", "float16"):
        if weights is None or mapping is not None:
            return table.astype(dtype), weights
        return (table.astype(np.float32) * weights[:, None]).astype(dtype), None
    if dtype != "int8":
        raise InvalidInputError(f"unknown table type {dtype!r}; use 'float32', 'float16' or 'int8'")
    if table.dtype == np.int8:
        return table, weights
    scales = np.empty(len(table), dtype=np.float32)
    small = np.empty(table.shape, dtype=np.int8)
    for first in range(0, len(table), _ROWS_AT_A_TIME):
        rows = table[first : first + _ROWS_AT_A_TIME].astype(np.float32)
        scale = np.abs(rows).max(axis=1) / np.float32(INT8_LARGEST)
        scales[first : first + _ROWS_AT_A_TIME] = scale
        divisor = np.where(scale > 0, scale, np.float32(1))[:, None]
        small[first : first + _ROWS_AT_A_TIME] = np.rint(rows / divisor)
    factors = scales if mapping is None else scales[mapping]
    return small, factors if weights is None else factors * weights
