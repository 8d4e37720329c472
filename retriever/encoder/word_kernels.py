"""Compiled code that cuts new words into pieces and puts them into the memory of words."""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.kernels import compiled, find, part, remember


@part
def _fold(data: Any, begin: int, length: int, lowercase: bool, scratch: Any) -> bool:
    """Copy a word of ASCII letters and digits, made small where asked; False where it has other characters."""
    for offset in range(length):
        byte = np.int64(data[begin + offset])
        if 65 <= byte <= 90:
            byte += 32 if lowercase else 0
        elif not (97 <= byte <= 122 or 48 <= byte <= 57):
            return False
        scratch[offset] = byte
    return True


@part
def _cut(scratch: Any, length: int, vocabulary: Any, unknown: int, ids: Any) -> int:
    """Cut a word greedily, the longest piece first (WordPiece); return the number of pieces."""
    heads, tails, keys = vocabulary
    begin, count = np.int64(0), np.int64(0)
    while begin < length:
        end, slots = length, heads if begin == 0 else tails
        while True:
            if end == begin:
                ids[0] = unknown
                return 1
            found = find(scratch, begin, end - begin, slots, keys)
            if found != np.uint64(0):
                break
            end -= 1
        ids[count] = np.int64(found >> np.uint64(32))
        count += 1
        begin = end
    return count


@compiled
def learn_words(
    data: Any, misses: Any, vocabulary: Any, fold: Any, words: Any, used: Any, scratch: Any, ids: Any
) -> Any:
    """Learn those of the missed words that are ASCII letters and digits.

    :param data: the bytes the misses point into.
    :param misses: begin and length of each, shape (misses, 2); those left over are moved to the front.
    :param vocabulary: slots of pieces that begin a word, of those inside, and the keys of both.
    :param fold: whether capitals are made small, and the longest word in characters.
    :param words: see `word_memory.Words`; changed.
    :param used: see `kernels.remember`; changed.
    :param scratch: uint8, at least 128 bytes.
    :param ids: int32, at least as many as the longest word has characters.
    :return: how many were left over, and whether the memory had room.
    """
    left = 0
    lowercase, longest = fold
    for index in range(misses.shape[0]):
        begin, length = misses[index, 0], misses[index, 1]
        if find(data, begin, length, words[0], words[1]) != np.uint64(0):
            continue
        if length <= longest and _fold(data, begin, length, lowercase, scratch):
            count = _cut(scratch, length, vocabulary, words[3], ids)
            if not remember(data, begin, length, ids, count, np.bool_(count > 0), words, used):
                return left, False
        else:
            misses[left, 0], misses[left, 1] = begin, length
            left += 1
    return left, True


@compiled
def remember_words(data: Any, starts: Any, ids: Any, id_starts: Any, triggers: Any, words: Any, used: Any) -> bool:
    """Put words whose ids are known into the memory; False where it had no room for all.

    :param data: the words one after another, with READ_AHEAD bytes behind.
    :param starts: where each begins in `data`, shape (words + 1,).
    :param ids: their token ids one after another.
    :param id_starts: where each word's begin in `ids`, shape (words + 1,).
    :param triggers: see `plain_text.Rules`.
    """
    for index in range(starts.size - 1):
        begin, length = starts[index], starts[index + 1] - starts[index]
        if length == 0 or find(data, begin, length, words[0], words[1]) != np.uint64(0):
            continue
        plain = np.bool_(length > 1 or not triggers[data[begin]])
        pieces = ids[id_starts[index] :]
        if not remember(data, begin, length, pieces, id_starts[index + 1] - id_starts[index], plain, words, used):
            return False
    return True


@compiled
def byte_starts(data: Any, lengths: Any, starts: Any) -> None:
    """Find where texts of known lengths in characters begin in UTF-8, one byte between two texts.

    :param data: the texts' bytes.
    :param lengths: characters of each text, shape (texts,).
    :param starts: written, shape (texts + 1,).
    """
    position = 0
    for index in range(lengths.size):
        starts[index] = position
        remaining = lengths[index]
        while remaining > 0:
            leads = 0
            for offset in range(remaining):
                leads += (data[position + offset] & 0xC0) != 0x80
            position += remaining
            remaining -= leads
        while (data[position] & 0xC0) == 0x80:
            position += 1
        position += 1
    starts[lengths.size] = position
