"""Lists whose wrong passages say the same words of the wrong side: who, when, because of what, how many.

Each group of `frames/*.json` is one relation, said in several ways and asked for in several; the false
passages have its two sides exchanged, or its two numbers. The groups were written by hand, without sight of
the probe in the tests; a group in eight is kept from training, and measured on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from rerank.recipes.minimal_pairs import SETTINGS, Example, Rng, as_sentence, one_of
from rerank.recipes.relations import TOKENS

T = TypeVar("T")

HELD_OUT = 8  # of so many groups one is kept from training
SAID_AGAIN = 0.3  # share of queries that are a statement, too
SURROUNDED = 0.35  # share of passages that say something else besides


@dataclass(frozen=True, slots=True)
class Group:
    """One relation.

    :param sort: what kind of relation.
    :param said: statements of equal meaning.
    :param asked: queries that they answer, and would not with the two sides exchanged.
    :param fillers: what {a} and {b} are drawn from; empty where there are only numbers.
    """

    sort: str
    said: tuple[str, ...]
    asked: tuple[str, ...]
    fillers: tuple[str, ...]


def read_groups() -> tuple[list[Group], list[Group]]:
    """Read every group: a file of frames a sort, and what they are filled with.

    :return: the groups to train on, and those held out.
    """
    here = Path(__file__).parent
    sides = json.loads((here / "fillers.json").read_text(encoding="utf-8"))
    groups = []
    for path in sorted((here / "frames").glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8")):
            fillers = tuple(sides[entry["sides"]]) if entry["sides"] else ()
            groups.append(Group(path.stem, tuple(entry["said"]), tuple(entry["asked"]), fillers))
    return held_apart(groups)


def held_apart(every: Sequence[T]) -> tuple[list[T], list[T]]:
    """Keep one in `HELD_OUT` from training.

    :return: those to train on, and those held out.
    """
    return [one for row, one in enumerate(every) if row % HELD_OUT], list(every[::HELD_OUT])


def framed(groups: Sequence[Group], rng: Rng) -> tuple[str, Example]:
    """Fill a group's frames.

    :param groups: to draw from; every sort is as likely.
    :param rng: draws.
    :return: the sort, and a query with passages, the right one first.
    """
    sorts = sorted({group.sort for group in groups})
    sort = one_of(sorts, rng)
    group = one_of([group for group in groups if group.sort == sort], rng)
    values, exchanged = filled(group, rng)
    order = rng.permutation(len(group.said))
    said, other = group.said[order[0]], group.said[order[1]]
    again = rng.random() < SAID_AGAIN
    asked = group.said[order[-1]] if again else one_of(group.asked, rng)
    right, *wrong = said.format(**values), said.format(**exchanged)
    wrong.append(other.format(**exchanged))
    passages = [as_sentence(text) for text in dict.fromkeys((right, *wrong))]
    if rng.random() < SURROUNDED:
        passages = _surrounded(passages, groups, rng)
    return sort, (asked.format(**values), passages)


def filled(group: Group, rng: Rng) -> tuple[dict[str, str], dict[str, str]]:
    """Draw what goes into a group's frames.

    :param group: a relation.
    :param rng: draws.
    :return: values by place, and the same with the sides, or the numbers, exchanged.
    """
    low, high = (str(number) for number in rng.choice(np.arange(2, 96), 2, replace=False))
    values = {"t": one_of(TOKENS, rng), "m": low, "n": high, "a": "", "b": ""}
    if group.fillers:
        first, second = rng.choice(len(group.fillers), 2, replace=False)
        values |= {"a": group.fillers[first], "b": group.fillers[second]}
    if any("{m}" in text or "{n}" in text for text in group.said):
        return values, values | {"m": values["n"], "n": values["m"]}
    return values, values | {"a": values["b"], "b": values["a"]}


def _surrounded(passages: Sequence[str], groups: Sequence[Group], rng: Rng) -> list[str]:
    """The passages with one more sentence before or behind, the same for all."""
    group = one_of(groups, rng)
    values, _ = filled(group, rng)
    more = as_sentence(one_of(SETTINGS, rng) + one_of(group.said, rng).format(**values))
    before = rng.random() < 0.5
    return [f"{more} {text}" if before else f"{text} {more}" for text in passages]
