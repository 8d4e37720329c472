"""The memory of words: a word is cut into tokens once and then looked up.

It is shared by all threads without a lock on the reading side: a slot is published by one atomic store
after all that belongs to it, and never changed. Writers take turns. A full memory is replaced by an
empty one; whoever still reads the old one reads right things. What is in it never changes a result.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retriever.encoder.plain_text import Rules, WordPieces
from retriever.encoder.tokens import tokenize
from retriever.encoder.word_kernels import learn_words, remember_words

_LONGEST_WORD = 100  # characters; longer ones are left to the tokenizer
_PADDING = b" " * 80  # the kernels read whole windows
_KEY_BYTES_A_WORD = 16  # words of up to 16 bytes need none, so this is plenty
_PIECES_A_WORD = 4  # words of one piece need none


class Words(NamedTuple):
    """The memory's arrays.

    :param slots: uint64, four a slot: word found (length, number of pieces, token or place in `pieces`), two
        numbers that stand for its bytes, place in `keys`. A first number of 0 is an empty slot.
    :param keys: uint8: the bytes of words longer than 16.
    :param pieces: int32: the tokens of words that are not exactly one known token.
    :param unknown: id of the unknown token, -1 where there is none.
    """

    slots: NDArray[np.uint64]
    keys: NDArray[np.uint8]
    pieces: NDArray[np.int32]
    unknown: int


class WordMemory:
    """What is known about words so far.

    :param tokenizer: one that neither pads nor cuts.
    :param rules: where words end.
    :param word_pieces: how plain words are cut, or None where the tokenizer must be asked.
    :param unknown: id of the unknown token, or None.
    :param capacity: words remembered at most, rounded up to a power of two; about 90 bytes each.
    """

    def __init__(
        self, tokenizer: Tokenizer, rules: Rules, word_pieces: WordPieces | None, unknown: int | None, capacity: int
    ) -> None:
        self._tokenizer, self._rules = tokenizer, rules
        self._unknown = -1 if unknown is None else unknown
        self._capacity = capacity
        self._lock = threading.Lock()
        self._used = np.zeros(3, dtype=np.int64)
        self.words = _empty(capacity, self._unknown)
        self._vocabulary, self._fold = None, (False, 0)
        if word_pieces is not None:
            self._vocabulary = _vocabulary(word_pieces)
            self._fold = (word_pieces.lowercase, min(word_pieces.longest, _LONGEST_WORD))

    def learn(self, data: NDArray[np.uint8], misses: NDArray[np.int64]) -> None:
        """Learn words that were looked up in vain.

        :param data: bytes with the words.
        :param misses: begin and length of each, shape (misses, 2); changed.
        """
        left = len(misses)
        if self._vocabulary is not None:
            scratch, ids = np.empty(2 * _LONGEST_WORD, dtype=np.uint8), np.empty(_LONGEST_WORD, dtype=np.int32)
            with self._lock:
                left, room = learn_words(
                    data, misses, self._vocabulary, self._fold, self.words, self._used, scratch, ids
                )
                if not room:
                    self._forget()
        if left:
            raw = data.tobytes()
            self._ask_tokenizer({raw[begin : begin + length] for begin, length in misses[:left].tolist()})

    def _ask_tokenizer(self, words: set[bytes]) -> None:
        """Learn words from the tokenizer."""
        ordered = list(words)
        ids, id_starts = tokenize(self._tokenizer, [word.decode() for word in ordered], None)
        starts = np.cumsum([0, *map(len, ordered)], dtype=np.int64)
        data = np.frombuffer(bytearray(b"".join(ordered) + _PADDING), dtype=np.uint8)
        with self._lock:
            if not remember_words(data, starts, ids, id_starts, self._rules.triggers, self.words, self._used):
                self._forget()

    def _forget(self) -> None:
        """Begin anew; old arrays live on for those who read them."""
        self._used = np.zeros(3, dtype=np.int64)
        self.words = _empty(self._capacity, self._unknown)


def _empty(capacity: int, unknown: int) -> Words:
    """Return a memory without words; pages are taken from the system when first written."""
    slots = 1 << (2 * capacity - 1).bit_length()
    return Words(
        slots=np.zeros(4 * slots, dtype=np.uint64),
        keys=np.zeros(_KEY_BYTES_A_WORD * slots // 2, dtype=np.uint8),
        pieces=np.zeros(_PIECES_A_WORD * slots // 2, dtype=np.int32),
        unknown=unknown,
    )


def _vocabulary(word_pieces: WordPieces) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint8]]:
    """Return the vocabulary as two memories: pieces that begin a word, and those inside one."""
    prefix = word_pieces.prefix
    heads = [item for item in word_pieces.vocabulary.items() if not prefix or not item[0].startswith(prefix)]
    tails = [
        (token[len(prefix) :], number) for token, number in word_pieces.vocabulary.items() if token.startswith(prefix)
    ]
    used = np.zeros(3, dtype=np.int64)
    first = _empty(len(word_pieces.vocabulary) + 1, -1)
    _fill(heads, first, used)
    second = _empty(len(word_pieces.vocabulary) + 1, -1)._replace(keys=first.keys)
    used[0] = 0
    _fill(tails, second, used)
    return first.slots, second.slots, first.keys


def _fill(tokens: Sequence[tuple[str, int]], words: Words, used: NDArray[np.int64]) -> None:
    """Remember each token as a word of one piece."""
    texts = [token.encode() for token, _ in tokens]
    remember_words(
        np.frombuffer(bytearray(b"".join(texts) + _PADDING), dtype=np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int64),
        np.array([number for _, number in tokens], dtype=np.int32),
        np.arange(len(texts) + 1, dtype=np.int64),
        np.zeros(256, dtype=np.bool_),
        words,
        used,
    )
