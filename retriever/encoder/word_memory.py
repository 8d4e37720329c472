"""The memory of words: a word is cut into tokens once and then looked up.

It is shared by all threads without a lock: a writer takes an empty slot for itself, a slot is published by
one atomic store after all that belongs to it, and never changed. A full memory is replaced by an empty
one; whoever still reads the old one reads right things. What is in it never changes a result.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retriever.encoder.kernels import READ_AHEAD
from retriever.encoder.plain_text import Rules, WordPieces
from retriever.encoder.tokens import Ids, tokenize
from retriever.encoder.word_kernels import WORDS_A_TEXT, gather_words, remember_words

_LONGEST_WORD = 100  # characters; longer ones are left to the tokenizer
_PADDING = b" " * READ_AHEAD
_KEY_BYTES_A_WORD = 16  # words of up to 16 bytes need none, so this is plenty
_PIECES_A_WORD = 4  # most words need none
_MANY = 32  # new words at once; of fewer it does not matter how they are cut
_LEARNED_OF = 8
_WINDOW = 64  # bytes looked at together, so that there are no more words in it

Scratch = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64], NDArray[np.uint64]]


class Words(NamedTuple):
    """The memory's arrays.

    :param slots: uint64, four a slot: word found (length, number of pieces, first token or place in
        `pieces`), two numbers that stand for its bytes, place in `keys` or second and third token. A first
        number of 0 is an empty slot.
    :param keys: uint8: the bytes of words longer than 16.
    :param pieces: int32: the tokens of words that have many or an unknown one.
    :param used: int64: words, bytes of `keys` and `pieces` in use.
    :param unknown: id of the unknown token, -1 where there is none.
    """

    slots: NDArray[np.uint64]
    keys: NDArray[np.uint8]
    pieces: NDArray[np.int32]
    used: NDArray[np.int64]
    unknown: int


class Cutting(NamedTuple):
    """What it takes to cut a word of letters without the tokenizer; without letters nothing is cut.

    :param slots: those of a memory with all tokens as words of one piece.
    :param keys: alike.
    :param prefix: uint8: what pieces inside a word begin with.
    :param places: uint16, shape (65536,): place of each character in `folded`.
    :param folded: uint8: number of bytes and bytes that the normalizer makes of it; the first stands for what
        is no letter.
    :param longest: bytes of the longest word that is cut.
    """

    slots: NDArray[np.uint64]
    keys: NDArray[np.uint8]
    prefix: NDArray[np.uint8]
    places: NDArray[np.uint16]
    folded: NDArray[np.uint8]
    longest: int


class WordMemory:
    """What is known about words so far.

    :param tokenizer: one that neither pads nor cuts.
    :param rules: where words end.
    :param word_pieces: how plain words are cut, or None where the tokenizer must be asked.
    :param unknown: id of the unknown token, or None.
    :param capacity: words remembered at most, rounded up to a power of two; about 90 bytes each.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        rules: Rules,
        word_pieces: WordPieces | None,
        unknown: int | None,
        capacity: int,
    ) -> None:
        self._tokenizer, self._rules = tokenizer, rules
        self._unknown = -1 if unknown is None else unknown
        self._capacity = capacity
        self._lock = threading.Lock()
        self._crowded = -1  # times that most of a text was new
        self.words = _empty(capacity, self._unknown)
        self._separator = _separator(tokenizer, rules, unknown)
        self.cutting = _cutting(word_pieces or WordPieces({}, "", 0, {}))

    def scratch(self) -> Scratch:
        """Return what one thread needs: room for the longest word, its tokens, and the words of a window."""
        room = len(self.cutting.prefix) + _LONGEST_WORD + READ_AHEAD
        return (
            np.empty(room, dtype=np.uint8),
            np.empty(_LONGEST_WORD, dtype=np.int32),
            np.empty((_WINDOW, 3), dtype=np.int64),
            np.empty((_WINDOW, 2), dtype=np.uint64),
        )

    def learn(self, data: NDArray[np.uint8], misses: NDArray[np.int64]) -> bool:
        """Learn words that were looked up in vain and could not be cut.

        :param data: bytes with the words.
        :param misses: begin and length of each, in the order of the text, shape (misses, 2).
        :return: False where most of the text is such words, and had better be left to the tokenizer whole;
            every eighth time they are learned all the same, lest they stay new for ever.
        """
        span = int(misses[-1].sum() - misses[0, 0])
        if len(misses) >= _MANY and 2 * int(misses[:, 1].sum()) > span:
            with self._lock:
                self._crowded += 1
                if self._crowded % _LEARNED_OF:
                    return False
        self._ask_tokenizer(data, misses)
        return True

    def make_room(self) -> None:
        """Begin anew where there is no room left; old arrays live on for those who read them."""
        slots, keys, pieces, used, _ = self.words
        if used[0] * 8 >= slots.size or used[1] > keys.size or used[2] > pieces.size:
            self.words = _empty(self._capacity, self._unknown)

    def _remember(
        self,
        data: NDArray[np.uint8],
        places: NDArray[np.int64],
        ids: Ids,
        id_starts: NDArray[np.int64],
    ) -> None:
        """Put words with their tokens into the memory."""
        if not remember_words(data, places, ids, id_starts, self._rules.triggers, self.words):
            self.make_room()

    def _ask_tokenizer(self, data: NDArray[np.uint8], misses: NDArray[np.int64]) -> None:
        """Learn words from the tokenizer."""
        separator = self._separator[0] if self._separator else b"\n"
        table = np.zeros(1 << (2 * len(misses)).bit_length(), dtype=np.int64)
        text = np.empty(
            int(misses[:, 1].sum()) + len(misses) * len(separator) + len(_PADDING), dtype=np.uint8
        )
        places = np.empty_like(misses)
        count, size = gather_words(
            data, misses, np.frombuffer(bytearray(separator), dtype=np.uint8), table, text, places
        )
        places = places[:count]
        found = self._tokenize_together(text[:size].tobytes().decode(), count) if self._separator else None
        if found is None:
            raw = text.tobytes()
            words = [raw[begin : begin + length].decode() for begin, length in places.tolist()]
            found = tokenize(self._tokenizer, words, None)
        self._remember(text, places, *found)

    def _tokenize_together(self, text: str, count: int) -> tuple[Ids, NDArray[np.int64]] | None:
        """Return the tokens of words with marks between: a call for each would take twice as long."""
        mark_id = self._separator[1] if self._separator else -1
        ids, starts = tokenize(self._tokenizer, text.split("\n"), None)
        marks = ids == mark_id
        marks_before = np.concatenate(([0], np.cumsum(marks, dtype=np.int64)))
        expected = np.full(len(starts) - 1, WORDS_A_TEXT - 1)
        expected[-1] = (count - 1) % WORDS_A_TEXT
        if not np.array_equal(np.diff(marks_before[starts]), expected):
            return None  # a word has the mark's own token in it: the borders cannot be told
        kept_before = np.arange(len(ids) + 1) - marks_before
        borders = np.sort(np.concatenate((kept_before[:-1][marks], kept_before[starts])))
        return ids[~marks], borders


