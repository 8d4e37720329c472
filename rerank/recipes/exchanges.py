"""Queries and passages about one thing, said both ways round: each query is right about half of the passages.

A list of `rerank.recipes.frames` asks once. Here both sides are asked for, of the same passages: what is
right for one query is wrong for the other, so nothing can be learnt from a passage, or a query, alone
(Thrush et al. 2022, "Winoground", measures so), and a text that was read serves several comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from rerank.recipes.frames import Group, filled, read_groups
from rerank.recipes.minimal_pairs import SETTINGS, Rng, as_sentence, one_of
from rerank.recipes.senses import SET, Word, read_words
from rerank.train.exchange import Exchange

SENSES = 0.18  # share that asks for senses of a word
GLOSSED = 0.15  # share that asks for senses of a dictionary's words, where there are any
AT_A_TIME = 3  # senses of a word
SAID_AGAIN = 0.6  # share in which one of the queries is a statement, too
SETTLED = 0.15  # share of passages that begin with a setting
FOLLOWED, LED = 0.85, 0.92  # from the former on more is said beside it: before, and from the latter on behind
CAPITAL = 0.3  # share of queries written as a sentence
ASKING = frozenset(["who", "what", "which", "how", "why", "when", "where", "did", "does", "is", "was"])


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Draws from frames and senses; call it with draws.

    :param groups: relations, by sort; every sort is as likely.
    :param words: with their senses.
    :param glossed: more words, from a dictionary; may be none.
    """

    groups: dict[str, list[Group]]
    words: list[Word]
    glossed: Sequence[Word] = ()

    @classmethod
    def to_train_on(cls, glossed: Sequence[Word] = ()) -> Exchanges:
        """Those of all relations and words but the ones that are kept from training.

        :param glossed: more words.
        :return: what draws.
        """
        (groups, _), (words, _) = read_groups(), read_words()
        sorts = sorted({group.sort for group in groups})
        return cls(
            {sort: [group for group in groups if group.sort == sort] for sort in sorts}, words, glossed
        )

    def __call__(self, rng: Rng) -> Exchange:
        """Draw one.

        :param rng: draws.
        :return: queries and passages.
        """
        found = Exchange((), (), (), ())
        while not (found.passages and found.queries):  # a relation may be said without what is exchanged
            found = self._drawn(rng)
        return found

    def _drawn(self, rng: Rng) -> Exchange:
        """One of any kind, perhaps with nothing in it."""
        if self.glossed and rng.random() < GLOSSED:
            return _of_senses(self.glossed, rng)
        return _of_senses(self.words, rng) if rng.random() < SENSES else self._of_sides(rng)

    def _of_sides(self, rng: Rng) -> Exchange:
        """A relation said in two ways, each with its sides as they are and exchanged, and asked for so."""
        group = one_of(self.groups[one_of(list(self.groups), rng)], rng)
        both = filled(group, rng)
        said, asked = _shuffled(group.said, rng), _shuffled(group.asked, rng)
        asked = [*asked[:2], *(said[2:3] if rng.random() < SAID_AGAIN else asked[2:3])]
        setting = before = behind = ""
        place = rng.random()
        if place < SETTLED:
            setting = one_of(SETTINGS, rng)
        if place > FOLLOWED:
            other = one_of([group for groups in self.groups.values() for group in groups], rng)
            values, _ = filled(other, rng)
            more = as_sentence(one_of(other.said, rng).format(**values))
            before, behind = ("", " " + more) if place > LED else (more + " ", "")
        passages = [
            (before + as_sentence(setting + text.format(**values)) + behind, side)
            for text, (side, values) in product(said[:2], enumerate(both))
            if _differs(text, both)
        ]
        written = rng.random() < CAPITAL
        queries = [
            (_written(text.format(**values)) if written else text.format(**values), side)
            for text, (side, values) in product(asked, enumerate(both))
            if _differs(text, both)
        ]
        return _exchange(passages, queries)


def _of_senses(words: Sequence[Word], rng: Rng) -> Exchange:
    """Statements that use one word in up to three senses, and queries that mean each."""
    word = words[int(rng.integers(len(words)))]
    chosen = [int(row) for row in rng.permutation(len(word))[:AT_A_TIME]]
    setting = one_of(SETTINGS, rng) if rng.random() < SET else ""
    passages: list[tuple[str, int]] = []
    queries: list[tuple[str, int]] = []
    for sense in chosen:
        said = _shuffled(word[sense].said, rng)
        passages += [(as_sentence(setting + text), sense) for text in said[:2]]
        asked = _shuffled(word[sense].asked, rng)[:2]
        queries += [(text, sense) for text in (*asked, *said[2:3])]
    return _exchange(passages, queries)


def _shuffled(texts: Sequence[str], rng: Rng) -> list[str]:
    """The texts in a drawn order."""
    return [texts[row] for row in rng.permutation(len(texts))]


def _differs(text: str, both: Sequence[dict[str, str]]) -> bool:
    """Whether a frame says something else when the sides are exchanged."""
    return text.format(**both[0]) != text.format(**both[1])


def _written(query: str) -> str:
    """With a capital letter, and a question mark behind a question."""
    return query[:1].upper() + query[1:] + ("?" if query.split()[0] in ASKING else "")


def _exchange(passages: Sequence[tuple[str, int]], queries: Sequence[tuple[str, int]]) -> Exchange:
    """Texts and sides apart."""
    return Exchange(
        tuple(text for text, _ in passages),
        tuple(side for _, side in passages),
        tuple(text for text, _ in queries),
        tuple(side for _, side in queries),
    )
