"""Texts to token ids and vectors through the memory of words, in blocks, on several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rerank.well_formed import well_formed
from retriever.encoder.kernels import DONE, READ_AHEAD, ROOM, encode_texts, pool_texts
from retriever.encoder.plain_pooling import Model
from retriever.encoder.plain_text import find_rules
from retriever.encoder.word_memory import WordMemory

_BLOCK_CHARACTERS = 1 << 18  # enough to forget the overhead of a call, little enough to share the work out
_MISSES = 1 << 12  # words learnt at a time: enough to know half of what follows, few to be tried in vain
_ROUNDS = 64  # enough for a block of nothing but new words; more would happen when the memory is too small
_NO_LIMIT = 1 << 40
_PADDING = b" " * READ_AHEAD
_OF_ALL_KERNELS = "a word, and r2d2"  # the last has to be asked for and learnt


@dataclass(frozen=True, slots=True)
class _Block:
    """Some texts as bytes, with what a kernel writes.

    :param data: uint8: UTF-8 with one byte between two texts and padding behind the last.
    :param starts: where each text begins, shape (texts + 1,).
    :param states: what became of each text, shape (texts,).
    :param misses: begin and length of words not remembered.
    :param longest: bytes of the longest text, or more.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    states: NDArray[np.uint8]
    misses: NDArray[np.int64]
    longest: int


