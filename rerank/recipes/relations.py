"""Lists in which one relation is said in several ways, and the false passages have its two sides exchanged.

The frames of `rerank.recipes.minimal_pairs` ask with the words of the passage. Here the question is put
another way (sold to and bought from, above and beneath), so that an order of words cannot be learnt by heart:
it has to be understood. `bound` does the same for two things and what is said of each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rerank.recipes.minimal_pairs import (
    EVENTS,
    FIRMS,
    LANDS,
    PEOPLE,
    THINGS,
    TROUBLES,
    WORDS,
    Example,
    Rng,
    as_sentence,
    one_of,
)

_RELATIONS: dict[str, list[list[str]]] = json.loads(
    (Path(__file__).parent / "relations.json").read_text(encoding="utf-8")
)
TOKENS = [f"the {word}" for word in WORDS["tokens"].split("|")]
TRADES = [f"the {word}" for word in WORDS["trades"].split("|")]
OBJECTS = [f"the {word}" for word in (*THINGS, *WORDS["parts"].split("|"))]
SIDES: dict[str, list[str]] = {
    "people": [*PEOPLE, *TRADES],
    "lands": LANDS,
    "firms": FIRMS,
    "objects": OBJECTS,
    "events": EVENTS,
    "conditions": TROUBLES,
}
ASKED = {
    "people": "who", "lands": "which country", "firms": "which company",
    "objects": "what", "events": "what", "conditions": "what",
}  # fmt: skip
KINDS = [(kind, row) for kind, relations in _RELATIONS.items() for row in range(len(relations))]
JOINED = ("{0} and {1}", "{0}, while {1}", "{0}; {1}", "{0}, but {1}", "{1}, whereas {0}", "{1}, and {0}")


def related(rng: Rng) -> tuple[str, Example]:
    """Say one relation twice, once as a query and once as a passage.

    :param rng: draws.
    :return: the kind of its sides, and a query with passages, the right one first.
    """
    kind, row = one_of(KINDS, rng)
    phrasings = _RELATIONS[kind][row]
    a, b, other = (SIDES[kind][place] for place in rng.permutation(len(SIDES[kind]))[:3])
    thing = one_of(TOKENS, rng)
    said, asked, third = _three(phrasings, rng)

    def say(phrasing: str, first: str, second: str) -> str:
        return phrasing.format(a=first, b=second, t=thing)

    query = _question(asked, kind, rng).format(a=a, b=b, t=thing)
    wrong = [say(said, b, a), say(third, b, a)]
    if rng.random() < 0.3:
        wrong.append(say(said, other, a))
    return kind, (query, [as_sentence(text) for text in dict.fromkeys((say(said, a, b), *wrong))])


def bound(glosses: Sequence[tuple[str, str]], rng: Rng) -> Example:
    """Say two things of two words, and ask for one of them.

    :param glosses: (word, what it means).
    :param rng: draws.
    :return: a query with two passages, the right one first; in the other the meanings are exchanged.
    """
    (word, gloss), (other, second) = (glosses[place] for place in rng.choice(len(glosses), 2, replace=False))
    frame = ("{0} is {1}", "{0}: {1}", "{0} means {1}", "by {0} is meant {1}")[int(rng.integers(4))]
    joined = one_of(JOINED, rng)
    query = (f"{word}, {gloss}", f"{gloss}: {word}", f"{word} in the sense of {gloss}")[int(rng.integers(3))]
    right = joined.format(frame.format(word, gloss), frame.format(other, second))
    wrong = joined.format(frame.format(other, gloss), frame.format(word, second))
    return query, [as_sentence(right), as_sentence(wrong)]


def _three(phrasings: Sequence[str], rng: Rng) -> tuple[str, str, str]:
    """A phrasing for the passage, one for the query that seldom is the same, and any."""
    order = [phrasings[place] for place in rng.permutation(len(phrasings))]
    said, asked = order[0], order[0] if rng.random() < 0.15 else order[1]
    return said, asked, one_of(phrasings, rng)


def _question(phrasing: str, kind: str, rng: Rng) -> str:
    """The statement itself, or a question for the side that it begins with."""
    start = phrasing[:3]
    if rng.random() < 0.45 and start in ("{a}", "{b}"):
        return ASKED[kind] + phrasing[3:]
    if rng.random() < 0.2:
        return f"is it true that {phrasing}"
    return phrasing
