"""Own words get one row, and texts keep their vectors until it is trained."""

from __future__ import annotations

import numpy as np
import pytest

from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from tests.retriever.encoder.tokenizer_factory import TEXTS, byte_level_bpe, make_encoder, unigram, word_piece

QUESTIONS = [*TEXTS, "a Retriever retrieves; unretrieverly retriever.", "kubernetes!"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_vectors_stay(dtype, tmp_path):
    encoder = make_encoder(dimensions=64).quantize(dtype)
    longer = encoder.with_vocabulary(["Retriever", "kubernetes", "the", "retriever"])
    assert longer.count_tokens(["retriever", "Kubernetes", "the"]).tolist() == [1, 1, 1]
    assert len(longer._table) == len(encoder._table) + 2
    similarity = (longer.encode(QUESTIONS) * encoder.encode(QUESTIONS)).sum(axis=1)
    assert similarity.min() > 0.999
    longer.save(tmp_path)
    assert np.array_equal(StaticEncoder.load(tmp_path).encode(QUESTIONS), longer.encode(QUESTIONS))


@pytest.mark.parametrize("tokenizer", [word_piece(lowercase=False), unigram(), byte_level_bpe()], ids=str)
def test_given_rows_are_used(tokenizer):
    rows = np.random.default_rng(3).standard_normal((1, 48), dtype=np.float32)
    longer = make_encoder(tokenizer).with_vocabulary(["kubernetes"], vectors=rows)
    np.testing.assert_allclose(longer.encode("kubernetes"), rows[0] / np.linalg.norm(rows), atol=1e-6)
    before, after = make_encoder(tokenizer).tokenize(TEXTS), longer.tokenize(TEXTS)
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_quantized_vocabulary():
    tokenizer = word_piece()
    tokens = tokenizer.get_vocab_size()
    mapping = (np.arange(tokens) % 20).astype(np.int32)
    weights = np.linspace(0.5, 2, tokens, dtype=np.float32)
    table = np.random.default_rng(0).standard_normal((20, 32), dtype=np.float32)
    encoder = StaticEncoder(table, tokenizer, weights=weights, mapping=mapping)
    longer = encoder.with_vocabulary(["kubernetes"])
    np.testing.assert_allclose(longer.encode(QUESTIONS), encoder.encode(QUESTIONS), atol=1e-5)


@pytest.mark.parametrize("word", ["C++", "New York", "", " "])
def test_what_is_no_word(word):
    with pytest.raises(InvalidInputError, match="is not one word"):
        make_encoder().with_vocabulary([word])


def test_rows_of_another_shape():
    with pytest.raises(InvalidInputError, match=r"shape \(1, 48\), not \(1, 3\)"):
        make_encoder().with_vocabulary(["kubernetes"], vectors=np.zeros((1, 3), dtype=np.float32))


def test_a_word_that_is_not_in_the_vocabulary_at_all_gets_its_vector():
    encoder = make_encoder(word_piece(), dimensions=16)
    vectors = np.eye(1, encoder.dimensions, dtype=np.float32)
    longer = encoder.with_vocabulary(["\U0001f984"], vectors=vectors)
    np.testing.assert_allclose(longer.encode("\U0001f984"), vectors[0], atol=1e-6)
