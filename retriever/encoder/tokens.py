"""Texts to token ids through the `tokenizers` library: the reference that every faster way must equal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Ids = NDArray[np.int32]


def private_copy(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy that neither pads nor cuts, whatever the caller does to the original.

    :param tokenizer: any tokenizer.
    :return: the copy.
    """
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id that stands for text outside the vocabulary, or None where the model has none.

    :param tokenizer: any tokenizer.
    :return: the id that model2vec drops too.
    """
    if hasattr(tokenizer.model, "unk_token"):  # WordPiece, BPE, WordLevel
        token = tokenizer.model.unk_token
        return None if token is None else tokenizer.token_to_id(token)
    unknown = json.loads(tokenizer.to_str())["model"].get("unk_id")  # Unigram
    return None if unknown is None else int(unknown)


def tokenize(
    tokenizer: Tokenizer, texts: Sequence[str], max_length: int | None
) -> tuple[Ids, NDArray[np.int64]]:
    """Tokenize without special tokens.

    :param tokenizer: one that neither pads nor cuts.
    :param texts: well-formed texts.
    :param max_length: tokens kept of each text; None keeps all.
    :return: all ids in a row, shape (tokens,), and where each text begins in them, shape (texts + 1,).
    """
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    rows = [encoding.ids[:max_length] for encoding in encodings]
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=starts[1:])
    return np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(starts[-1])), starts
