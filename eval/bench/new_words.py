"""What the encoder is worth where its memory of words is not: texts of new words alone, and a first call."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from retriever.encoder import StaticEncoder

_SCRIPTS = {
    "Latin": (0x61, 0x7A, 4, 12),
    "Cyrillic": (0x430, 0x44F, 4, 12),
    "Arabic": (0x627, 0x64A, 3, 9),
    "Devanagari": (0x915, 0x939, 3, 8),
    "Thai": (0xE01, 0xE2E, 3, 10),
    "Hangul": (0xAC00, 0xD7A3, 2, 5),
}  # first and last letter, fewest and most letters of a word
_TEXTS, _WORDS = 3000, 60
_FIRST_CALL = """
import sys, time
from retriever.encoder import StaticEncoder
begin = time.perf_counter()
encoder = StaticEncoder.load(sys.argv[1])
encoder.encode(["the first call", "of a new process"] * 40)
called = time.perf_counter()
encoder.compile()
print(called - begin, time.perf_counter() - begin)
"""


def measure_new_words(folder: str, rounds: int) -> dict[str, Any]:
    """Encode made-up words, each seen once, in turn with the tokenizer alone, which gives token ids.

    :param folder: of the encoder.
    :param rounds: times each script is measured, with new words and a new object every time.
    :return: by script: the tokenizer's time over ours, its median, least and greatest.
    """
    rng = np.random.default_rng(0)
    found = {}
    for script, (first, last, fewest, most) in _SCRIPTS.items():
        ratios = []
        for _ in range(rounds):
            letters = rng.integers(first, last + 1, size=(_TEXTS, _WORDS, most))
            lengths = rng.integers(fewest, most + 1, size=(_TEXTS, _WORDS))
            texts = [
                " ".join("".join(map(chr, word[:length])) for word, length in zip(words, ends, strict=True))
                for words, ends in zip(letters.tolist(), lengths.tolist(), strict=True)
            ]
            encoder = StaticEncoder.load(folder)
            tokenizer = encoder.tokenizer
            begin = time.perf_counter()
            encoder.encode(texts)
            middle = time.perf_counter()
            _ = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
            ratios.append((time.perf_counter() - middle) / (middle - begin))
        found[script] = {
            "of_tokenizer": round(statistics.median(ratios), 2),
            "low": round(min(ratios), 2),
            "high": round(max(ratios), 2),
        }
    return found


def measure_first_call(folder: str) -> dict[str, dict[str, float]]:
    """Time the first call of a new process, without and with compiled code on disk.

    :param folder: of the encoder.
    :return: seconds of loading and encoding, imports aside, and until the compiled code is there.
    """
    with tempfile.TemporaryDirectory() as cache:
        seconds = [_first_call(folder, cache) for _ in range(4)]
    later = [statistics.median(column) for column in zip(*seconds[1:], strict=True)]
    return {
        state: {"call": round(call, 3), "until_compiled": round(compiled, 2)}
        for state, (call, compiled) in (("empty_cache", seconds[0]), ("compiled", later))
    }


def _first_call(folder: str, cache: str) -> tuple[float, float]:
    """Time one process."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_CALL, folder],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
    )
    call, compiled = map(float, done.stdout.split())
    return call, compiled
