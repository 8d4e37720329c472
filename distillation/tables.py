"""Between a StaticEncoder and the bare float32 table that training works on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retriever.encoder import StaticEncoder


def token_rows(encoder: StaticEncoder) -> NDArray[np.float32]:
    """Return one row a token, with weights, scales and the mapping multiplied out.

    :param encoder: any.
    :return: float32 (tokens, encoder.dimensions), a copy.
    """
    parts = encoder._parts()
    rows: NDArray[np.float32] = parts.table.astype(np.float32)
    if parts.mapping is not None:
        rows = rows[parts.mapping]
    return rows if parts.weights is None else rows * parts.weights[:, None]


def with_rows(encoder: StaticEncoder, table: NDArray[np.float32]) -> StaticEncoder:
    """Return an encoder with the same tokenizer and other rows.

    :param encoder: gives tokenizer, position weights, length and whether vectors are normalised.
    :param table: float32 (tokens, d).
    :return: the encoder; the table is not copied.
    """
    return encoder._with(table, encoder._tokenizer, None, None)
