"""Compiled code that cuts new words into pieces and puts them into the memory of words."""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.kernels import compiled, find, part, remember, same_bytes

WORDS_A_TEXT = 128  # new words given to the tokenizer in one text


@part
def _fold(data: Any, begin: Any, length: Any, folding: Any, scratch: Any) -> Any:
    """Write a word as the normalizer makes it; return its bytes, 0 where it is not all letters or long."""
    places, folded, longest = folding
    position, size = np.int64(begin), np.int64(0)
    while position < begin + length:
        lead, code = np.int64(data[position]), np.int64(data[position])
        if lead >= 0xF0:
            return 0
        if lead >= 0xE0:
            code = ((lead & 15) << 12) | ((data[position + 1] & 63) << 6) | (data[position + 2] & 63)
        elif lead >= 0xC0:
            code = ((lead & 31) << 6) | (data[position + 1] & 63)
        position += 1 + (lead >= 0xC0) + (lead >= 0xE0)
        place = np.int64(places[code])
        count = np.int64(folded[place])
        if count == 0 or size + count > longest:
            return 0
        for offset in range(count):
            scratch[size + offset] = folded[place + 1 + offset]
        size += count
    return size


@part
def _cut(scratch: Any, length: Any, vocabulary: Any, unknown: Any, ids: Any) -> Any:
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
    data: Any, misses: Any, vocabulary: Any, folding: Any, words: Any, used: Any, scratch: Any, ids: Any
) -> Any:
    """Learn those of the missed words that are all letters.

    :param data: the bytes the misses point into.
    :param misses: begin and length of each, shape (misses, 2); those left over are moved to the front.
    :param vocabulary: slots of pieces that begin a word, of those inside, and the keys of both.
    :param folding: place of each character in `folded`; there, number of bytes and bytes that the normalizer
        makes of it, 0 bytes for what is no letter; the longest word in bytes.
    :param words: see `word_memory.Words`; changed.
    :param used: see `kernels.remember`; changed.
    :param scratch: uint8, at least 128 bytes.
    :param ids: int32, at least as many as the longest word has characters.
    :return: how many were left over, and whether the memory had room.
    """
    left = 0
    for index in range(misses.shape[0]):
        begin, length = misses[index, 0], misses[index, 1]
        if find(data, begin, length, words[0], words[1]) != np.uint64(0):
            continue
        size = _fold(data, begin, length, folding, scratch)
        if size > 0:
            count = _cut(scratch, size, vocabulary, words[3], ids)
            if not remember(data, begin, length, ids, count, np.bool_(count > 0), words, used):
                return left, False
        else:
            misses[left, 0], misses[left, 1] = begin, length
            left += 1
    return left, True


@compiled
def gather_words(data: Any, misses: Any, separator: Any, table: Any, text: Any, places: Any) -> Any:
    """Write each different word once, for the tokenizer.

    :param data: the bytes the misses point into.
    :param misses: begin and length of words, shape (misses, 2).
    :param separator: bytes written between two words; a newline takes their place after every WORDS_A_TEXT.
    :param table: int64 zeros, a power of two, at least twice the misses; changed.
    :param text: written.
    :param places: written: begin and length in `text` of each different word.
    :return: number of words, bytes written.
    """
    count, size = np.int64(0), np.int64(0)
    for index in range(misses.shape[0]):
        begin, length = misses[index, 0], misses[index, 1]
        hashed = np.uint64(length)
        for offset in range(length):
            hashed = (hashed ^ np.uint64(data[begin + offset])) * np.uint64(0x9E3779B97F4A7C15)
            hashed ^= hashed >> np.uint64(29)
        slot = np.int64(hashed >> np.uint64(8)) & (table.size - 1)
        while table[slot] != 0:
            other = table[slot] - 1
            if places[other, 1] == length and same_bytes(data, begin, text, places[other, 0], length):
                break
            slot = (slot + 1) & (table.size - 1)
        if table[slot] != 0:
            continue
        if count > 0 and count % WORDS_A_TEXT == 0:
            text[size] = 10
            size += 1
        elif count > 0:
            for offset in range(separator.size):
                text[size + offset] = separator[offset]
            size += separator.size
        places[count, 0], places[count, 1] = size, length
        for offset in range(length):
            text[size + offset] = data[begin + offset]
        size += length
        count += 1
        table[slot] = count
    return count, size


@compiled
def remember_words(
    data: Any, places: Any, ids: Any, id_starts: Any, triggers: Any, words: Any, used: Any
) -> Any:
    """Put words whose ids are known into the memory; False where it had no room for all.

    :param data: bytes with the words in them, READ_AHEAD bytes behind the last.
    :param places: begin and length of each, shape (words, 2).
    :param ids: their token ids one after another.
    :param id_starts: where each word's begin in `ids`, shape (words + 1,).
    :param triggers: see `plain_text.Rules`.
    """
    for index in range(places.shape[0]):
        begin, length = places[index, 0], places[index, 1]
        if length == 0 or find(data, begin, length, words[0], words[1]) != np.uint64(0):
            continue
        plain = np.bool_(length > 1 or not triggers[data[begin]])
        pieces = ids[id_starts[index] :]
        if not remember(
            data, begin, length, pieces, id_starts[index + 1] - id_starts[index], plain, words, used
        ):
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
