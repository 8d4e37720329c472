"""Compiled code of the memory of words: look a word up, put it in, cut it, gather it for the tokenizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.compiling import compiled, part
from retriever.encoder.vector_ops import (
    fetch_add,
    load_acquire,
    load_u64,
    store_release,
    take_slot,
)

WORDS_A_TEXT = 128  # new words given to the tokenizer in one text

# Which of a word's first 8 bytes, and of its next 8, belong to it; a window holds at most 64.
_FIRST_8, _NEXT_8 = (
    np.array([2 ** (8 * min(max(size - before, 0), 8)) - 1 for size in range(65)], dtype=np.uint64)
    for before in (0, 8)
)
_TAKEN = np.uint64(0xFFFF)  # a slot that is being written; no word has this length
SIMPLE = np.uint64(1 << 31)  # all tokens of the word are known and in its slot, none part of an added one
MOST_IN_SLOT = 3  # pieces; a longer word's bytes take the place of the second and third
LOW_15, LOW_16, LOW_32 = np.uint64(0x7FFF), np.uint64(0xFFFF), np.uint64(0xFFFF_FFFF)
_MIX_1, _MIX_2, _MIX_3 = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_0, _16, _31, _32 = (np.uint64(x) for x in (0, 16, 31, 32))


@part
def short_key(data: Any, begin: Any, length: Any) -> Any:
    """Return up to 16 bytes of a word as two numbers, zeros behind its end."""
    return load_u64(data, begin) & _FIRST_8[length], load_u64(data, begin + 8) & _NEXT_8[length]


@part
def _long_key(data: Any, begin: Any, length: Any) -> Any:
    """Return a 128-bit hash of a word of more than 16 bytes."""
    first, second = _MIX_1, _MIX_2
    for position in range(begin, begin + length - 8, 8):
        chunk = load_u64(data, position)
        first = (first ^ chunk) * _MIX_2
        first ^= first >> _32
        second = (second + chunk) * _MIX_3
        second ^= second >> _31
    chunk = load_u64(data, begin + length - 8)
    return (first ^ chunk) * _MIX_2, (second + chunk) * _MIX_3


@part
def home(first: Any, second: Any, slots: Any) -> Any:
    """Return where the search for a key begins."""
    mixed = (first * _MIX_1) ^ (second * _MIX_2)
    mixed = (mixed ^ (mixed >> _32)) * _MIX_3
    return np.int64(mixed >> _16) * 4 & (slots.size - 1)


@part
def same_bytes(data: Any, begin: Any, keys: Any, where: Any, length: Any) -> Any:
    """Compare a long word with a remembered one."""
    for offset in range(length):  # noqa: SIM110 - numba compiles no generators
        if data[begin + offset] != keys[where + offset]:
            return False
    return True


@part
def find(data: Any, begin: Any, length: Any, slots: Any, keys: Any) -> Any:
    """Return the slot of a word that is remembered, or -1."""
    first, second = _long_key(data, begin, length) if length > 16 else short_key(data, begin, length)
    slot = home(first, second, slots)
    while True:
        found = load_acquire(slots, slot)
        if found == _0:
            return -1
        if (
            slots[slot + 1] == first
            and slots[slot + 2] == second
            and np.int64(found & LOW_16) == length
            and (length <= 16 or same_bytes(data, begin, keys, np.int64(slots[slot + 3]), length))
        ):
            return slot
        slot = (slot + 4) & (slots.size - 1)


@part
def insert(  # noqa: C901 - in one piece, see `part`
    data: Any, begin: Any, length: Any, ids: Any, first_id: Any, count: Any, triggers: Any, words: Any
) -> Any:
    """Put a word with its tokens into the memory, beside other writers; False where there is no room.

    Two threads may put in the same word: either entry is right, and the first is found.
    """
    slots, keys, pieces, used, unknown = words
    if used[0] * 8 >= slots.size:
        return False
    first, second = _long_key(data, begin, length) if length > 16 else short_key(data, begin, length)
    most, rest = MOST_IN_SLOT, _0
    if length > 16:
        most = 1
        where = fetch_add(used, 1, length)
        if where + length > keys.size:
            return False
        rest = np.uint64(where)
        for offset in range(length):
            keys[where + offset] = data[begin + offset]
    simple = 0 < count <= most and (length > 1 or not triggers[data[begin]])
    for offset in range(count):
        simple = simple and ids[first_id + offset] != unknown
    found = np.uint64(length) | (np.uint64(count) << _16)
    if simple:
        found |= SIMPLE | (np.uint64(ids[first_id]) << _32)
        for offset in range(1, count):
            rest |= np.uint64(ids[first_id + offset]) << np.uint64(32 * (offset - 1))
    else:
        where = fetch_add(used, 2, count)
        if where + count > pieces.size:
            return False
        found |= np.uint64(where) << _32
        for offset in range(count):
            pieces[where + offset] = ids[first_id + offset]
    slot = home(first, second, slots)
    while not take_slot(slots, slot, _TAKEN):
        slot = (slot + 4) & (slots.size - 1)
    slots[slot + 1], slots[slot + 2], slots[slot + 3] = first, second, rest
    store_release(slots, slot, found)
    fetch_add(used, 0, 1)
    return True


@compiled
def remember_words(data: Any, places: Any, ids: Any, id_starts: Any, triggers: Any, words: Any) -> Any:
    """Put words whose ids are known into the memory; False where it had no room for all.

    :param data: bytes with the words in them, READ_AHEAD bytes behind the last.
    :param places: begin and length of each, shape (words, 2).
    :param ids: their token ids one after another.
    :param id_starts: where each word's begin in `ids`, shape (words + 1,).
    :param triggers: see `plain_text.Rules`; a word that is one such mark may be part of an added token.
    :param words: see `word_memory.Words`; changed.
    """
    for index in range(places.shape[0]):
        begin, length = places[index, 0], places[index, 1]
        if length == 0 or find(data, begin, length, words[0], words[1]) >= 0:
            continue
        first_id = id_starts[index]
        count = id_starts[index + 1] - first_id
        if not insert(data, begin, length, ids, first_id, count, triggers, words):
            return False
    return True


@part
def cut_word(  # noqa: C901 - in one piece, see `part`
    data: Any, begin: Any, length: Any, cutting: Any, unknown: Any, scratch: Any
) -> Any:
    """Cut a word that is all letters, greedily, the longest piece first (WordPiece).

    :param cutting: see `word_memory.Cutting`.
    :param scratch: written: the word as the normalizer makes it, and its token ids.
    :return: number of tokens, 0 where the word is not all letters or too long.
    """
    slots, keys, prefix, places, folded, longest = cutting
    word, ids = scratch[0], scratch[1]
    position, size = np.int64(begin), np.int64(0)
    while position < begin + length:
        lead, code = np.int64(data[position]), np.int64(data[position])
        if lead >= 0xF0:
            return np.int64(0)
        if lead >= 0xE0:
            code = ((lead & 15) << 12) | ((data[position + 1] & 63) << 6) | (data[position + 2] & 63)
        elif lead >= 0xC0:
            code = ((lead & 31) << 6) | (data[position + 1] & 63)
        position += 1 + (lead >= 0xC0) + (lead >= 0xE0)
        place = np.int64(places[code])
        count = np.int64(folded[place])
        if place == 0 or size + count > longest:
            return np.int64(0)
        for offset in range(count):
            word[prefix.size + size + offset] = folded[place + 1 + offset]
        size += count
    first, stop, kept = np.int64(prefix.size), prefix.size + size, np.int64(0)
    where = first
    while where < stop:
        end, slot = stop, np.int64(-1)
        while end > where:
            slot = find(word, first, end - first, slots, keys)
            if slot >= 0:
                break
            end -= 1
            while word[end] & 0xC0 == 0x80:  # no token ends within a character
                end -= 1
        if slot < 0:
            ids[0] = unknown
            return np.int64(1)
        ids[kept] = np.int64(slots[slot] >> _32)
        kept += 1
        # What lies before the rest of the word is done with, so that the prefix goes there.
        where, first = end, end - prefix.size
        for offset in range(prefix.size):
            word[first + offset] = prefix[offset]
    return kept


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