def _separator(tokenizer: Tokenizer, rules: Rules, unknown: int | None) -> tuple[bytes, int] | None:
    """Return a mark, between spaces, that is one token and no part of a word, and its id; or None."""
    for mark in ".,;:!?":
        ids = tokenizer.encode(mark, add_special_tokens=False).ids
        if len(ids) == 1 and ids[0] != unknown and not rules.triggers[ord(mark)]:
            return f" {mark} ".encode(), ids[0]
    return None


def _empty(capacity: int, unknown: int) -> Words:
    """Return a memory without words; pages are taken from the system when first written."""
    slots = 1 << (2 * capacity - 1).bit_length()
    return Words(
        slots=np.zeros(4 * slots, dtype=np.uint64),
        keys=np.zeros(_KEY_BYTES_A_WORD * slots // 2, dtype=np.uint8),
        pieces=np.zeros(_PIECES_A_WORD * slots // 2, dtype=np.int32),
        used=np.zeros(3, dtype=np.int64),
        unknown=unknown,
    )


def _cutting(word_pieces: WordPieces) -> Cutting:
    """Lay a vocabulary and a normalizer out for the kernel."""
    tokens = [*map(str.encode, word_pieces.vocabulary)]
    sizes = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    data = np.frombuffer(bytearray(b"").join((*tokens, _PADDING)), dtype=np.uint8)
    ids = np.fromiter(word_pieces.vocabulary.values(), dtype=np.int32, count=len(tokens))
    starts = np.cumsum(sizes) - sizes
    words = _empty(len(tokens) + 1, -1)._replace(keys=np.zeros_like(data))  # room for every token
    no_triggers = np.zeros(256, dtype=np.bool_)
    id_starts = np.arange(len(ids) + 1, dtype=np.int64)
    remember_words(data, np.column_stack((starts, sizes)), ids, id_starts, no_triggers, words)
    places, folded = np.zeros(65536, dtype=np.uint16), bytearray(b"\0")
    for character, text in word_pieces.folded.items():
        places[ord(character)] = len(folded)
        raw = text.encode()
        folded += bytes((len(raw),)) + raw
    return Cutting(
        slots=words.slots,
        keys=words.keys,
        prefix=np.array([*word_pieces.prefix.encode()], dtype=np.uint8),
        places=places,
        folded=np.frombuffer(folded, dtype=np.uint8),
        longest=min(word_pieces.longest, _LONGEST_WORD),
    )
