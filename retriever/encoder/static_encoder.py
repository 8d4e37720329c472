"""Texts to vectors: the mean of the tokens' rows in a table, normalised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retriever.encoder.formats import DEFAULT_MAX_LENGTH, ModelParts, read_model, resolve_folder, write_model
from retriever.encoder.tokens import private_copy, tokenize, unknown_id, well_formed
from retriever.errors import InvalidInputError, InvalidTypeError, ModelError

BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "models" / "encoder"
Vectors = NDArray[np.float32]


class StaticEncoder:
    """A table of token vectors with its tokenizer.

    Safe to use from many threads: nothing that `encode` returns depends on what other threads do.

    :param table: rows, shape (rows, dimensions), float32, float16 or int8; not copied.
    :param tokenizer: the tokenizer whose ids the rows belong to; its own padding and truncation are ignored.
    :param weights: factor of each token's row, shape (tokens,); for int8 it includes the row's scale.
    :param mapping: row of each token, shape (tokens,), for a quantized vocabulary; None: row = token id.
    :param normalize: give vectors of length 1; False gives the plain mean.
    :param max_length: tokens kept of a text by default; None keeps all.
    :raises InvalidInputError: if shapes, dtypes or lengths do not fit each other.
    """

    def __init__(
        self,
        table: NDArray[Any],
        tokenizer: Tokenizer,
        *,
        weights: NDArray[np.float32] | None = None,
        mapping: NDArray[np.int32] | None = None,
        normalize: bool = True,
        max_length: int | None = DEFAULT_MAX_LENGTH,
    ) -> None:
        self._table = _checked_table(table)
        self._tokenizer = private_copy(tokenizer)
        _check_tokens(self._table, self._tokenizer, weights, mapping)
        self._weights, self._mapping = weights, mapping
        self._unknown_id = unknown_id(self._tokenizer)
        self.normalize = normalize
        self.max_length = _checked_length(max_length)
        self.dimensions: int = int(self._table.shape[1])

    @classmethod
    def load(cls, path_or_hub_id: str | Path | None = None, *, normalize: bool = True) -> StaticEncoder:
        """Load a model2vec or sentence-transformers static model.

        :param path_or_hub_id: a folder or a hub id; None or "bundled" is the one in this package.
        :param normalize: give vectors of length 1, whatever the folder says.
        :return: the encoder; its table is memory-mapped, so that processes share it.
        :raises ModelNotFoundError: if neither a folder nor a hub id has this name.
        :raises ModelError: if the folder is incomplete, damaged or of another kind.
        """
        bundled = path_or_hub_id is None or path_or_hub_id == "bundled"
        folder = BUNDLED_FOLDER if bundled else resolve_folder(path_or_hub_id or "")
        parts = read_model(folder)
        try:
            return cls(
                parts.table,
                parts.tokenizer,
                weights=parts.weights,
                mapping=parts.mapping,
                normalize=normalize,
                max_length=parts.max_length,
            )
        except InvalidInputError as error:
            raise ModelError(f"{folder}: {error}") from error

    @property
    def tokenizer(self) -> Tokenizer:
        """A copy of the tokenizer, without padding and truncation."""
        return private_copy(self._tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides about the vectors: 32 hexadecimal digits."""
        digest = hashlib.sha256(self._tokenizer.to_str().encode())
        digest.update(f"{self.dimensions} {self.normalize} {self.max_length} {self._table.dtype}".encode())
        digest.update(np.ascontiguousarray(self._zeroed_table()[:, : self.dimensions]).data)
        for part in (self._zeroed_weights(), self._mapping):
            digest.update(b"none" if part is None else np.ascontiguousarray(part).data)
        return digest.hexdigest()[:32]

    def encode(
        self, texts: str | Sequence[str], *, max_length: int | None = None, threads: int | None = None
    ) -> Vectors:
        """Turn texts into vectors.

        A text without a known token gets zeros. Lone surrogates are read as U+FFFD.

        :param texts: one text or a sequence of them.
        :param max_length: tokens kept of each text; None is the model's own length.
        :param threads: threads used; None takes all processors. The result is the same bit for bit.
        :return: float32, shape (dimensions,) for one text, (texts, dimensions) for a sequence.
        :raises InvalidTypeError: if something is not a string.
        :raises InvalidInputError: if `max_length` or `threads` is below 1.
        """
        length = self.max_length if max_length is None else _checked_length(max_length)
        if isinstance(texts, str):
            return self._encode_block([texts], length)[0]
        return self._encode_block(_checked_texts(texts), length)

    def encode_stream(
        self,
        texts: Iterable[str],
        *,
        max_length: int | None = None,
        threads: int | None = None,
        block_texts: int = 4096,
    ) -> Iterator[Vectors]:
        """Encode any iterable, also one larger than memory.

        :param texts: read as needed, never held whole.
        :param max_length: as in `encode`.
        :param threads: as in `encode`.
        :param block_texts: texts held at a time.
        :return: blocks of vectors in order, each of shape (up to block_texts, dimensions).
        :raises InvalidTypeError: if something is not a string.
        """
        source = iter(texts)
        while block := list(islice(source, block_texts)):
            yield self.encode(block, max_length=max_length, threads=threads)

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Count the tokens of each text, unknown ones included, special ones not, uncut.

        :param texts: the texts.
        :return: counts, shape (texts,).
        :raises InvalidTypeError: if something is not a string.
        """
        _, starts = tokenize(self._tokenizer, [well_formed(text) for text in _checked_texts(texts)], None)
        return np.diff(starts)

    def truncate(self, dimensions: int) -> StaticEncoder:
        """Keep the leading dimensions (Matryoshka); the table is shared, not copied.

        :param dimensions: how many, at most the encoder's own.
        :return: an encoder with shorter vectors, renormalised.
        :raises InvalidInputError: if `dimensions` is out of range.
        """
        if not 1 <= dimensions <= self.dimensions:
            raise InvalidInputError(f"dimensions must be from 1 to {self.dimensions}, not {dimensions}")
        shorter = object.__new__(type(self))
        shorter.__dict__.update({key: value for key, value in self.__dict__.items() if key != "fingerprint"})
        shorter.dimensions = dimensions
        return shorter

    def save(self, path: str | Path) -> None:
        """Write a folder that this project, model2vec and sentence-transformers load.

        :param path: the folder; made where it does not exist.
        """
        write_model(
            Path(path),
            ModelParts(
                table=self._zeroed_table()[:, : self.dimensions],
                tokenizer=self._tokenizer,
                weights=self._zeroed_weights(),
                mapping=self._mapping,
                normalize=self.normalize,
                max_length=self.max_length,
            ),
        )

    def _zeroed_weights(self) -> NDArray[np.float32] | None:
        """Return the weights with the unknown token's set to 0: sentence-transformers does not drop it."""
        if self._weights is None or self._unknown_id is None:
            return self._weights
        weights = self._weights.copy()
        weights[self._unknown_id] = 0.0
        return weights

    def _zeroed_table(self) -> NDArray[Any]:
        """Return the table with the unknown token's row set to 0 where no weight can do it."""
        if self._weights is not None or self._mapping is not None or self._unknown_id is None:
            return self._table
        table = self._table.copy()
        table[self._unknown_id] = 0
        return table

    def _encode_block(self, texts: Sequence[str], max_length: int | None) -> Vectors:
        """Encode through the tokenizer."""
        ids, starts = tokenize(self._tokenizer, [well_formed(text) for text in texts], max_length)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for index in range(len(texts)):
            row = ids[starts[index] : starts[index + 1]]
            known = row if self._unknown_id is None else row[row != self._unknown_id]
            if len(known):
                rows = known if self._mapping is None else self._mapping[known]
                values = self._table[rows, : self.dimensions].astype(np.float32)
                if self._weights is not None:
                    values *= self._weights[known][:, None]
                vectors[index] = values.mean(axis=0)
        if self.normalize:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + np.float32(1e-32)
        return vectors