class FastPath:
    """The compiled half of an encoder: encodes what can be told apart into words, says what could not.

    :param tokenizer: one that neither pads nor cuts.
    :param vocabulary: of its model.
    :param unknown: id of the unknown token, or None.
    :param model: table (float16 seen as uint16), weights and mapping, as the kernels take them.
    :param memory_words: words remembered at most.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: dict[str, int],
        unknown: int | None,
        model: Model,
        memory_words: int,
    ) -> None:
        self._model = model
        found = find_rules(tokenizer, vocabulary)
        self._memory: WordMemory | None = None
        if found is not None:
            self._rules, word_pieces = found
            self._memory = WordMemory(tokenizer, self._rules, word_pieces, unknown, memory_words)

    def compile(self) -> None:
        """Have all kernels compiled for this table, or read from disk, by using them."""
        nothing = np.empty((1, 0), dtype=np.float32)
        self.encode([_OF_ALL_KERNELS], None, True, 1, nothing)
        self.pool(np.zeros(0, dtype=np.int32), np.zeros(2, dtype=np.int64), True, [0], nothing)

    def encode(
        self, texts: Sequence[str], limit: int | None, unit: bool, threads: int, out: NDArray[np.float32]
    ) -> list[int]:
        """Encode texts.

        :param texts: the texts.
        :param limit: tokens kept of a text, None for all.
        :param unit: give vectors of length 1.
        :param threads: threads used.
        :param out: written, shape (texts, dimensions).
        :return: positions of the texts left to the tokenizer.
        """
        if self._memory is None:
            return list(range(len(texts)))
        memory, most = self._memory, _NO_LIMIT if limit is None else limit
        if len(texts) == 1:
            return self._encode_block(memory, _one_text(texts[0]), most, unit, out)

        def encode_block(first: int, last: int) -> list[int]:
            return self._encode_block(memory, _as_block(texts[first:last]), most, unit, out[first:last])

        return _over_blocks(texts, threads, encode_block)

    def tokenize(
        self, texts: Sequence[str], limit: int | None, threads: int
    ) -> tuple[list[NDArray[np.int32]], NDArray[np.int64], list[int]]:
        """Turn texts into known token ids.

        :param texts: the texts.
        :param limit: tokens kept of a text, None for all.
        :param threads: threads used.
        :return: ids of each text, the number of tokens with unknown ones, positions of texts left out.
        """
        tokens: list[NDArray[np.int32]] = [np.empty(0, dtype=np.int32)] * len(texts)
        counted = np.zeros(len(texts), dtype=np.int64)
        if self._memory is None:
            return tokens, counted, list(range(len(texts)))
        most = _NO_LIMIT if limit is None else limit
        memory = self._memory

        def list_block(first: int, last: int) -> list[int]:
            block = _as_block(texts[first:last])
            ids = np.empty(2 * len(block.data) + ROOM * len(block.starts), dtype=np.int32)
            counts = np.zeros((last - first, 2), dtype=np.int64)
            no_vectors = np.empty((last - first, 0), dtype=np.float32)
            left = self._run(memory, block, most, False, ids, True, counts, no_vectors)
            counted[first:last] = counts[:, 0]
            for index, (start, count) in enumerate(
                zip(block.starts.tolist(), counts[:, 1].tolist(), strict=False)
            ):
                tokens[first + index] = ids[2 * start + ROOM * index :][:count]
            return left

        return tokens, counted, _over_blocks(texts, threads, list_block)

    def _encode_block(
        self, memory: WordMemory, block: _Block, limit: int, unit: bool, out: NDArray[np.float32]
    ) -> list[int]:
        """Encode the texts of a block; return the positions of those left to the tokenizer."""
        ids = np.empty(min(limit, block.longest) + ROOM, dtype=np.int32)
        counts = np.empty((len(block.states), 2), dtype=np.int64)
        return self._run(memory, block, limit, unit, ids, False, counts, out)

    def _run(
        self,
        memory: WordMemory,
        block: _Block,
        limit: int,
        unit: bool,
        ids: NDArray[np.int32],
        apart: bool,
        counts: NDArray[np.int64],
        out: NDArray[np.float32],
    ) -> list[int]:
        """Run the kernel and learn the words it missed while that is worth it; return the texts not done."""
        data, starts, states, misses = block.data, block.starts, block.states, block.misses
        rules, model, cutting, scratch = self._rules, self._model, memory.cutting, memory.scratch()
        for _ in range(_ROUNDS):
            missed = encode_texts(
                data,
                starts,
                rules,
                memory.words,
                cutting,
                scratch,
                limit,
                model,
                unit,
                states,
                ids,
                apart,
                counts,
                misses,
                out,
            )
            if missed == 0 or not memory.learn(data, misses[:missed]):
                break
        if len(states) == 1:  # one query: numpy's calls would take longer than all the rest
            return [] if states[0] == DONE else [0]
        memory.make_room()
        return np.flatnonzero(states != DONE).tolist()

    def pool(
        self,
        ids: NDArray[np.int32],
        starts: NDArray[np.int64],
        unit: bool,
        rows: Sequence[int],
        out: NDArray[np.float32],
    ) -> None:
        """Write the vectors of texts whose known tokens are given; see `kernels.pool_texts`."""
        pool_texts(self._model, ids, starts, unit, np.asarray(rows, dtype=np.int64), out)


def _over_blocks(texts: Sequence[str], threads: int, work: Callable[[int, int], list[int]]) -> list[int]:
    """Call work(first, last) on all blocks of texts; return the positions it gives, in the whole."""
    if len(texts) == 1:
        return work(0, 1)
    bounds = _block_bounds(texts)
    spans = list(pairwise(bounds))
    if threads == 1 or len(spans) == 1:
        results = [work(first, last) for first, last in spans]
    else:
        with ThreadPoolExecutor(min(threads, len(spans))) as executor:
            results = list(executor.map(work, bounds, bounds[1:]))
    return [first + index for (first, _), left in zip(spans, results, strict=True) for index in left]


def _block_bounds(texts: Sequence[str]) -> list[int]:
    """Cut texts into blocks of about the same number of characters."""
    ends = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1)
    cuts = np.searchsorted(ends, np.arange(_BLOCK_CHARACTERS, int(ends[-1]), _BLOCK_CHARACTERS))
    return sorted({0, *cuts.tolist(), len(texts)})


def _as_block(texts: Sequence[str]) -> _Block:
    """Return texts as bytes, nothing done with them yet."""
    try:
        encoded = [*map(str.encode, texts)]
    except UnicodeEncodeError:
        encoded = [well_formed(text).encode() for text in texts]
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(texts)) + 1, out=starts[1:])
    encoded.append(_PADDING)
    raw = bytearray(b"\n").join(encoded)  # writable: read-only arrays would be compiled for once more
    return _Block(
        data=np.frombuffer(raw, dtype=np.uint8),
        starts=starts,
        states=np.zeros(len(texts), dtype=np.uint8),
        misses=np.empty((min(_MISSES, len(raw)), 2), dtype=np.int64),
        longest=int(np.diff(starts).max()),
    )


def _one_text(text: str) -> _Block:
    """Return a block of one text."""
    try:
        raw = bytearray(text, "utf-8")
    except UnicodeEncodeError:
        raw = bytearray(well_formed(text), "utf-8")
    size = len(raw)
    raw += _PADDING
    return _Block(
        data=np.frombuffer(raw, dtype=np.uint8),
        starts=np.array((0, size + 1)),
        states=np.zeros(1, dtype=np.uint8),
        misses=np.empty((min(_MISSES, size + 1), 2), dtype=np.int64),
        longest=size,
    )
