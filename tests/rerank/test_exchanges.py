"""Exchanges: queries and passages of the same words, each query right about its own side's passages."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank.recipes.exchanges import Exchanges
from rerank.recipes.frames import read_groups
from rerank.recipes.senses import glossed_words
from tests.rerank.factories import plain

EXCHANGES = Exchanges.to_train_on()
SIDES_ONLY = Exchanges(EXCHANGES.groups, [])


@given(st.integers(0, 2**32))
def test_every_query_has_passages_that_are_right_and_passages_that_are_wrong(seed: int) -> None:
    drawn = EXCHANGES(np.random.default_rng(seed))
    assert len(drawn.queries) == len(drawn.query_sides)
    assert len(drawn.passages) == len(drawn.passage_sides)
    for side in drawn.query_sides:
        assert side in drawn.passage_sides
        assert set(drawn.passage_sides) - {side}
    assert not any(sign in text for text in (*drawn.queries, *drawn.passages) for sign in "{}")


@given(st.integers(0, 2**32))
def test_passages_of_both_sides_have_the_same_words(seed: int) -> None:
    drawn = SIDES_ONLY._of_sides(np.random.default_rng(seed))
    said: list[Counter[str]] = [Counter(), Counter()]
    for text, side in zip(drawn.passages, drawn.passage_sides, strict=True):
        said[side].update(re.findall(r"\w+", text.lower()))
    assert set(said[0]) == set(said[1])


def test_the_same_draws_give_the_same() -> None:
    assert EXCHANGES(np.random.default_rng(3)) == EXCHANGES(np.random.default_rng(3))


def test_what_is_kept_from_training_is_not_drawn() -> None:
    held = set(read_groups()[1])
    assert not held & {group for groups in EXCHANGES.groups.values() for group in groups}


def test_no_exchange_has_a_sentence_of_the_probe(probe_sentences: set[str]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(1000):
        drawn = EXCHANGES(rng)
        assert not probe_sentences & {plain(text) for text in (*drawn.queries, *drawn.passages)}


def test_a_dictionarys_examples_are_told_apart_by_its_glosses(tmp_path: Path) -> None:
    path = tmp_path / "glosses.jsonl.gz"
    rows = [
        ("he sat on the bank", "bank: sloping land beside water"),
        ("a grassy bank", "bank: sloping land beside water"),
        ("she robbed the bank", "bank: a place that lends money"),
        ("a lonely example", "lonely: without others"),
        ("bank", "sloping land beside water"),
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"query": a, "positive": b}) + "\n" for a, b in rows)
    words = glossed_words(path)
    assert [[sense.said for sense in word] for word in words] == [
        [("he sat on the bank", "a grassy bank"), ("she robbed the bank",)]
    ]
    draw = Exchanges(EXCHANGES.groups, EXCHANGES.words, words)
    drawn = [draw(np.random.default_rng(seed)) for seed in range(60)]
    of_the_word = [one for one in drawn if any("bank: " in text for text in one.queries)]
    assert of_the_word
    assert len(of_the_word) < len(drawn)
    for one in of_the_word:
        right = dict(zip(one.passages, one.passage_sides, strict=True))
        lends = next(side for text, side in right.items() if "robbed" in text)
        asked = dict(zip(one.queries, one.query_sides, strict=True))
        assert asked["bank: a place that lends money"] == lends
