"""Compiled code that writes a text's stems: words are found, looked up and their stems copied.

Imported only when something is indexed, see `stemming`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.compiling import compiled, part
from retriever.encoder.kernels import look
from retriever.encoder.vector_ops import load_u64, lowest_bit, store_u64

LONGEST_RUN = 200  # bytes; texts with longer ones are left out
LEFT, DONE = 0, 1  # what became of a text

_FIRST_BYTES = np.array([2 ** (8 * size) - 1 for size in range(9)], dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_KNOWN = np.uint64(1 << 63)
_0, _1, _2, _16, _29 = (np.uint64(x) for x in (0, 1, 2, 16, 29))
_LOW_16, _LOW_47 = np.uint64(0xFFFF), np.uint64((1 << 47) - 1)
_HIGH_BITS, _LOW_BITS = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_BEFORE_A, _FROM_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)  # 0x80 - "A", 0x7F - "Z"


@part
def _lowered(data: Any, position: Any, left: Any) -> Any:
    """Return up to 8 bytes with ASCII letters in lower case, zeros behind the end."""
    chunk = load_u64(data, position) & _FIRST_BYTES[left if left < 8 else 8]
    low = chunk & _LOW_BITS
    capital = ~chunk & _HIGH_BITS & ((low + _BEFORE_A) ^ (low + _FROM_Z))
    return chunk | (capital >> _2)


@part
def _find(data: Any, begin: Any, length: Any, slots: Any, kept: Any) -> Any:
    """Return the slot where a run is remembered, or the empty one where it belongs, and its hash."""
    hashed = np.uint64(length)
    for offset in range(0, length, 8):
        hashed = (hashed ^ _lowered(data, begin + offset, length - offset)) * _MIX
        hashed ^= hashed >> _29
    hashed |= _1
    slot = np.int64(hashed >> _16) * 4 & (slots.size - 1)
    while slots[slot] != _0:
        if slots[slot] == hashed and np.int64(slots[slot + 1] & _LOW_16) == length:
            where, same = np.int64(slots[slot + 1] >> _16), True
            for offset in range(0, length, 8):
                mask = _FIRST_BYTES[length - offset if length - offset < 8 else 8]
                same &= (
                    _lowered(data, begin + offset, length - offset) == load_u64(kept, where + offset) & mask
                )
            if same:
                break
        slot = (slot + 4) & (slots.size - 1)
    return slot, hashed


@part
def is_full(memory: Any) -> Any:
    """Tell whether there is no room for another run, of whatever length."""
    slots, kept, used = memory
    return used[0] * 8 >= slots.size or used[1] + LONGEST_RUN + 16 > kept.size


@compiled
def stem_texts(  # noqa: C901 - in one piece, see `compiling.part`
    data: Any, starts: Any, memory: Any, states: Any, out: Any, places: Any, written: Any, misses: Any
) -> Any:
    """Write the stems of every text that is LEFT and has none but known runs.

    A run is what stands between spaces and ASCII's punctuation: one word, or several where other characters
    part them, which is the analyzer's to say.

    :param data: uint8, UTF-8 texts with one byte between two and kernels.READ_AHEAD behind the last.
    :param starts: where each text begins, shape (texts + 1,).
    :param memory: see `stemming.Memory`; new runs are put in, their stems not known yet.
    :param states: LEFT or DONE for each text; changed.
    :param out: uint8, written.
    :param places: written: begin and end of each text's stems in `out`, shape (texts, 2).
    :param written: bytes of `out` in use.
    :param misses: written: slots of new runs.
    :return: bytes of `out` in use, number of new runs.
    """
    slots, kept, used = memory
    missed = np.int64(0)
    for index in range(states.size):
        if states[index] != LEFT:
            continue
        base, stop = starts[index], starts[index + 1] - 1
        begin, whole = written, True
        while base < stop:
            letters, _, step = look(data, base, stop)
            events = letters & ~(letters << _1)
            while events != _0:
                shift = lowest_bit(events)
                events &= events - _1
                first, length = base + shift, lowest_bit(~(letters >> np.uint64(shift)))
                if length == 64:  # or longer, and then it is all there is of this step
                    length = step
                if length > LONGEST_RUN:
                    whole = False
                    continue
                slot, hashed = _find(data, first, length, slots, kept)
                stems = slots[slot + 2]
                size = np.int64(stems & _LOW_16)
                if stems == _0 or written + size + 8 > out.size:
                    whole = False
                if whole:
                    source = np.int64((stems >> _16) & _LOW_47)
                    for offset in range(0, size, 8):
                        store_u64(out, written + offset, load_u64(kept, source + offset))
                    written += size
                elif slots[slot] == _0 and missed < misses.size:
                    where = used[1]
                    if is_full(memory):
                        continue
                    for offset in range(0, length, 8):
                        store_u64(kept, where + offset, _lowered(data, first + offset, length - offset))
                    slots[slot] = hashed
                    slots[slot + 1] = (np.uint64(where) << _16) | np.uint64(length)
                    used[0] += 1
                    used[1] = where + length
                    misses[missed] = slot
                    missed += 1
            base += step
        if whole:
            states[index] = DONE
            places[index, 0], places[index, 1] = begin, written
        else:
            written = begin
    return written, missed


@compiled
def remember_stems(misses: Any, stems: Any, ends: Any, memory: Any) -> Any:
    """Put in the stems of new runs; False where there is no room for all.

    :param misses: slots of runs.
    :param stems: uint8, the stems of one run after another, a space after each.
    :param ends: where each run's stems end, shape (runs,).
    :param memory: see `stemming.Memory`; changed.
    """
    slots, kept, used = memory
    begin = np.int64(0)
    for index in range(misses.size):
        where, size = used[1], ends[index] - begin
        if where + size + 16 > kept.size:
            return False
        for offset in range(size):
            kept[where + offset] = stems[begin + offset]
        slots[misses[index] + 2] = _KNOWN | (np.uint64(where) << _16) | np.uint64(size)
        used[1] = where + size
        begin = ends[index]
    return True
