"""Numpy adds up to the same bits as compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.encoder.kernels import pool_texts
from retriever.encoder.plain_pooling import pool_plainly
from tests.retriever.encoder.tokenizer_factory import TEXTS, make_encoder

ROWS, TOKENS = 30, 40


@given(
    dtype=st.sampled_from(["float32", "float16", "int8"]),
    width=st.integers(1, 300),
    counts=st.lists(st.integers(0, 70), max_size=12),
    weighted=st.booleans(),
    mapped=st.booleans(),
    places=st.integers(0, 80),
    unit=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_same_bits_as_the_kernels(dtype, width, counts, weighted, mapped, places, unit, seed):
    rng = np.random.default_rng(seed)
    scale = 40 if dtype == "int8" else 1
    table = (scale * rng.standard_normal((ROWS if mapped else TOKENS, width))).astype(dtype)
    weights = rng.random(TOKENS).astype(np.float32) if weighted else None
    mapping = rng.integers(0, ROWS, TOKENS).astype(np.int32) if mapped else None
    by_place = rng.random(places).astype(np.float32) if places else None
    starts = np.cumsum([0, *counts], dtype=np.int64)
    ids = rng.integers(0, TOKENS, starts[-1]).astype(np.int32)
    kept = int(rng.integers(1, width + 1))
    plain, compiled = (np.empty((len(counts), kept), dtype=np.float32) for _ in range(2))

    pool_plainly((table, weights, mapping, by_place), ids, starts, unit, plain)
    seen = table.view(np.uint16) if dtype == "float16" else table
    pool_texts((seen, weights, mapping, by_place), ids, starts, unit, np.arange(len(counts)), compiled)

    assert plain.tobytes() == compiled.tobytes()


@pytest.mark.parametrize("options", [{}, {"normalize": False}, {"max_length": 5}])
def test_texts_have_the_same_vectors_before_code_is_compiled(options, monkeypatch):
    texts = [*TEXTS, "", "\ud800 lone", " ".join(TEXTS) * 20] * 200
    expected, before = (make_encoder(dimensions=40, **options) for _ in range(2))
    monkeypatch.setattr(before._fast, "get", lambda work: None)
    assert before.encode(texts).tobytes() == expected.encode(texts).tobytes()
    assert before.encode(texts[0]).tobytes() == expected.encode(texts[0]).tobytes()
    assert [*map(list, before.tokenize(texts))] == [*map(list, expected.tokenize(texts))]
    assert before.count_tokens(texts).tolist() == expected.count_tokens(texts).tolist()


def test_a_call_goes_on_with_compiled_code_when_it_is_there(monkeypatch):
    texts = [f"{text} {number}" for number in range(400) for text in TEXTS]
    late = make_encoder(dimensions=24)
    ready = late._fast.get(600)
    answers = iter([None, None])
    monkeypatch.setattr(late._fast, "get", lambda work: next(answers, ready))
    assert np.array_equal(late.encode(texts), make_encoder(dimensions=24).encode(texts))
