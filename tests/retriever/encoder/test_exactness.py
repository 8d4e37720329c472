"""The token ids are the tokenizer's and the vectors model2vec's, whatever the text."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from model2vec import StaticModel
from tokenizers import AddedToken, normalizers

from rerank.well_formed import well_formed
from retriever.encoder.tokens import unknown_id
from tests.retriever.encoder.tokenizer_factory import (
    TEXTS,
    byte_level_bpe,
    copied,
    make_encoder,
    random_table,
    renormalized,
    unigram,
    with_added,
    word_piece,
)

TOKENIZERS = {
    "uncased": word_piece(),
    "cased": word_piece(lowercase=False),
    "uncased, accents kept": word_piece(strip_accents=False),
    "cased, accents stripped": word_piece(lowercase=False, strip_accents=True),
    "unigram": unigram(),
    "byte-level BPE": byte_level_bpe(),
    "byte-level BPE, prefix space": byte_level_bpe(add_prefix_space=True),
    "no normalizer": renormalized(word_piece(), None),
    "accents apart": renormalized(
        word_piece(strip_accents=False), normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    ),
    "accents composed": renormalized(
        word_piece(), normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    ),
    "token inside words": with_added(word_piece(), AddedToken("fox", normalized=False)),
    "token with marks": with_added(word_piece(), AddedToken("a[b]", normalized=False, special=True)),
    "token with a space": with_added(word_piece(), AddedToken("lazy dog", normalized=True)),
    "token that minds its neighbours": with_added(word_piece(), AddedToken("dog", single_word=True)),
}
ENCODERS = {name: make_encoder(tokenizer, max_length=None) for name, tokenizer in TOKENIZERS.items()}

AWKWARD = [
    *[
        "[CLS]",
        "[UNK]",
        "[[CLS]]",
        "[CLS",
        "[ CLS ]",
        "[cls]",
        "<s>",
        "<unk>",
        "<|endoftext|>",
        "a[b]",
        "lazy dog",
    ],
    *[
        "\x00",
        "\x0b",
        "\x1c",
        "\x7f",
        "\x85",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\ud800",
        "\udfff",
    ],
    *[
        "\u0301",
        "a\u0301",
        "<\u0338",
        "=\u0338",
        "\u0344",
        "\u0345",
        "\u1e9b\u0323",
        "q\u0307\u0323",
        "\u037e",
        "\u1fef",
    ],
    *[
        "中",
        "文字",
        "𠀀",
        "\U0002f800",
        "가",
        "한국어",
        "か\u3099",
        "が",
        "ﾊﾟ",
        "１２",
        "ａ",
        "ﬁ",
        "½",
        "ß",
        "İ",
        "ı",
        "Σ",
        "ς",
        "ǅ",
    ],
    *[
        "🙂",
        "👨‍👩‍👧",
        "🇫🇷",
        "क्षि",
        "ก็",
        "שָׁ",
        "’",
        "“",
        "—",
        "…",
        "don't",
        "'s",
        "'ll",
        "_",
        "foo_bar",
        "##ing",
        "fox",
        "dog",
    ],
    *[
        "x" * 99,
        "x" * 100,
        "x" * 101,
        "é" * 60,
        "y" * 64,
        "z" * 63 + ",",
        "w" * 65,
        "中" * 40,
        "Ab" * 3000,
        "1" * 16,
        "2" * 17,
    ],
]
pieces = st.one_of(
    st.sampled_from(AWKWARD),
    st.sampled_from(" ".join(TEXTS).split()),
    st.characters(),
    st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
    st.text(alphabet=st.characters(min_codepoint=0x80, max_codepoint=0x52F), max_size=8),
    st.text(alphabet=st.characters(min_codepoint=0x900, max_codepoint=0xFFF), max_size=8),
    st.text(alphabet="".join(dict.fromkeys("".join(TEXTS[6]))), max_size=8),
    st.text(alphabet="abcXYZ019'-_.,[] \t\n", max_size=12),
)
texts = st.lists(st.tuples(pieces, st.sampled_from(["", " ", " ", "  ", "\n"])), max_size=30).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)
thorough = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def expected_ids(tokenizer, batch, max_length=None):
    plain, unknown = copied(tokenizer), unknown_id(tokenizer)
    plain.no_padding()
    plain.no_truncation()
    encodings = plain.encode_batch([well_formed(text) for text in batch], add_special_tokens=False)
    return [[token for token in encoding.ids[:max_length] if token != unknown] for encoding in encodings]


@pytest.mark.parametrize("name", TOKENIZERS)
@thorough
@given(batch=st.lists(texts, min_size=1, max_size=6), max_length=st.sampled_from([None, None, 1, 2, 7, 30]))
@example(batch=AWKWARD, max_length=None)
@example(batch=[" ".join(AWKWARD)], max_length=None)
@example(batch=["", " ", "\n\t", "\x00", "."], max_length=1)
def test_token_ids_are_the_tokenizers(name, batch, max_length):
    found = ENCODERS[name].tokenize(batch, max_length=max_length)
    assert [ids.tolist() for ids in found] == expected_ids(TOKENIZERS[name], batch, max_length)


@pytest.mark.parametrize("name", ["uncased", "cased"])
def test_every_character(name):
    """Each character of the basic plane by itself, within a word and between words."""
    batch = [
        f"{chr(code)} x{chr(code)}x {chr(code)}," for code in range(0x10000) if not 0xD800 <= code < 0xE000
    ]
    batch = [" q ".join(batch[first : first + 64]) for first in range(0, len(batch), 64)]
    found = ENCODERS[name].tokenize(batch)
    assert [ids.tolist() for ids in found] == expected_ids(TOKENIZERS[name], batch)


@pytest.mark.parametrize("name", ["uncased", "cased", "unigram", "byte-level BPE"])
@settings(thorough, max_examples=15)
@given(batch=st.lists(texts, min_size=1, max_size=6))
@example(batch=[*TEXTS, "", "\x00", " ".join(TEXTS) * 3])
def test_vectors_are_model2vecs(name, batch):
    tokenizer = TOKENIZERS[name]
    model = StaticModel(random_table(tokenizer), tokenizer, normalize=True, max_length=None)
    ours = ENCODERS[name].encode(batch)
    theirs = model.encode([well_formed(text) for text in batch], max_length=None)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    lengths = np.linalg.norm(ours, axis=1)
    np.testing.assert_allclose(lengths[np.linalg.norm(theirs, axis=1) > 0.5], 1.0, atol=1e-5)


@pytest.mark.parametrize("max_length", [1, 5, 12, 512])
def test_truncation_counts_tokens(max_length):
    tokenizer = TOKENIZERS["uncased"]
    model = StaticModel(random_table(tokenizer), tokenizer, normalize=True, max_length=max_length)
    model.median_token_length = 1000  # else it cuts by characters first, where words are long
    batch = ["the dog , the fox . " * 40, "a b c d e f g h i j k l m n", "retrieval finds passages " * 300]
    np.testing.assert_allclose(
        make_encoder(tokenizer).encode(batch, max_length=max_length), model.encode(batch), atol=1e-5
    )
    expected = expected_ids(tokenizer, batch, max_length)
    assert [
        ids.tolist() for ids in make_encoder(tokenizer).tokenize(batch, max_length=max_length)
    ] == expected


def test_accents_composed_or_not_are_one():
    encoder = make_encoder(word_piece())
    composed = "Où est passé l'été à Besançon"
    assert np.array_equal(encoder.encode(composed), encoder.encode(unicodedata.normalize("NFD", composed)))


def test_a_memory_too_small_changes_nothing():
    words = [f"w{number}x{number * 7}" for number in range(5000)]
    batch = [" ".join(words[first : first + 50]) for first in range(0, 5000, 50)]
    small, large = make_encoder(memory_words=64), make_encoder()
    assert np.array_equal(small.encode(batch), large.encode(batch))
    assert np.array_equal(small.encode(batch[::-1])[::-1], large.encode(batch))
