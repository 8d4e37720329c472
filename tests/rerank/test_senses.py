"""Lists in which only the sense of a word tells the right passage."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank.recipes.frames import HELD_OUT
from rerank.recipes.senses import ambiguous, read_words
from tests.rerank.factories import plain

TRAINED, HELD = read_words()


def test_words_are_many_and_some_are_held_out() -> None:
    assert len(TRAINED) + len(HELD) >= 200
    assert len(HELD) == -(-(len(TRAINED) + len(HELD)) // HELD_OUT)
    assert not set(HELD) & set(TRAINED)
    assert all(len(word) >= 2 for word in TRAINED)


@given(st.integers(0, 2**32))
def test_each_passage_is_of_another_sense(seed: int) -> None:
    query, passages = ambiguous(TRAINED, np.random.default_rng(seed))
    assert query and len(passages) == len(set(passages)) >= 2
    assert query.lower() not in {text.lower().rstrip(".") for text in passages}


def test_no_statement_is_a_sentence_of_the_probe(probe_sentences: set[str]) -> None:
    for word in (*TRAINED, *HELD):
        for sense in word:
            assert not probe_sentences & {plain(text) for text in (*sense.said, *sense.asked)}
