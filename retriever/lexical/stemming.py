"""Texts to stems for BM25: a word is stemmed once, and its stems copied whenever it comes again.

Half the time of building an index went into stemming the same words; a memory of them takes a tenth of it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tantivy
from numpy.typing import NDArray

from rerank.well_formed import well_formed
from retriever.encoder.beside import MadeBeside

_RUNS = 1 << 18  # remembered at most; 100,000 passages of an encyclopedia have fewer
_BYTES_A_RUN = 32  # of itself and its stems
_MARK = "qzxjkqzxjk"  # between runs that are stemmed together; where one contains it, each is stemmed alone
_MISSES = 1 << 16  # runs learnt at a time
_ROOM = 2  # bytes of stems for a byte of text; the few that need more are stemmed without the memory
_SLOW_CHARACTERS = 12e6  # that an analyzer takes in a second


class Memory(NamedTuple):
    """What is known about runs of characters so far.

    :param slots: uint64, four a slot: hash of the run, 0 in an empty slot; place in `kept` and length of the
        run, in lower case; of its stems, 0 as long as they are not known. The fourth is not used.
    :param kept: uint8: runs and stems, a space after each stem.
    :param used: int64: slots, and bytes of `kept`, in use.
    """

    slots: NDArray[np.uint64]
    kept: NDArray[np.uint8]
    used: NDArray[np.int64]


class Stemmer:
    """Does what an analyzer does, in a fraction of the time.

    :param analyzer: one that cuts at every ASCII character but letters and digits, and stems a word whatever
        stands beside it.
    """

    def __init__(self, analyzer: tantivy.TextAnalyzer) -> None:
        self._analyzer = analyzer
        self._fast = MadeBeside(lambda: _RememberedStems(analyzer), "retriever.lexical.stem_kernels")
        self._lock = threading.Lock()

    def stem(self, texts: Sequence[str]) -> list[str]:
        """Return each text's stems, with spaces between and perhaps after them."""
        fast = self._fast.get(sum(map(len, texts)) / _SLOW_CHARACTERS)
        found: list[str | None] = [None] * len(texts)
        if fast is not None:
            with self._lock:
                found = fast.stem(texts)
        return [
            " ".join(self._analyzer.analyze(well_formed(text))) if stems is None else stems
            for text, stems in zip(texts, found, strict=True)
        ]


class _RememberedStems:
    """The compiled half: stems of words that came before. Not thread-safe.

    :param analyzer: asked about the others.
    """

    def __init__(self, analyzer: tantivy.TextAnalyzer) -> None:
        from retriever.lexical import stem_kernels

        self._analyzer, self._kernels = analyzer, stem_kernels
        self._memory = _empty()
        self.stem(["compile all"])

    def stem(self, texts: Sequence[str]) -> list[str | None]:
        """Return each text's stems, a space after each; None for texts that have to go another way."""
        data, starts = self._as_bytes(texts)
        states = np.zeros(len(texts), dtype=np.uint8)
        places = np.empty((len(texts), 2), dtype=np.int64)
        out = np.empty(_ROOM * len(data), dtype=np.uint8)
        misses = np.empty(_MISSES, dtype=np.int64)
        written, missed = 0, 1
        while missed:
            written, missed = self._kernels.stem_texts(
                data, starts, self._memory, states, out, places, written, misses
            )
            if missed and not self._learn(misses[:missed]):
                break
        if self._kernels.is_full.py_func(self._memory):
            self._memory = _empty()
        raw = out[:written].tobytes()
        return [
            raw[begin:end].decode() if state else None
            for (begin, end), state in zip(places.tolist(), states.tolist(), strict=True)
        ]

    def _as_bytes(self, texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return all texts as bytes, one between two and padding at the end, and where each begins."""
        from retriever.encoder.kernels import READ_AHEAD

        encoded = [well_formed(text).encode() for text in texts]
        starts = np.cumsum([0, *(len(text) + 1 for text in encoded)], dtype=np.int64)
        raw = bytearray(b"\n").join([*encoded, b" " * READ_AHEAD])
        return np.frombuffer(raw, dtype=np.uint8), starts

    def _learn(self, misses: NDArray[np.int64]) -> bool:
        """Remember the stems of new runs; where there is no room, the memory begins anew."""
        slots, kept, used = self._memory
        places = slots[misses + 1]
        raw, begins = kept[: used[1]].tobytes(), (places >> np.uint64(16)).tolist()
        lengths = (places & np.uint64(0xFFFF)).tolist()
        runs = [raw[begin : begin + length] for begin, length in zip(begins, lengths, strict=True)]
        stems = self._stems(runs)
        ends = np.cumsum(np.fromiter(map(len, stems), dtype=np.int64, count=len(stems)))
        flat = np.frombuffer(bytearray(b"").join([*stems, b" "]), dtype=np.uint8)
        if self._kernels.remember_stems(misses, flat, ends, self._memory):
            return True
        self._memory = _empty()
        return False

    def _stems(self, runs: Sequence[bytes]) -> list[bytes]:
        """Return the stems of each run, a space after each; in one call, unless a run has the mark in it."""
        text = f" {_MARK} ".encode().join(runs).decode()
        stems = " ".join([*self._analyzer.analyze(text), ""]).encode()
        found = stems.split(f"{_MARK} ".encode())
        if len(found) == len(runs):
            return found
        return [" ".join([*self._analyzer.analyze(run.decode()), ""]).encode() for run in runs]


def _empty() -> Memory:
    """Return a memory without runs; pages are taken from the system when first written."""
    return Memory(
        slots=np.zeros(4 * 2 * _RUNS, dtype=np.uint64),  # never more than half full
        kept=np.zeros(_BYTES_A_RUN * _RUNS, dtype=np.uint8),
        used=np.zeros(2, dtype=np.int64),
    )
