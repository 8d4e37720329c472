"""Lists made from frames: the right passage says it, the others exchange its sides."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank.recipes.frames import HELD_OUT, framed, read_groups
from tests.rerank.factories import plain

TRAINED, HELD = read_groups()


def test_groups_are_many_and_some_are_held_out() -> None:
    assert len(TRAINED) + len(HELD) >= 300
    assert len(HELD) == -(-(len(TRAINED) + len(HELD)) // HELD_OUT)
    assert {group.sort for group in HELD} == {group.sort for group in TRAINED}
    assert not set(HELD) & set(TRAINED)


@given(st.integers(0, 2**32))
def test_the_right_passage_is_no_wrong_one(seed: int) -> None:
    _, (query, passages) = framed([*TRAINED, *HELD], np.random.default_rng(seed))
    assert query
    assert len(passages) == len(set(passages)) >= 2
    assert all(text[0] == text[0].upper() and text.endswith(".") for text in passages)
    assert not any(sign in text for text in (query, *passages) for sign in "{}")


@given(st.integers(0, 2**32))
def test_the_first_wrong_passage_has_the_words_of_the_right_one(seed: int) -> None:
    _, (_, passages) = framed(TRAINED, np.random.default_rng(seed))
    right, wrong = (set(re.findall(r"\w+", text.lower())) for text in passages[:2])
    assert right == wrong


def test_the_same_draw_gives_the_same_list() -> None:
    assert framed(TRAINED, np.random.default_rng(3)) == framed(TRAINED, np.random.default_rng(3))


def test_no_frame_is_a_sentence_of_the_probe(probe_sentences: set[str]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        _, (query, passages) = framed(TRAINED, rng)
        assert not probe_sentences & {plain(text) for text in (query, *passages)}
