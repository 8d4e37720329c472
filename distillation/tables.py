"""Between a StaticEncoder and the bare float32 table that training works on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retriever.encoder import StaticEncoder


def token_rows(encoder: StaticEncoder) -> NDArray[np.float32]:
    """Return one row a token, with weights, scales and the mapping multiplied out.

    :param encoder: any.
    :return: float32 (tokens, encoder.dimensions), a copy.
    """
    table = encoder._table[:, : encoder.dimensions].astype(np.float32)
    if encoder._mapping is not None:
        table = table[encoder._mapping]
    if encoder._weights is not None:
        table = table * encoder._weights[:, None]
    return table


def with_rows(encoder: StaticEncoder, table: NDArray[np.float32]) -> StaticEncoder:
    """Return an encoder with the same tokenizer and other rows.

    :param encoder: gives tokenizer, length and whether vectors are normalised.
    :param table: float32 (tokens, d).
    :return: the encoder; the table is not copied.
    """
    return StaticEncoder(table, encoder.tokenizer, normalize=encoder.normalize, max_length=encoder.max_length)


def silent_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids that never count in a mean: the unknown token.

    :param tokenizer: any.
    :return: at most one id.
    """
    unknown = getattr(tokenizer.model, "unk_token", None)
    found = tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None
    return [] if found is None else [found]
