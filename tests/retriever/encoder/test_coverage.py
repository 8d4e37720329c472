"""The vocabulary report counts what the tokenizer does."""

from __future__ import annotations

import pytest

from retriever.encoder.tokens import unknown_id
from tests.retriever.encoder.tokenizer_factory import TEXTS, make_encoder, unigram, word_piece

CORPUS = [*TEXTS, "kubernetes kubernetes Kubernetes ☃ ☃", "kubernetes, observability; kubernetes"]


@pytest.mark.parametrize("tokenizer", [word_piece(), unigram()], ids=["WordPiece", "Unigram"])
def test_counts(tokenizer):
    encoder = make_encoder(tokenizer)
    report = encoder.coverage(iter(CORPUS), top=5)
    ids = [
        token
        for encoding in encoder.tokenizer.encode_batch(CORPUS, add_special_tokens=False)
        for token in encoding.ids
    ]
    assert report.texts == len(CORPUS)
    assert report.tokens == len(ids)
    assert report.unknown_tokens == ids.count(unknown_id(tokenizer))
    assert report.unknown_share == report.unknown_tokens / report.tokens
    assert report.pieces_per_word == report.tokens / report.words


def test_fragmented_words_and_their_cost():
    encoder = make_encoder(dimensions=32)
    report = encoder.coverage(CORPUS, top=3)
    most = report.fragmented[0]
    assert (most.word, most.count) == ("kubernetes", 5)
    assert (
        len(most.pieces) >= 3 and "".join(piece.removeprefix("##") for piece in most.pieces) == "kubernetes"
    )
    assert report.cost_bytes == 3 * 32 * 4
    words = [item.word for item in report.fragmented]
    after = encoder.with_vocabulary(words).coverage(CORPUS, top=3)
    assert after.pieces_per_word == pytest.approx(report.pieces_per_word_after)
    assert not {item.word for item in after.fragmented} & set(words)


def test_an_empty_corpus():
    report = make_encoder().coverage([])
    assert (report.texts, report.words, report.unknown_share, report.fragmented) == (0, 0, 0.0, ())
    assert report.to_dict()["cost_bytes"] == 0