def _checked_table(table: NDArray[Any]) -> NDArray[Any]:
    """Return the table where its shape and dtype can be used."""
    if table.ndim != 2 or 0 in table.shape:
        raise InvalidInputError(f"the table must have shape (rows, dimensions), not {table.shape}")
    if table.dtype not in (np.float32, np.float16, np.int8):
        raise InvalidInputError(f"the table is {table.dtype}; convert it to float32, float16 or int8")
    return table


def _check_tokens(
    table: NDArray[Any],
    tokenizer: Tokenizer,
    weights: NDArray[np.float32] | None,
    mapping: NDArray[np.int32] | None,
) -> None:
    """Raise where a token would have no row, weight or mapping."""
    tokens = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    for name, part in (("weights", weights), ("mapping", mapping)):
        if part is not None and part.shape != (tokens,):
            raise InvalidInputError(f"{name} must have shape ({tokens},), one a token, not {part.shape}")
    if mapping is None and len(table) != tokens:
        raise InvalidInputError(
            f"the tokenizer has {tokens} tokens and the table {len(table)} rows: they belong to different models"
        )
    if mapping is not None and not (0 <= mapping.min() and mapping.max() < len(table)):
        raise InvalidInputError(f"mapping points outside the table's {len(table)} rows")


def _checked_length(max_length: int | None) -> int | None:
    """Return a usable number of tokens."""
    if max_length is not None and max_length < 1:
        raise InvalidInputError(f"max_length must be at least 1 token, not {max_length}")
    return max_length


def _checked_texts(texts: Sequence[str]) -> Sequence[str]:
    """Raise unless every text is a string."""
    if isinstance(texts, bytes | bytearray) or not isinstance(texts, Sequence):
        if isinstance(texts, np.ndarray) and texts.ndim == 1:
            return _checked_texts(texts.tolist())
        raise InvalidTypeError(
            f"texts must be a string or a sequence of strings, not {type(texts).__name__}; "
            "give generators to encode_stream"
        )
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidTypeError(f"text {index} is a {type(text).__name__}, not a string")
    return texts
