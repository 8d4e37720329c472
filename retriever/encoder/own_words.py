"""Own words in the vocabulary: a word that falls into pieces gets a row of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer

from retriever.encoder.tables import INT8_LARGEST
from retriever.errors import InvalidInputError


def pieces_of(tokenizer: Tokenizer, words: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each word.

    :param tokenizer: one that neither pads nor cuts.
    :param words: words as they stand in a text.
    :return: ids, unknown ones included.
    """
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(words), add_special_tokens=False)]


def extended_tokenizer(tokenizer: Tokenizer, words: Sequence[str]) -> Tokenizer:
    """Return a tokenizer that knows more whole words; their ids follow the present ones in order.

    :param tokenizer: any tokenizer.
    :param words: new words, each once.
    :return: the longer tokenizer.
    :raises InvalidInputError: if the tokenizer splits a word before it looks at the vocabulary.
    """
    config = json.loads(tokenizer.to_str())
    first = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    if config["model"]["type"] != "WordPiece":
        # Other models would use a new piece inside other words too.
        longer = Tokenizer.from_str(tokenizer.to_str())
        longer.add_tokens(
            [AddedToken(word, single_word=True, lstrip=True, normalized=True) for word in words]
        )
        return longer
    for number, name in enumerate(known_names(tokenizer, words)):
        config["model"]["vocab"][name] = first + number
    return Tokenizer.from_str(json.dumps(config))


def known_names(tokenizer: Tokenizer, words: Sequence[str]) -> list[str]:
    """Return how words would stand in the vocabulary.

    :param tokenizer: any tokenizer.
    :param words: as they stand in a text.
    :return: as the tokenizer normalizes them.
    :raises InvalidInputError: if a WordPiece tokenizer makes several words of one, or none.
    """
    whole = json.loads(tokenizer.to_str())["model"]["type"] == "WordPiece"
    names = []
    for word in words:
        text = tokenizer.normalizer.normalize_str(word) if tokenizer.normalizer else word
        parts = [text]
        if whole and tokenizer.pre_tokenizer:
            parts = [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        if len(parts) != 1 or not parts[0].strip():
            raise InvalidInputError(
                f"{word!r} is not one word for this tokenizer but {len(parts)} "
                f"({', '.join(map(repr, parts))}); give words without spaces and punctuation"
            )
        names.append(parts[0])
    return names


def rows_of_sums(
    table: NDArray[Any],
    weights: NDArray[np.float32] | None,
    mapping: NDArray[np.int32] | None,
    pieces: Sequence[Sequence[int]],
) -> NDArray[np.float32]:
    """Return for each word the sum of its pieces' rows: in a text it counts as its pieces did.

    :param table: rows.
    :param weights: factor of each token, or None.
    :param mapping: row of each token, or None.
    :param pieces: known token ids of each word.
    :return: shape (words, dimensions).
    """
    sums = np.zeros((len(pieces), table.shape[1]), dtype=np.float32)
    for word, ids in enumerate(pieces):
        for token in ids:
            row = table[token if mapping is None else mapping[token]].astype(np.float32)
            sums[word] += row if weights is None else row * weights[token]
    return sums


def appended(
    table: NDArray[Any],
    weights: NDArray[np.float32] | None,
    mapping: NDArray[np.int32] | None,
    rows: NDArray[np.float32],
) -> tuple[NDArray[Any], NDArray[np.float32] | None, NDArray[np.int32] | None]:
    """Append rows for new tokens, in the table's own type.

    :param table: rows.
    :param weights: factor of each token, or None.
    :param mapping: row of each token, or None.
    :param rows: float32, shape (new tokens, dimensions).
    :return: the longer table, weights and mapping.
    """
    factors = np.ones(len(rows), dtype=np.float32)
    if table.dtype == np.int8:
        largest = np.abs(rows).max(axis=1, initial=0)
        factors = np.where(largest > 0, largest / INT8_LARGEST, 1).astype(np.float32)
        rows = np.rint(rows / factors[:, None])
        tokens = len(table) if mapping is None else len(mapping)
        weights = np.ones(tokens, dtype=np.float32) if weights is None else weights
    longer = np.concatenate((table, rows.astype(table.dtype)))
    if weights is not None:
        weights = np.concatenate((weights, factors))
    if mapping is not None:
        mapping = np.concatenate((mapping, np.arange(len(table), len(longer), dtype=np.int32)))
    return longer, weights, mapping
