"""Small corpora and a cheap reranker for the tests of eval."""

import random

import numpy as np

from eval.datasets import Dataset
from retriever import StaticEncoder
from retriever.types import Document
from tests.factories import tiny_tokenizer

TOPICS = {
    "sea": "whale harbour tide sailor reef anchor lighthouse current shoal squid",
    "space": "orbit comet telescope rocket crater nebula satellite gravity launch asteroid",
    "kitchen": "oven flour butter whisk dough simmer garlic pepper roast kettle",
    "garden": "soil seed prune compost rose hedge lawn weed tulip shovel",
}


def topical_encoder(dimensions=64, seed=0):
    """A static encoder in which words of one topic lie near each other."""
    draw = np.random.default_rng(seed)
    tokenizer = tiny_tokenizer([word for words in TOPICS.values() for word in words.split()])
    table = draw.normal(size=(tokenizer.get_vocab_size(), dimensions)).astype(np.float32)
    for words in TOPICS.values():
        centre = draw.normal(size=dimensions).astype(np.float32)
        for word in words.split():
            table[tokenizer.token_to_id(word)] += centre
    return StaticEncoder(table, tokenizer)


def topical_dataset(documents=60, queries=12, seed=0):
    """Documents of three topics' words each; a query is some words of its relevant documents."""
    draw = random.Random(seed)
    names = list(TOPICS)
    texts = []
    for number in range(documents):
        words = TOPICS[names[number % 4]].split()
        other = TOPICS[names[(number + 1) % 4]].split()
        texts.append(" ".join(draw.choices(words, k=12) + draw.choices(other, k=4)))
    corpus = [Document(id=f"d{n}", text=text, title=names[n % 4]) for n, text in enumerate(texts)]
    asked, qrels = {}, {}
    for number in range(queries):
        relevant = draw.randrange(documents)
        asked[f"q{number}"] = " ".join(draw.sample(texts[relevant].split(), 3))
        qrels[f"q{number}"] = {f"d{relevant}": 2, f"d{(relevant + 4) % documents}": 1}
    return Dataset("topics", asked, qrels, corpus)


class OverlapReranker:
    """Scores a passage by the share of its words that the query has; counts what it is asked."""

    recommended_weight = 0.7

    def __init__(self):
        self.pairs = 0

    def score(self, query, passages):
        self.pairs += len(passages)
        words = set(query.split())
        return np.asarray(
            [sum(word in words for word in text.split()) / (len(text) + 1) for text in passages],
            dtype=np.float32,
        )
