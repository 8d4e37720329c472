"""Texts of nothing but new words: exact, and not slower than they have to be."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from retriever.encoder.fast_path import FastPath
from retriever.encoder.tokens import private_copy, unknown_id
from tests.retriever.encoder.tokenizer_factory import make_encoder, random_table, word_piece

SYLLABLES = (0xAC00, 0xD7A3)  # no word of them is in the vocabulary


def strange_words(rng: np.random.Generator, count: int) -> list[str]:
    return ["".join(map(chr, rng.integers(*SYLLABLES, size=4))) for _ in range(count)]


def fast_path() -> FastPath:
    tokenizer = private_copy(word_piece())
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    model = random_table(tokenizer, 16), None, None, None
    return FastPath(tokenizer, vocabulary, unknown_id(tokenizer), model, 10_000)


def test_new_words_are_exact_whether_learned_or_left_to_the_tokenizer():
    encoder, rng = make_encoder(dimensions=16), np.random.default_rng(0)
    unknown = unknown_id(encoder.tokenizer)
    for _ in range(10):
        texts = [" ".join([*strange_words(rng, 60), "the quick fox"]) for _ in range(4)]
        for found, encoding in zip(
            encoder.tokenize(texts),
            encoder.tokenizer.encode_batch(texts, add_special_tokens=False),
            strict=True,
        ):
            assert found.tolist() == [token for token in encoding.ids if token != unknown]


def test_most_texts_full_of_new_words_are_left_to_the_tokenizer_and_every_eighth_is_learned():
    path, rng = fast_path(), np.random.default_rng(1)
    texts = [" ".join(strange_words(rng, 60)) for _ in range(9)]
    left = [bool(path.tokenize([text], None, 1)[2]) for text in texts]
    assert left == [False, *[True] * 7, False]
    assert not path.tokenize([texts[0]], None, 1)[2]  # known by now


def test_a_few_new_words_are_always_learned():
    path, rng = fast_path(), np.random.default_rng(2)
    for _ in range(20):
        assert not path.tokenize([" ".join(strange_words(rng, 20))], None, 1)[2]


@pytest.mark.parametrize("prefix", ["##", "@", "añ", ""])
def test_words_are_cut_whatever_stands_before_the_pieces_inside(prefix):
    heads, inside = ["a", "ab", "c", "é"], ["a", "b", "bca", "é", "éc", "abcabcabcabcabcabc"]
    names = dict.fromkeys(["[UNK]", *heads, *(prefix + piece for piece in inside)])
    tokenizer = Tokenizer(
        models.WordPiece(
            {name: token for token, name in enumerate(names)},
            unk_token="[UNK]",
            continuing_subword_prefix=prefix,
        )
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    encoder, rng = make_encoder(tokenizer, dimensions=16), np.random.default_rng(3)
    texts = [" ".join("".join(rng.choice([*"abcé"], size=rng.integers(1, 40))) for _ in range(200))]
    texts += ["a" + "abc" * 12, "abcabcabcabcabcabc", "ñaña aña"]
    for found, encoding in zip(
        encoder.tokenize(texts, max_length=1000),
        encoder.tokenizer.encode_batch(texts, add_special_tokens=False),
        strict=True,
    ):
        assert found.tolist() == [token for token in encoding.ids if token != 0][:1000]
