"""The pairs that the bundled rerankers learn from: how many of each source, and pairs made from text."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Lists taken of each file. Breadth before size: every kind of query, none of them the bulk. The claims of
# scifact stay out, so that scifact measures a domain the model has not seen.
LISTS = {
    "questions_mixed": 9_000,
    "squad_questions": 3_000,
    "natural_questions": 2_725,
    "documentation_faq": 2_000,
    "medquad": 1_500,
    "pubmedqa_questions": 1_000,
    "climate_claims": 1_400,
    "enwiki_sections": 2_200,
    "documentation": 2_200,
    "debian_packages": 900,
    "wordnet_glosses": 600,
}
SENTENCES, KEYWORDS = 1_500, 900  # lists made from plain Wikipedia paragraphs
POOL = 8_000  # passages that a file's negatives are mined from, at most
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]{2,}")
LONGEST_GLOSS = 90  # characters
SHORTEST = 20  # characters; below this a text says too little to be a passage
LONGEST = 900  # characters kept of a passage: more than the model reads of it in training


Pair = tuple[str, str]


def read_pairs(path: Path, count: int, rng: np.random.Generator) -> list[Pair]:
    """Draw (query, positive) pairs from a file, evenly over its sources.

    :param path: `<name>.jsonl.gz`, one {"query", "positive", "source"?} a line.
    :param count: pairs drawn at most.
    :param rng: draws.
    :return: the pairs, shuffled.
    """
    by_source: dict[str, list[Pair]] = defaultdict(list)
    for row in _rows(path):
        if len(row["positive"]) >= SHORTEST:
            by_source[row.get("source", "")].append((row["query"], row["positive"][:LONGEST]))
    # The square root of a source's size: a small manual is heard, and is not repeated either.
    share = {name: math.sqrt(len(pairs)) for name, pairs in by_source.items()}
    left = count
    drawn: list[Pair] = []
    for name in sorted(by_source, key=lambda name: len(by_source[name])):
        pairs = by_source[name]
        quota = min(len(pairs), max(1, round(left * share[name] / sum(share.values()))))
        drawn.extend(pairs[row] for row in rng.permutation(len(pairs))[:quota])
        left -= quota
        del share[name]
    return [drawn[row] for row in rng.permutation(len(drawn))]


def paragraphs(data: Path) -> Iterator[str]:
    """Read Wikipedia's paragraphs, as they come.

    :param data: folder of the training pairs.
    """
    return (row["text"] for row in _rows(data / "enwiki_passages.jsonl.gz"))


def pairs_of_paragraphs(path: Path, rng: np.random.Generator) -> dict[str, list[Pair]]:
    """Make pairs from paragraphs: a sentence and the rest of its paragraph; its rarest words and itself.

    :param path: one {"title", "text"} a line.
    :param rng: draws.
    :return: pairs by kind.
    """
    rows = [row for row in _rows(path) if len(SENTENCE_END.split(row["text"])) >= 4]
    picked = [rows[row] for row in rng.permutation(len(rows))[: SENTENCES + KEYWORDS]]
    frequency = Counter(
        word for row in rows[:20_000] for word in {w.lower() for w in WORD.findall(row["text"])}
    )
    made: dict[str, list[Pair]] = {"sentence": [], "keywords": []}
    for row in picked[:SENTENCES]:
        sentences = SENTENCE_END.split(row["text"])
        taken = int(rng.integers(len(sentences)))
        query = sentences[taken] if rng.random() < 0.7 else " ".join(sentences[taken : taken + 2])
        rest = " ".join(sentence for sentence in sentences if sentence not in query)
        if len(rest) >= SHORTEST:
            made["sentence"].append((query, f"{row['title']}\n{rest}"[:LONGEST]))
    for row in picked[SENTENCES:]:
        words = {word.lower() for word in WORD.findall(row["text"][:LONGEST])}
        rare = sorted(words, key=lambda word: frequency[word] or math.inf)[:12]
        some = [rare[place] for place in rng.permutation(len(rare))[: int(rng.integers(3, 7))]]
        made["keywords"].append((" ".join(some), row["text"][:LONGEST]))
    return made


def sense_groups(path: Path, rng: np.random.Generator, count: int) -> Iterator[tuple[str, list[str]]]:
    """Find lemmas with several glosses, each with its own synonym or example to ask by.

    :param path: the WordNet pairs: lemma to gloss, lemma to synonym, example to gloss.
    :param rng: draws.
    :param count: groups at most.
    :return: (query, glosses), the right gloss first, the others being other senses of the same lemma.
    """
    glosses, examples = _glosses_and_examples(path)
    usable = [query for query, (lemma, gloss) in examples.items() if set(glosses[lemma]) - {gloss}]
    for place in rng.permutation(len(usable))[:count]:
        lemma, gloss = examples[usable[place]]
        others = sorted(set(glosses[lemma]) - {gloss})
        picked = [others[row] for row in rng.permutation(len(others))[:4]]
        yield usable[place], [f"{lemma}: {text}" for text in (gloss, *picked)]


def examples_by_sense(path: Path) -> dict[str, dict[str, list[str]]]:
    """Find lemmas whose senses have examples, of two senses at least.

    :param path: the WordNet pairs.
    :return: examples by gloss, by lemma.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for example, (lemma, gloss) in _glosses_and_examples(path)[1].items():
        found[lemma][gloss].append(example)
    return {lemma: dict(senses) for lemma, senses in found.items() if len(senses) > 1}


def _glosses_and_examples(path: Path) -> tuple[dict[str, list[str]], dict[str, tuple[str, str]]]:
    """The glosses of each lemma, and the lemma and gloss that each example is of."""
    glosses: dict[str, list[str]] = defaultdict(list)
    examples: dict[str, tuple[str, str]] = {}
    for row in _rows(path):
        lemma, separator, gloss = row["positive"].partition(": ")
        if separator and lemma in row["query"]:
            examples[row["query"]] = (lemma, gloss)
        elif len(row["positive"]) >= SHORTEST:
            glosses[row["query"]].append(row["positive"])
    return glosses, examples


def word_glosses(path: Path) -> list[Pair]:
    """Read words with what they mean, where that is short.

    :param path: the WordNet pairs.
    :return: (word, gloss).
    """
    return [
        (row["query"], row["positive"])
        for row in _rows(path)
        if SHORTEST <= len(row["positive"]) <= LONGEST_GLOSS and ": " not in row["positive"]
    ]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
