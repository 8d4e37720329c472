"""Minimal pairs of what is kept from training."""

from __future__ import annotations

import numpy as np

from rerank.recipes.frames import framed, read_groups
from rerank.recipes.senses import ambiguous, read_words
from rerank.train.exchange import MinimalPair


def held_out_pairs(frames: int, senses: int) -> list[MinimalPair]:
    """Draw from the relations and words that are kept from training.

    :param frames: pairs of relations.
    :param senses: pairs of words' senses.
    :return: always the same ones.
    """
    (_, groups), (_, words), rng = read_groups(), read_words(), np.random.default_rng(0)
    drawn = [framed(groups, rng) for _ in range(frames)]
    drawn += [("senses", ambiguous(words, rng)) for _ in range(senses)]
    return [MinimalPair(sort, query, *passages[:2]) for sort, (query, passages) in drawn]
