"""Compiled code is kept on disk, so that only the first process ever compiles."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.retriever.encoder.tokenizer_factory import make_encoder

PROGRAM = """
import sys
from retriever.encoder import StaticEncoder
encoder = StaticEncoder.load(sys.argv[1])
encoder.encode("a word")
encoder.compile()
from retriever.encoder.kernels import encode_texts
print(sum(encode_texts.stats.cache_hits.values()), sum(encode_texts.stats.cache_misses.values()))
"""


def test_a_second_process_finds_the_compiled_code(tmp_path):
    make_encoder().save(tmp_path / "model")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def encode():
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "model")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert encode() == ["0", "1"]
    assert encode() == ["1", "0"]
