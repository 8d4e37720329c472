"""Compiled code that cuts new words into pieces and puts them into the memory of words."""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.kernels import compiled, find, part, same_bytes

WORDS_A_TEXT = 128  # new words given to the tokenizer in one text


@part
def _fold(data: Any, begin: Any, length: Any, folding: Any, scratch: Any, first: Any) -> Any:
    """Write a word as the normalizer makes it to scratch[first:].

    :return: its bytes, 0 where it is not all letters or long.
    """
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
            scratch[first + size + offset] = folded[place + 1 + offset]
        size += count
    return size


@compiled
def cut_words(
    data: Any,
    misses: Any,
    vocabulary: Any,
    folding: Any,
    unknown: Any,
    scratch: Any,
    places: Any,
    ids: Any,
    id_starts: Any,
) -> Any:
    """Cut those of the missed words that are all letters, greedily, the longest piece first (WordPiece).

    :param data: the bytes the misses point into.
    :param misses: begin and length of each, shape (misses, 2); those left over are moved to the front.
    :param vocabulary: slots and keys of a memory with all tokens, and the prefix of those inside a word.
    :param folding: place of each character in `folded`; there, number of bytes and bytes that the normalizer
        makes of it, 0 bytes for what is no letter; the longest word in bytes.
    :param unknown: id of the unknown token.
    :param scratch: uint8, the longest word with the prefix before it and READ_AHEAD bytes behind.
    :param places: written: begin and length of the words that were cut, shape (misses, 2).
    :param ids: written: their token ids one after another.
    :param id_starts: written: where each word's begin in `ids`, shape (misses + 1,).
    :return: how many were left over, and how many were cut.
    """
    slots, keys, prefix = vocabulary
    left, done, kept = np.int64(0), np.int64(0), np.int64(0)
    for index in range(misses.shape[0]):
        begin, length = misses[index, 0], misses[index, 1]
        size = _fold(data, begin, length, folding, scratch, prefix.size)
        if size == 0 or kept + size > ids.size:
            misses[left, 0], misses[left, 1] = begin, length
            left += 1
            continue
        places[done, 0], places[done, 1], id_starts[done] = begin, length, kept
        done += 1
        first, stop = prefix.size, prefix.size + size
        where = first
        while where < stop:
            end, slot = stop, np.int64(-1)
            while end > where:
                slot = find(scratch, first, end - first, slots, keys)
                if slot >= 0:
                    break
                end -= 1
                while scratch[end] & 0xC0 == 0x80:  # no token ends within a character
                    end -= 1
            if slot < 0:
                kept = id_starts[done - 1] + 1
                ids[kept - 1] = unknown
                break
            ids[kept] = np.int64(slots[slot] >> np.uint64(32))
            kept += 1
            # What lies before the rest of the word is done with, so that the prefix goes there.
            where, first = end, end - prefix.size
            for offset in range(prefix.size):
                scratch[first + offset] = prefix[offset]
    id_starts[done] = kept
    return left, done


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
