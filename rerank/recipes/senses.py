"""Lists whose passages use the asked word in different senses: a river's bank, and one that lends.

`senses.json` holds words with a few statements and queries for each of their senses, written by hand for
this, without sight of the probe in the tests. A word in eight is kept from training, and measured on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.recipes.frames import SAID_AGAIN, held_apart
from rerank.recipes.minimal_pairs import SETTINGS, Example, Rng, as_sentence, one_of
from rerank.recipes.sources import examples_by_sense

SET = 0.3  # share of lists whose statements all begin with the same setting


@dataclass(frozen=True, slots=True)
class Sense:
    """One sense of a word.

    :param said: statements that use the word in it.
    :param asked: queries that mean it.
    """

    said: tuple[str, ...]
    asked: tuple[str, ...]


Word = tuple[Sense, ...]


def read_words() -> tuple[list[Word], list[Word]]:
    """Read the senses of every word.

    :return: the words to train on, and those held out.
    """
    entries = json.loads((Path(__file__).parent / "senses.json").read_text(encoding="utf-8"))
    words = [
        tuple(Sense(tuple(sense["said"]), tuple(sense["asked"])) for sense in entry["senses"])
        for entry in entries
    ]
    return held_apart(words)


def glossed_words(path: Path) -> list[Word]:
    """Read words whose senses have examples in WordNet.

    :param path: the WordNet pairs (`rerank.recipes.sources`).
    :return: the words; examples are their statements, glosses their queries.
    """
    return [
        tuple(
            Sense(tuple(examples), (f"{lemma}: {gloss}", f"{lemma} in the sense of {gloss}"))
            for gloss, examples in senses.items()
        )
        for lemma, senses in examples_by_sense(path).items()
    ]


def ambiguous(words: Sequence[Word], rng: Rng) -> Example:
    """Ask for one sense of a word among statements of all.

    :param words: to draw from.
    :param rng: draws.
    :return: a query with passages, the right one first.
    """
    word = one_of(words, rng)
    right, *others = (word[row] for row in rng.permutation(len(word)))
    said, again = (right.said[row] for row in rng.permutation(len(right.said))[:2])
    query = again if rng.random() < SAID_AGAIN else one_of(right.asked, rng)
    setting = one_of(SETTINGS, rng) if rng.random() < SET else ""
    passages = [said, *(one_of(sense.said, rng) for sense in others)]
    return query, [as_sentence(setting + text) for text in passages]
