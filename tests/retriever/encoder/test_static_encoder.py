"""Shapes, streams, threads, truncation, bad input: what `StaticEncoder` promises."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError, InvalidTypeError
from tests.retriever.encoder.tokenizer_factory import TEXTS, make_encoder, random_table, unigram, word_piece


def corpus(size, seed=0):
    words = " ".join(TEXTS).split() + [f"word{number}" for number in range(300)]
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(words, random.integers(0, 120))) for _ in range(size)]


def test_shapes():
    encoder = make_encoder(dimensions=24)
    assert encoder.encode("text").shape == (24,)
    assert encoder.encode([]).shape == (0, 24)
    assert encoder.encode(["a", "b", ""]).shape == (3, 24)
    assert encoder.encode(("a", "b")).dtype == np.float32
    assert encoder.encode(np.array(["a", "b"])).shape == (2, 24)
    assert encoder.tokenize([]) == [] and encoder.count_tokens([]).shape == (0,)
    assert repr(encoder).endswith(" rows, 24 dimensions)")
    assert repr(encoder.with_position_weights([1.0])).endswith("24 dimensions, position weights)")


def test_a_text_without_known_tokens_is_zeros():
    for normalize in (True, False):
        assert not make_encoder(normalize=normalize).encode(["", " \n", "\x00"]).any()


@pytest.mark.parametrize("dimensions", [1, 7, 16, 48, 128, 144, 300])
@pytest.mark.parametrize("tokenizer", [word_piece(), unigram()], ids=["words", "tokenizer's way"])
def test_any_number_of_dimensions(dimensions, tokenizer):
    table = random_table(tokenizer, dimensions)
    encoder = StaticEncoder(table, tokenizer, normalize=False)
    means = [table[ids].mean(axis=0) for ids in encoder.tokenize(TEXTS)]
    np.testing.assert_allclose(encoder.encode(TEXTS), means, atol=1e-5)


@pytest.mark.parametrize("tokenizer", [word_piece(), unigram()], ids=["words", "tokenizer's way"])
def test_a_token_counts_by_its_place(tokenizer):
    table, weights = random_table(tokenizer, 24), np.array([2, 1, 0.25], dtype=np.float32)
    plain = StaticEncoder(table, tokenizer, normalize=False)
    encoder = plain.with_position_weights(weights)
    for text, ids, vector in zip(TEXTS, plain.tokenize(TEXTS), encoder.encode(TEXTS), strict=True):
        factors = [weights[min(place, 2)] for place in range(len(ids))]
        expected = np.sum([factor * table[token] for factor, token in zip(factors, ids, strict=True)], axis=0)
        np.testing.assert_allclose(vector * len(ids), expected, atol=1e-4, err_msg=text)
    assert encoder.position_weights.tolist() == [2, 1, 0.25] and plain.position_weights is None
    assert np.array_equal(encoder.with_position_weights(None).encode(TEXTS), plain.encode(TEXTS))


def test_equal_position_weights_change_nothing():
    encoder = make_encoder()
    np.testing.assert_allclose(
        encoder.with_position_weights([3.0]).encode(TEXTS), encoder.encode(TEXTS), atol=1e-6
    )


def test_position_weights_stay_with_what_is_made_of_an_encoder():
    encoder = make_encoder(dimensions=32).with_position_weights([1.0, 0.5])
    others = encoder.quantize("int8"), encoder.truncate(8), encoder.with_vocabulary(["zyzzyva"])
    assert all(other.position_weights.tolist() == [1, 0.5] for other in others)


@pytest.mark.parametrize("weights", [[], [[1.0]], [1.0, 0.0], [-1.0], [np.nan], [np.inf], [3e38], 1.0])
def test_position_weights_that_cannot_be(weights):
    with pytest.raises(InvalidInputError, match="position_weights must|at least one place"):
        make_encoder().with_position_weights(weights)


@pytest.mark.parametrize("weights", ["abc", ["1"], [True], [[1], [1, 2]], {0: 1.0}, [None, 1], iter([1.0])])
def test_position_weights_that_are_no_numbers(weights):
    with pytest.raises(InvalidTypeError, match="must be numbers"):
        make_encoder().with_position_weights(weights)


def test_position_weights_are_the_encoders_own():
    weights = np.ones(3, dtype=np.float32)
    encoder = make_encoder().with_position_weights(weights)
    weights[0] = 9
    assert encoder.position_weights.tolist() == [1, 1, 1]


def test_the_same_bits_for_any_number_of_threads():
    texts = corpus(3000)
    expected = make_encoder().encode(texts, threads=1)
    for threads in (2, 16):
        cold = make_encoder()
        assert np.array_equal(cold.encode(texts, threads=threads), expected)
        assert np.array_equal(cold.encode(texts, threads=threads), expected)
    assert np.array_equal([make_encoder().encode(text) for text in texts[:50]], expected[:50])


def test_threads_with_different_lengths():
    """model2vec keeps the length in shared state, and gives one thread what another asked for."""
    encoder, texts = make_encoder(memory_words=256), corpus(200)
    expected = {length: make_encoder().encode(texts, max_length=length) for length in (1, 3, 20, 512)}

    def encode(length):
        return length, encoder.encode(texts, max_length=length, threads=2)

    with ThreadPoolExecutor(8) as executor:
        for length, vectors in executor.map(encode, [1, 3, 20, 512] * 10):
            assert np.array_equal(vectors, expected[length])


def test_streams_read_no_further_than_they_must():
    taken = 0

    def source():
        nonlocal taken
        for text in texts:
            taken += 1
            yield text

    encoder, texts = make_encoder(), corpus(50)
    stream = encoder.encode_stream(source(), block_texts=8)
    first = next(stream)
    assert taken == 8
    assert np.array_equal(np.concatenate([first, *stream]), encoder.encode(texts))
    assert list(encoder.encode_stream(iter(()))) == []


def test_counts_are_of_all_tokens():
    encoder = make_encoder()
    encodings = encoder.tokenizer.encode_batch(TEXTS, add_special_tokens=False)
    assert encoder.count_tokens(TEXTS).tolist() == [len(encoding.ids) for encoding in encodings]


def test_truncated_vectors_share_the_table():
    encoder = make_encoder(dimensions=64)
    short = encoder.truncate(16)
    assert short.dimensions == 16 and np.shares_memory(short._table, encoder._table)
    expected = encoder.encode(TEXTS)[:, :16]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode(TEXTS), expected, atol=1e-6)
    assert short.fingerprint != encoder.fingerprint
    with pytest.raises(InvalidInputError, match="from 1 to 64, not 65"):
        encoder.truncate(65)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_small_tables(dtype):
    encoder = make_encoder(dimensions=64)
    small = encoder.quantize(dtype)
    assert small._table.dtype == dtype
    similarity = (small.encode(TEXTS) * encoder.encode(TEXTS)).sum(axis=1)
    assert similarity.min() > 0.999
    exact = small._table.astype(np.float32) * (1 if small._weights is None else small._weights[:, None])
    np.testing.assert_allclose(
        small.encode(TEXTS), StaticEncoder(exact, word_piece()).encode(TEXTS), atol=1e-6
    )


def test_changing_the_tokenizer_one_was_given_changes_nothing():
    encoder = make_encoder()
    expected = encoder.encode(TEXTS)
    encoder.tokenizer.enable_truncation(1)
    encoder.tokenizer.enable_padding(length=500)
    assert np.array_equal(encoder.encode(TEXTS), expected)


def test_lone_surrogates_are_replacement_characters():
    encoder = make_encoder(unigram())
    assert np.array_equal(encoder.encode("the \ud800 fox"), encoder.encode("the \ufffd fox"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda encoder: encoder.encode(3), InvalidTypeError, "not int"),
        (lambda encoder: encoder.encode(b"bytes"), InvalidTypeError, "not bytes"),
        (lambda encoder: encoder.encode(text for text in "ab"), InvalidTypeError, "encode_stream"),
        (lambda encoder: encoder.encode(["a", None]), InvalidTypeError, "text 1 is a NoneType"),
        (
            lambda encoder: encoder.encode("a", max_length=0),
            InvalidInputError,
            "max_length must be at least 1",
        ),
        (lambda encoder: encoder.encode(["a"], threads=0), InvalidInputError, "threads must be at least 1"),
        (lambda encoder: list(encoder.encode_stream([], block_texts=0)), InvalidInputError, "block_texts"),
        (lambda encoder: encoder.quantize("int4"), InvalidInputError, "int4"),
        (lambda encoder: make_encoder(memory_words=0), InvalidInputError, "memory_words"),
        (
            lambda encoder: StaticEncoder(np.zeros((3, 2), "f4"), word_piece()),
            InvalidInputError,
            "different models",
        ),
        (lambda encoder: StaticEncoder(np.zeros(3, "f4"), word_piece()), InvalidInputError, "shape"),
        (lambda encoder: StaticEncoder(np.zeros((3, 2)), word_piece()), InvalidInputError, "float64"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(make_encoder())


def test_importing_does_not_import_numba():
    code = (
        "import sys, retriever, retriever.encoder; sys.exit('numba' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
