"""Small models and corpora, made from seeds: no test downloads anything or needs the bundled weights."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from retriever.encoder import StaticEncoder

WORDS = (
    "the a cat dog sat ran on mat stock stocks fell rose sharply today zebra bird flew over sea wind storm "
    "paper prints colour red blue green one two three four five six seven eight nine ten"
).split()

CORPUS = [
    {
        "id": "cat",
        "title": "Pets",
        "text": "The cat sat on the mat.",
        "metadata": {"lang": "en", "year": 2019},
    },
    {
        "id": "dog",
        "title": "Pets",
        "text": "A dog ran over the mat.",
        "metadata": {"lang": "en", "year": 2021},
    },
    {
        "id": "stocks",
        "title": "Money",
        "text": "Stocks fell sharply today.",
        "metadata": {"lang": "en", "year": 2022},
    },
    {
        "id": "storm",
        "title": "",
        "text": "Wind and storm over the sea.",
        "metadata": {"lang": "de", "tags": ["faq"]},
    },
    {"id": "zebra", "title": "", "text": "Zebra, zebra: one red, two blue.", "metadata": {}},
]


def tiny_tokenizer(words: Sequence[str] = WORDS) -> Tokenizer:
    """A word-piece tokenizer with whole words, their characters and an unknown token."""
    pieces = ["[UNK]", *dict.fromkeys(words)]
    pieces += [piece for c in "abcdefghijklmnopqrstuvwxyz0123456789.,:!?" for piece in (c, f"##{c}")]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def tiny_encoder(dimensions: int = 16, seed: int = 0) -> StaticEncoder:
    """A static encoder with random rows."""
    tokenizer = tiny_tokenizer()
    rows = np.random.default_rng(seed).normal(size=(tokenizer.get_vocab_size(), dimensions))
    return StaticEncoder(rows.astype(np.float32), tokenizer)


class OverlapReranker:
    """Scores a passage by the share of the query's words it holds; deterministic, and really reads both."""

    name = "overlap"
    recommended_weight = 1.0

    def __init__(self) -> None:
        self.calls = 0

    def score(self, query: str, passages: Sequence[str]) -> np.ndarray:
        return self.score_pairs([(query, passage) for passage in passages])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        self.calls += 1
        return np.asarray([_overlap(query, passage) for query, passage in pairs], dtype=np.float32)


def _overlap(query: str, passage: str) -> float:
    asked, there = (set(re.findall(r"\w+", text.lower())) for text in (query, passage))
    return len(asked & there) / max(1, len(asked))
