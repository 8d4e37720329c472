"""Texts to vectors: the mean of the tokens' rows in a table, normalised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tokenizers import Tokenizer

from rerank.cores import usable_cores
from rerank.well_formed import well_formed
from retriever.encoder.beside import MadeBeside
from retriever.encoder.coverage import VocabularyCoverage, measure_coverage
from retriever.encoder.formats import DEFAULT_MAX_LENGTH, ModelParts, read_model, resolve_folder, write_model
from retriever.encoder.own_words import appended, extended_tokenizer, known_names, pieces_of, rows_of_sums
from retriever.encoder.plain_pooling import Model, pool_plainly
from retriever.encoder.tables import (
    TableType,
    check_tokens,
    checked_position_weights,
    checked_table,
    quantized,
    read_only,
)
from retriever.encoder.tokens import Ids, private_copy, tokenize, unknown_id
from retriever.errors import InvalidInputError, InvalidTypeError, ModelError

if TYPE_CHECKING:
    from retriever.encoder.fast_path import FastPath

BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "models" / "encoder"
MEMORY_WORDS = 262_144  # more than the different words of 50,000 encyclopedia passages; 24 MB when full
_TOKENIZER_BLOCK = 1024  # texts handed to the tokenizer at a time, as many as model2vec does
_SLOW_CHARACTERS = 3e6  # that go the tokenizer's way in a second
_SLOW_CALL = 2e-4  # seconds, whatever the text
Vectors = NDArray[np.float32]


class StaticEncoder:
    """A table of token vectors with its tokenizer.

    Safe to use from many threads: nothing that `encode` returns depends on what other threads do.

    :param table: rows, shape (rows, dimensions), float32, float16 or int8; not copied.
    :param tokenizer: the tokenizer whose ids the rows belong to; its own padding and truncation are ignored.
    :param weights: factor of each token's row, shape (tokens,); for int8 it includes the row's scale.
    :param mapping: row of each token, shape (tokens,), for a quantized vocabulary; None: row = token id.
    :param position_weights: factor of a text's first, second, … token, shape (places,), the last for all that
        follow; None: a token counts alike wherever it stands.
    :param normalize: give vectors of length 1; False gives the plain mean.
    :param max_length: tokens kept of a text by default; None keeps all.
    :param memory_words: words whose tokens are remembered, rounded up to a power of two; 90 bytes each.
        When full it begins anew, which costs time and changes no result.
    :raises InvalidInputError: if shapes, dtypes or lengths do not fit each other.
    """

    def __init__(
        self,
        table: NDArray[Any],
        tokenizer: Tokenizer,
        *,
        weights: NDArray[np.float32] | None = None,
        mapping: NDArray[np.int32] | None = None,
        position_weights: NDArray[np.float32] | None = None,
        normalize: bool = True,
        max_length: int | None = DEFAULT_MAX_LENGTH,
        memory_words: int = MEMORY_WORDS,
    ) -> None:
        parts = ModelParts(
            table, private_copy(tokenizer), weights, mapping, position_weights, normalize, max_length
        )
        self._set_up(parts, memory_words)

    def _set_up(self, parts: ModelParts, memory_words: int) -> None:
        """Check all parts and take them over, the tokenizer too."""
        self._table = checked_table(parts.table)
        self._tokenizer = parts.tokenizer
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        check_tokens(self._table, self._tokenizer, vocabulary, parts.weights, parts.mapping)
        weights, mapping = parts.weights, parts.mapping
        self._weights = None if weights is None else read_only(weights.astype(np.float32, copy=False))
        self._mapping = None if mapping is None else read_only(mapping.astype(np.int32, copy=False))
        self._position_weights = checked_position_weights(parts.position_weights)
        self._unknown_id = unknown_id(self._tokenizer)
        self._normalize = parts.normalize
        self._max_length = _checked_at_least_1("max_length", parts.max_length)
        self._dimensions = int(self._table.shape[1])
        self._memory_words = _checked_at_least_1("memory_words", memory_words) or MEMORY_WORDS
        # Shared with those truncated from this one.
        make = partial(
            _make_fast_path, self._tokenizer, vocabulary, self._unknown_id, self._model(), self._memory_words
        )
        self._fast = MadeBeside(make, "retriever.encoder.kernels")

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
        parts = replace(read_model(folder), normalize=normalize)
        # Nobody else has this tokenizer, and to copy it would take longer than all the rest.
        parts.tokenizer.no_padding()
        parts.tokenizer.no_truncation()
        encoder = cls.__new__(cls)
        try:
            encoder._set_up(parts, MEMORY_WORDS)
        except InvalidInputError as error:
            raise ModelError(f"{folder}: {error}") from error
        return encoder

    def __repr__(self) -> str:
        extra = "" if self._position_weights is None else ", position weights"
        return f"StaticEncoder({len(self._table)} rows, {self._dimensions} dimensions{extra})"

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return self._dimensions

    @property
    def max_length(self) -> int | None:
        """Tokens kept of a text by default; None keeps all."""
        return self._max_length

    @property
    def position_weights(self) -> NDArray[np.float32] | None:
        """Factor of a text's first, second, … token, the last for all that follow; None: all count alike."""
        return self._position_weights

    @property
    def tokenizer(self) -> Tokenizer:
        """A copy of the tokenizer, without padding and truncation."""
        return private_copy(self._tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides about the vectors: 32 hexadecimal digits."""
        digest = hashlib.sha256(self._tokenizer.to_str().encode())
        digest.update(f"{self._dimensions} {self._normalize} {self._max_length} {self._table.dtype}".encode())
        parts = self._parts()
        for part in (parts.table, parts.weights, parts.mapping, parts.position_weights):
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
        limit = self._limit(max_length)
        if isinstance(texts, str):
            vector: Vectors = self._encode([texts], limit, 1)[0]
            return vector
        return self._encode(_checked_texts(texts), limit, _checked_threads(threads))

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
        :raises InvalidInputError: if a number is below 1.
        """
        _checked_at_least_1("block_texts", block_texts)
        source = iter(texts)
        while block := list(islice(source, block_texts)):
            yield self.encode(block, max_length=max_length, threads=threads)

    def tokenize(self, texts: Sequence[str], *, max_length: int | None = None) -> list[Ids]:
        """Return the token ids that `encode` takes the mean of.

        :param texts: the texts.
        :param max_length: as in `encode`.
        :return: int32 ids of each text: the tokenizer's, without special and unknown ones.
        :raises InvalidTypeError: if something is not a string.
        """
        texts, limit = _checked_texts(texts), self._limit(max_length)
        if not len(texts):
            return []
        tokens, _, left = self._tokenize_fast(texts, limit)
        ids, starts, _ = self._ask_tokenizer([texts[row] for row in left], limit)
        for position, row in enumerate(left):
            tokens[row] = ids[starts[position] : starts[position + 1]]
        return tokens

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Count the tokens of each text, unknown ones included, special ones not, uncut.

        :param texts: the texts.
        :return: counts, shape (texts,).
        :raises InvalidTypeError: if something is not a string.
        """
        texts = _checked_texts(texts)
        if not len(texts):
            return np.zeros(0, dtype=np.int64)
        _, counts, left = self._tokenize_fast(texts, None)
        if left:
            counts[left] = self._ask_tokenizer([texts[row] for row in left], None)[2]
        return counts

    def compile(self) -> None:
        """Wait for the compiled code that makes `encode` fast.

        Otherwise it is made beside other calls once there is much to encode, in seconds on a machine that has
        never done so; until it is there, texts go the tokenizer's way, to the same vectors. A server may call
        this before it answers, and a program before it forks, which would wait for it.
        """
        self._fast.wait()

    def __deepcopy__(self, memo: object) -> StaticEncoder:
        return self  # it never changes

    def truncate(self, dimensions: int) -> StaticEncoder:
        """Keep the leading dimensions (Matryoshka); the table is shared, not copied.

        :param dimensions: how many, at most the encoder's own.
        :return: an encoder with shorter vectors, renormalised.
        :raises InvalidInputError: if `dimensions` is out of range.
        """
        if not 1 <= dimensions <= self._dimensions:
            raise InvalidInputError(f"dimensions must be from 1 to {self._dimensions}, not {dimensions}")
        shorter = object.__new__(type(self))
        shorter.__dict__.update({key: value for key, value in self.__dict__.items() if key != "fingerprint"})
        shorter._dimensions = dimensions
        return shorter

    def quantize(self, dtype: TableType) -> StaticEncoder:
        """Store the table in another type; vectors are computed in float32 all the same.

        :param dtype: "float32", "float16", or "int8" with one scale a row.
        :return: an encoder with the new table.
        :raises InvalidInputError: if the type is unknown.
        """
        table, weights = quantized(self._table[:, : self._dimensions], self._weights, self._mapping, dtype)
        return self._with(table, self._tokenizer, weights, self._mapping)

    def with_position_weights(self, weights: ArrayLike | None) -> StaticEncoder:
        """Let a token count by its place in the text.

        What a text is about tends to stand at its beginning.

        :param weights: factor of the first, second, … token, shape (places,), the last for all that follow;
            None lets all count alike.
        :return: an encoder with these weights.
        :raises InvalidTypeError: if they are no numbers.
        :raises InvalidInputError: if there is no weight, or one is not from 1e-6 to 1e6.

        >>> from rerank.position_weights import position_weights
        >>> encoder = StaticEncoder.load().with_position_weights(position_weights(8.0))
        """
        table, tokenizer = self._table[:, : self._dimensions], self._tokenizer
        return self._with(table, tokenizer, self._weights, self._mapping, position_weights=weights)

    def with_vocabulary(
        self, words: Iterable[str], *, vectors: NDArray[np.float32] | None = None
    ) -> StaticEncoder:
        """Give words rows of their own.

        Without vectors a word's row is the sum of its pieces' rows, so that texts keep their vectors until
        the rows are trained (but for position weights, which change behind such a word). Words that are one
        token already are left as they are.

        :param words: whole words, without spaces and punctuation.
        :param vectors: a row for each word, shape (words, dimensions).
        :return: an encoder with a longer table.
        :raises InvalidInputError: if the tokenizer splits a word, or `vectors` has another shape.
        """
        wanted = [well_formed(word) for word in words]
        given = None if vectors is None else np.asarray(vectors, dtype=np.float32)
        if given is not None and given.shape != (len(wanted), self._dimensions):
            raise InvalidInputError(
                f"vectors must have shape ({len(wanted)}, {self._dimensions}), not {given.shape}"
            )
        pieces = pieces_of(self._tokenizer, wanted)
        # A word given twice gets the vector that was given first.
        places = {
            name: place for place, name in reversed(list(enumerate(known_names(self._tokenizer, wanted))))
        }
        new = sorted(
            place
            for place in places.values()
            if len(pieces[place]) != 1 or pieces[place] == [self._unknown_id]
        )
        table = self._table[:, : self._dimensions]
        rows = (
            rows_of_sums(table, self._weights, self._mapping, [self._known(pieces[place]) for place in new])
            if given is None
            else given[new]
        )
        tokenizer = extended_tokenizer(self._tokenizer, [wanted[place] for place in new])
        longer, weights, mapping = appended(table, self._weights, self._mapping, rows)
        return self._with(longer, tokenizer, weights, mapping)

    def coverage(self, corpus: Iterable[str], *, top: int = 50) -> VocabularyCoverage:
        """Report how well the vocabulary covers a corpus.

        :param corpus: texts, read once.
        :param top: words listed that fall into three or more pieces.
        :return: shares, means, those words, and what adding them with `with_vocabulary` would cost.
        :raises InvalidInputError: if `top` is below 1.
        """
        _checked_at_least_1("top", top)
        row_bytes = self._dimensions * self._table.itemsize + (0 if self._weights is None else 4)
        return measure_coverage(self._tokenizer, self._unknown_id, corpus, row_bytes=row_bytes, top=top)

    def save(self, path: str | Path) -> None:
        """Write a folder that this project, model2vec and, unless it is int8, sentence-transformers load.

        The other two know nothing of position weights: there, vectors are the plain mean.

        :param path: the folder; made where it does not exist.
        """
        write_model(Path(path), self._parts())

    def _encode(self, texts: Sequence[str], limit: int | None, threads: int) -> Vectors:
        """Encode the fast way what can be, and the rest through the tokenizer."""
        vectors = np.empty((len(texts), self._dimensions), dtype=np.float32)
        first, work = 0, _work(texts)
        while first < len(texts):
            fast = self._fast.get(work)
            if fast is not None:
                self._encode_fast(fast, texts[first:], limit, threads, vectors[first:])
                break
            block = texts[first : first + _TOKENIZER_BLOCK]
            ids, starts, _ = self._ask_tokenizer(block, limit)
            pool_plainly(self._model(), ids, starts, self._normalize, vectors[first : first + len(block)])
            first += len(block)
        return vectors

    def _encode_fast(
        self, fast: FastPath, texts: Sequence[str], limit: int | None, threads: int, vectors: Vectors
    ) -> None:
        """Encode with compiled code, which may leave some texts to the tokenizer."""
        left = fast.encode(texts, limit, self._normalize, threads, vectors)
        for first in range(0, len(left), _TOKENIZER_BLOCK):
            rows = left[first : first + _TOKENIZER_BLOCK]
            ids, starts, _ = self._ask_tokenizer([texts[row] for row in rows], limit)
            fast.pool(ids, starts, self._normalize, rows, vectors)

    def _tokenize_fast(
        self, texts: Sequence[str], limit: int | None
    ) -> tuple[list[Ids], NDArray[np.int64], list[int]]:
        """Return known ids and numbers of tokens, and the positions of texts left to the tokenizer."""
        fast = self._fast.get(_work(texts))
        if fast is not None:
            return fast.tokenize(texts, limit, _checked_threads(None))
        empty = [np.empty(0, dtype=np.int32)] * len(texts)
        return empty, np.zeros(len(texts), dtype=np.int64), list(range(len(texts)))

    def _ask_tokenizer(
        self, texts: Sequence[str], limit: int | None
    ) -> tuple[Ids, NDArray[np.int64], NDArray[np.int64]]:
        """Return all known tokens, where each text's begin, and each text's number with unknown ones."""
        ids, starts = tokenize(self._tokenizer, [well_formed(text) for text in texts], limit)
        counts = np.diff(starts)
        if self._unknown_id is not None:
            known = ids != self._unknown_id
            starts = np.concatenate(([0], np.cumsum(known, dtype=np.int64)))[starts]
            ids = ids[known]
        return ids, starts, counts

    def _model(self) -> Model:
        """Return what vectors are made of."""
        return self._table, self._weights, self._mapping, self._position_weights

    def _known(self, ids: list[int]) -> list[int]:
        """Return the ids without the unknown one."""
        return [token for token in ids if token != self._unknown_id]

    def _limit(self, max_length: int | None) -> int | None:
        """Return the number of tokens kept."""
        return self._max_length if max_length is None else _checked_at_least_1("max_length", max_length)

    def _parts(self) -> ModelParts:
        """Return what is saved; unknown tokens weigh nothing, as sentence-transformers does not drop them."""
        table, weights = self._table[:, : self._dimensions], self._weights
        if self._unknown_id is not None:
            if weights is not None:
                weights = weights.copy()
                weights[self._unknown_id] = 0
            elif self._mapping is None:
                table = table.copy()
                table[self._unknown_id] = 0
        return ModelParts(
            table,
            self._tokenizer,
            weights,
            self._mapping,
            self._position_weights,
            self._normalize,
            self._max_length,
        )

    def _with(
        self,
        table: NDArray[Any],
        tokenizer: Tokenizer,
        weights: NDArray[np.float32] | None,
        mapping: NDArray[np.int32] | None,
        **changed: Any,
    ) -> StaticEncoder:
        """Return an encoder with the same settings, but for those that are given."""
        settings = {"position_weights": self._position_weights} | changed
        return type(self)(
            table,
            tokenizer,
            weights=weights,
            mapping=mapping,
            **settings,
            normalize=self._normalize,
            max_length=self._max_length,
            memory_words=self._memory_words,
        )


def _make_fast_path(
    tokenizer: Tokenizer, vocabulary: dict[str, int], unknown: int | None, model: Model, memory_words: int
) -> FastPath:
    """Make the compiled half; not at import, as numba's takes longer than a search."""
    from retriever.encoder.fast_path import FastPath

    table, weights, mapping, places = model
    seen = table.view(np.uint16) if table.dtype == np.float16 else table
    fast = FastPath(tokenizer, vocabulary, unknown, (seen, weights, mapping, places), memory_words)
    fast.compile()
    return fast


def _work(texts: Sequence[str]) -> float:
    """Return about how many seconds it takes to encode texts without compiled code."""
    return _SLOW_CALL + sum(map(len, texts)) / _SLOW_CHARACTERS


def _checked_at_least_1(name: str, value: int | None) -> int | None:
    """Return a number that can be used, or None."""
    if value is not None and value < 1:
        raise InvalidInputError(f"{name} must be at least 1, not {value}")
    return value


def _checked_threads(threads: int | None) -> int:
    """Return the number of threads to use."""
    return _checked_at_least_1("threads", threads) or usable_cores()


def _checked_texts(texts: Any) -> Sequence[str]:
    """Return a list of strings, or raise."""
    if isinstance(texts, np.ndarray) and texts.ndim == 1:
        texts = texts.tolist()
    if isinstance(texts, bytes | bytearray) or not isinstance(texts, Sequence):
        raise InvalidTypeError(
            f"texts must be a string or a sequence of strings, not {type(texts).__name__}; "
            "give generators to encode_stream"
        )
    if any(kind is not str and not issubclass(kind, str) for kind in set(map(type, texts))):
        index, text = next((place, text) for place, text in enumerate(texts) if not isinstance(text, str))
        raise InvalidTypeError(f"text {index} is a {type(text).__name__}, not a string")
    return texts
