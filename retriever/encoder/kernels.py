"""Compiled code: bytes in, words found and looked up, rows added, vectors out; no GIL, no Python object.

Imported only when something is encoded. Compiled once; numba keeps the machine code on disk beside this
file, or in the user's cache folder where that is read-only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retriever.encoder.compiling import compiled, part
from retriever.encoder.vector_ops import (
    classify_window,
    highest_zeros,
    load_acquire,
    lowest_bit,
    prefetch,
    sum_rows_1,
    sum_rows_16,
    sum_rows_128,
    sum_squares_16,
)
from retriever.encoder.word_kernels import (
    LOW_15,
    LOW_16,
    LOW_32,
    MOST_IN_SLOT,
    SIMPLE,
    cut_word,
    find,
    home,
    insert,
    same_bytes,
    short_key,
)

PENDING, DONE, FOREIGN = 0, 1, 2  # a text's state; FOREIGN goes the tokenizer's way
READ_AHEAD = 80  # bytes that must follow the last text in `data`
ROOM = 256  # token ids that `ids` must hold beyond those of a text
RUN_LIMIT = 4096  # bytes; a longer unbroken run goes the tokenizer's way
APART, SPACE = 1, 2  # what a character does to its neighbours, see plain_text.py

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_0, _1, _16, _32 = (np.uint64(x) for x in (0, 1, 16, 32))


@part
def _next_part(data: Any, begin: Any, stop: Any, behaviour: Any) -> Any:
    """Return the first part of a run with non-ASCII characters: up to one that stands apart, or that one."""
    position, start = begin, begin
    while position < stop:
        lead, size, kind = np.int64(data[position]), 1, 0
        if lead >= 0xF0:
            size = 4
        elif lead >= 0xE0:
            size = 3
            kind = behaviour[
                ((lead & 15) << 12) | ((data[position + 1] & 63) << 6) | (data[position + 2] & 63)
            ]
        elif lead >= 0xC0:
            size = 2
            kind = behaviour[((lead & 31) << 6) | (data[position + 1] & 63)]
        if kind in (APART, SPACE):
            if position > start:
                return start, position
            if kind == APART:
                return start, position + size
            start = position + size
        position += size
    return start, stop


@part
def _begins_literal(data: Any, position: Any, text: Any, rules: Any) -> Any:
    """Tell whether an added token begins with this punctuation mark."""
    _, triggers, literals, literal_starts = rules
    if not triggers[data[position]]:
        return False
    for index in range(literal_starts.size - 1):
        size = literal_starts[index + 1] - literal_starts[index]
        fits = position + size <= text[1]
        if fits and same_bytes(data, position, literals, literal_starts[index], size):
            return True
    return False


@part
def _scan_run(  # noqa: C901 - in one piece, see `part`
    data: Any,
    run: Any,
    text: Any,
    rules: Any,
    words: Any,
    cutting: Any,
    scratch: Any,
    limit: Any,
    ids: Any,
    misses: Any,
    tally: Any,
) -> Any:
    """Do what the short way in `encode_texts` cannot: split, search on, learn, note what has to be asked for.

    :param tally: tokens counted, tokens written, misses; and the text's state.
    :return: the new tally.
    """
    slots, keys, pieces, _, unknown = words
    counted, kept, missed, state = tally
    position, stop = run
    if stop - position == 1 and _begins_literal(data, position, text, rules):
        return counted, kept, missed, FOREIGN
    while position < stop and counted < limit:
        position, part_end = _next_part(data, position, stop, rules[0])
        if position == part_end:
            break
        length = part_end - position
        slot, cut, found = find(data, position, length, slots, keys), np.int64(0), _0
        if slot < 0:
            cut = cut_word(data, position, length, cutting, unknown, scratch)
            if cut > 0:
                insert(data, position, length, scratch[1], np.int64(0), cut, rules[1], words)
        if slot >= 0 or cut > 0:
            count = cut
            if slot >= 0:
                found = slots[slot]
                count = np.int64((found >> _16) & LOW_15)
            if count > limit - counted:
                count = limit - counted
            if kept + count > ids.size:
                return counted, kept, missed, FOREIGN
            counted += count
            where = np.int64(found >> _32)
            for offset in range(count):
                token = where
                if slot < 0:
                    token = np.int64(scratch[1][offset])
                elif not found & SIMPLE:
                    token = np.int64(pieces[where + offset])
                elif offset > 0:
                    token = np.int64((slots[slot + 3] >> np.uint64(32 * (offset - 1))) & LOW_32)
                if token != unknown:
                    ids[kept] = token
                    kept += 1
        elif missed == misses.shape[0]:
            return limit, kept, missed, PENDING
        else:
            misses[missed, 0], misses[missed, 1] = position, length
            missed, state = missed + 1, PENDING
            counted += 1 if 32 < data[position] < 127 else 0  # at the least; it may be more
        position = part_end
    return counted, kept, missed, state


@part
def look(data: Any, base: Any, stop: Any) -> Any:
    """Return which of the next 64 bytes are in words and which are marks, and where to look on.

    A word that goes on behind the window is left to the next one, unless there is nothing else: then all bits
    are letters and the step is as long as the word.
    """
    spaces, marks = classify_window(data, base)
    letters, step = ~(spaces | marks), np.int64(64)
    if stop - base <= 64:
        inner = _ALL >> np.uint64(64 - (stop - base))
        letters, marks = letters & inner, marks & inner
    elif letters >> np.uint64(63):
        step -= highest_zeros(~letters)
        letters &= ~(_ALL << np.uint64(step & 63))
        if step == 0:
            step, letters, marks = _run_end(data, base, stop) - base, _ALL, _0
    return letters, marks, step


@part
def _run_end(data: Any, position: Any, stop: Any) -> Any:
    """Return where a long run of word bytes ends."""
    while position < stop:
        spaces, marks = classify_window(data, position)
        step = lowest_bit(spaces | marks)
        position += step
        if step < 64:
            break
    return position if position < stop else stop


@part
def pool(model: Any, ids: Any, count: Any, unit: Any, out: Any, row: Any) -> None:
    """Write the mean of the tokens' rows to out[row], of length 1 where `unit`; zeros for no token.

    :param model: table (float32, int8, or float16 seen as uint16), factor and row of each token (or None),
        factor of each place in a text (or None), the last for all that follow.
    """
    table, weights, mapping, places = model
    dimensions = out.shape[1]
    column = 0
    while column + 128 <= dimensions:
        sum_rows_128(table, weights, mapping, places, ids, count, column, out, row)
        column += 128
    while column + 16 <= dimensions:
        sum_rows_16(table, weights, mapping, places, ids, count, column, out, row)
        column += 16
    whole = column
    while column < dimensions:
        sum_rows_1(table, weights, mapping, places, ids, count, column, out, row)
        column += 1
    if count == 0:
        return
    scale = np.float32(1.0 / count)
    if unit:
        total = sum_squares_16(out, row, whole)
        for column in range(whole, dimensions):
            total += out[row, column] * out[row, column]
        scale = np.float32(1.0 / (np.sqrt(np.float64(total)) + 1e-32))
    for column in range(dimensions):
        out[row, column] *= scale


@compiled
def encode_texts(  # noqa: C901 - in one piece, see `part`
    data: Any,
    starts: Any,
    rules: Any,
    words: Any,
    cutting: Any,
    scratch: Any,
    limit: Any,
    model: Any,
    unit: Any,
    states: Any,
    ids: Any,
    apart: Any,
    counts: Any,
    misses: Any,
    out: Any,
) -> Any:
    """Turn all PENDING texts whose words are remembered, or can be cut here, into token ids and vectors.

    :param data: uint8, texts with READ_AHEAD bytes after them.
    :param starts: where each text begins, one byte after the end of the one before, shape (texts + 1,).
    :param rules: see `plain_text.Rules`.
    :param words: see `word_memory.Words`; words that can be cut here are added.
    :param cutting: see `word_memory.Cutting`.
    :param scratch: see `word_memory.scratch`; written.
    :param limit: tokens after which a text is cut.
    :param model: see `pool`.
    :param unit: give vectors of length 1.
    :param states: PENDING, DONE or FOREIGN for each text; changed.
    :param ids: written: known tokens, of one text after the other in the same place.
    :param apart: keep all ids: those of text i begin at 2 * starts[i] + ROOM * i.
    :param counts: written, shape (texts, 2): tokens with unknown ones, and tokens in `ids`.
    :param misses: written: begin and length of words that the tokenizer has to be asked for.
    :param out: written: vectors, shape (texts, dimensions); without dimensions there are only ids.
    :return: the number of words that the tokenizer has to be asked for.
    """
    slots, missed = words[0], np.int64(0)
    window, keys = scratch[2], scratch[3]
    for index in range(states.size):
        if states[index] != PENDING:
            continue
        base, stop = starts[index], starts[index + 1] - 1
        text, room = (base, stop), ids
        if apart:
            first_id = 2 * base + ROOM * index
            room = ids[first_id : first_id + 2 * (stop - base) + ROOM]
        counted, kept, state = np.int64(0), np.int64(0), np.int64(DONE)  # else numba compiles for 0 itself
        while base < stop and counted < limit:
            letters, marks, step = look(data, base, stop)
            if step > RUN_LIMIT or kept + 64 * MOST_IN_SLOT > room.size:
                state = np.int64(FOREIGN)
            # All words of a window are asked for before the first is looked at: memory answers at once.
            events, asked = (letters & ~(letters << _1)) | marks, np.int64(0)
            while events != _0:
                shift = lowest_bit(events)
                events &= events - _1
                length = lowest_bit(~(letters >> np.uint64(shift)))
                if length == 0:
                    length = np.int64(1)
                first, second = short_key(data, base + shift, length)
                slot = home(first, second, slots)
                prefetch(slots, slot)
                window[asked, 0], window[asked, 1], window[asked, 2] = shift, length, slot
                keys[asked, 0], keys[asked, 1] = first, second
                asked += 1
            for word in range(asked):
                if counted >= limit or state == FOREIGN:
                    break
                position, length, slot = base + window[word, 0], window[word, 1], window[word, 2]
                first, second = keys[word, 0], keys[word, 1]
                found = load_acquire(slots, slot)
                if (
                    (found & (SIMPLE | LOW_16)) == (np.uint64(length) | SIMPLE)
                    and slots[slot + 1] == first
                    and slots[slot + 2] == second
                    and length <= 16
                ):
                    # To write three and count one is faster than to guess how many there are.
                    rest = slots[slot + 3]
                    room[kept] = np.int64(found >> _32)
                    room[kept + 1] = np.int64(rest & LOW_32)
                    room[kept + 2] = np.int64(rest >> _32)
                    count = np.int64((found >> _16) & LOW_15)
                    if count > limit - counted:
                        count = limit - counted
                    counted += count
                    kept += count
                else:
                    # Longer than a window, the word is all there is of this step.
                    run = (position, position + (length if length < 64 else step))
                    counted, kept, missed, state = _scan_run(
                        data,
                        run,
                        text,
                        rules,
                        words,
                        cutting,
                        scratch,
                        limit,
                        room,
                        misses,
                        (counted, kept, missed, state),
                    )
            if state == FOREIGN:
                break
            base += step
        states[index] = state
        counts[index, 0], counts[index, 1] = counted, kept
        if state == DONE:
            pool(model, ids, kept, unit, out, index)
        if missed == misses.shape[0]:
            break
    return missed


@compiled
def pool_texts(model: Any, ids: Any, starts: Any, unit: Any, rows: Any, out: Any) -> None:
    """Write the vectors of texts whose token ids are known.

    :param ids: known tokens, one text after another.
    :param starts: where each text's begin, shape (texts + 1,).
    :param rows: where each text's vector goes in `out`, shape (texts,).
    """
    for index in range(rows.size):
        pool(model, ids[starts[index] :], starts[index + 1] - starts[index], unit, out, rows[index])
