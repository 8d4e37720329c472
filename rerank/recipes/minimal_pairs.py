"""Lists whose wrong passages hold the same words as the right one: what a bag of words cannot tell apart.

Two makers. `disturbed` takes a sentence out of real text and swaps its numbers, its names, or the words of an
opposition. `composed` fills sentence frames: who did what to whom, negation, order in time, numbers and
units, cause and effect, comparison. The probe in the tests is written by hand and shares neither frames nor
word lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Rng = np.random.Generator
Example = tuple[str, list[str]]  # a query, and passages with the right one first

OPPOSITES = [
    ("before", "after"),
    ("more", "less"),
    ("increased", "decreased"),
    ("increases", "decreases"),
    ("higher", "lower"),
    ("larger", "smaller"),
    ("first", "last"),
    ("north", "south"),
    ("east", "west"),
    ("always", "never"),
    ("with", "without"),
    ("above", "below"),
    ("early", "late"),
    ("won", "lost"),
    ("can", "cannot"),
    ("is", "is not"),
    ("was", "was not"),
    ("are", "are not"),
    ("were", "were not"),
]
FLIP = dict(OPPOSITES) | {b: a for a, b in OPPOSITES if " " not in b}
NUMBER = re.compile(r"\b\d[\d,.]*\b")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")

WORDS = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))
PEOPLE: list[str] = WORDS["people"].split("|")
FIRMS: list[str] = WORDS["firms"].split("|")
LANDS: list[str] = WORDS["lands"].split("|")
BEASTS: list[str] = WORDS["beasts"].split("|")
THINGS: list[str] = WORDS["things"].split("|")
GOODS: list[str] = WORDS["goods"].split("|")
EVENTS: list[str] = WORDS["events"].split("|")
TROUBLES: list[str] = WORDS["troubles"].split("|")
QUALITIES: list[str] = WORDS["qualities"].split("|")
GRADES: list[str] = WORDS["grades"].split("|")
SETTINGS: list[str] = WORDS["settings"].split("|")
# Third person past and base form, for each kind of actor.
DEEDS: dict[str, list[str]] = {kind: verbs.split() for kind, verbs in WORDS["deeds"].items()}
PASSIVE = {"ate": "eaten", "bit": "bitten"}
MEASURES = [
    ("metres", "long"),
    ("kilograms", "in weight"),
    ("euros", "in price"),
    ("years", "old"),
    ("litres", "in volume"),
]


def disturbed(sentence: str, rng: Rng) -> list[str]:
    """Change what a sentence says with hardly a word changed.

    :param sentence: a sentence of real text.
    :param rng: draws.
    :return: up to three false versions of it, none equal to it.
    """
    versions = {
        changed
        for change in (_swap_numbers, _swap_names, _flip_word)
        if (changed := change(sentence, rng)) is not None and changed != sentence
    }
    return sorted(versions)


def composed(rng: Rng) -> tuple[str, Example]:
    """Fill one sentence frame.

    :param rng: draws.
    :return: the sort, and a query with passages, the right one first.
    """
    sort = one_of(list(FRAMES), rng)
    query, right, wrong = FRAMES[sort](rng)
    setting = one_of(SETTINGS, rng)
    passages = [as_sentence(setting + text) for text in (right, *wrong)]
    return sort, (query, passages)


def _pick(words: list[str], rng: Rng, count: int = 2) -> list[str]:
    """Different words, drawn."""
    return [words[row] for row in rng.permutation(len(words))[:count]]


def one_of(values: Sequence[T], rng: Rng) -> T:
    """Draw one.

    :param values: to draw from.
    :param rng: draws.
    :return: one of them, each as likely.
    """
    return values[int(rng.integers(len(values)))]


def as_sentence(text: str) -> str:
    """Capital letter, full stop."""
    return text[:1].upper() + text[1:] + "."


def _swap_numbers(sentence: str, rng: Rng) -> str | None:
    """Exchange two different numbers, or change the only one."""
    found = list(NUMBER.finditer(sentence))
    values = [match.group() for match in found]
    if len(set(values)) >= 2:
        first, second = _pick(sorted(set(values)), rng)
        return NUMBER.sub(lambda m: {first: second, second: first}.get(m.group(), m.group()), sentence)
    if not values:
        return None
    digits = re.sub(r"\d", lambda m: str((int(m.group()) + int(rng.integers(1, 9))) % 10), values[0])
    return sentence.replace(values[0], digits)


def _swap_names(sentence: str, rng: Rng) -> str | None:
    """Exchange two names."""
    names = sorted(set(NAME.findall(sentence)))
    if len(names) < 2:
        return None
    first, second = _pick(names, rng)
    return re.sub(
        f"{re.escape(first)}|{re.escape(second)}", lambda m: second if m.group() == first else first, sentence
    )


def _flip_word(sentence: str, rng: Rng) -> str | None:
    """Turn one word into its opposite."""
    words = sentence.split(" ")
    places = [place for place, word in enumerate(words) if word in FLIP]
    if not places:
        return None
    place = one_of(places, rng)
    return " ".join([*words[:place], FLIP[words[place]], *words[place + 1 :]])


def _roles(rng: Rng) -> tuple[str, str, list[str]]:
    """Who did what to whom."""
    kind = one_of(sorted(DEEDS), rng)
    words = {
        "people": PEOPLE,
        "firms": FIRMS,
        "lands": LANDS,
        "beasts": [f"the {beast}" for beast in BEASTS],
    }[kind]
    doer, done, other = _pick(words, rng, 3)
    past, base = one_of(DEEDS[kind], rng).split(":")
    participle = PASSIVE.get(past, past)

    def active(a: str, b: str) -> str:
        return f"{a} {past} {b}"

    def passive(a: str, b: str) -> str:
        return f"{b} was {participle} by {a}"

    say = active if rng.random() < 0.55 else passive
    who = {"people": "who", "firms": "which company", "lands": "which country", "beasts": "what animal"}[kind]
    query = one_of(
        [f"{who} {past} {done}", f"who did {doer} {base}", active(doer, done), passive(doer, done),
         f"{who} was {participle} by {doer}", f"did {doer} {base} {done}"],
        rng,
    )  # fmt: skip
    wrong = [say(done, doer), (passive if say is active else active)(done, doer), say(other, doer)]
    return query, say(doer, done), wrong[: int(rng.integers(2, 4))]


def _negation(rng: Rng) -> tuple[str, str, list[str]]:
    """What holds and what does not."""
    a, b = _pick(TROUBLES, rng)
    remedy = one_of(
        ["the new coating", "the treatment", "the tax", "the device", "regular training", "the law"], rng
    )
    verb = one_of(["reduce", "prevent", "cause", "affect", "explain", "increase"], rng)
    aim = one_of([a, b], rng)
    other = b if aim == a else a
    if rng.random() < 0.5:
        query = one_of(
            [f"what does {remedy} {verb}", f"does {remedy} {verb} {aim}", f"{remedy} can {verb} {aim}"], rng
        )
        if query.startswith("what"):
            right = f"{remedy} does {verb} {a} but not {b}"
            return f"does {remedy} {verb} {a}", right, [f"{remedy} does {verb} {b} but not {a}"]
        return (
            query,
            f"{remedy} does {verb} {aim} but not {other}",
            [f"{remedy} does {verb} {other} but not {aim}"],
        )
    query = one_of([f"{remedy} does not {verb} {aim}", f"what {remedy} fails to {verb}: {aim}",
                  f"no evidence that {remedy} can {verb} {aim}"], rng)  # fmt: skip
    return (
        query,
        f"{remedy} did not {verb} {aim}, though it did {verb} {other}",
        [f"{remedy} did {verb} {aim}, though it did not {verb} {other}"],
    )


def _order(rng: Rng) -> tuple[str, str, list[str]]:
    """What came first."""
    early, late = _pick(EVENTS, rng)
    right = one_of([f"{early} took place before {late}", f"{late} took place after {early}",
                  f"{early} was followed by {late}",
                  f"{late} came first only in plans; {early} preceded {late}",
                  f"after {early} came {late}", f"before {late} there was {early}"], rng)  # fmt: skip
    swapped = right.replace(early, "\0").replace(late, early).replace("\0", late)
    query = one_of([f"what happened after {early}", f"what came before {late}", f"{early} before {late}",
                  f"{late} after {early}", f"did {early} precede {late}",
                  f"{early}, then {late}"], rng)  # fmt: skip
    flipped = re.sub(
        r"\b(before|after)\b", lambda m: {"before": "after", "after": "before"}[m.group()], right
    )
    return query, right, [swapped, *([flipped] if flipped != right else [])]


def _numbers(rng: Rng) -> tuple[str, str, list[str]]:
    """Which number belongs to what."""
    x, y = (int(value) for value in rng.permutation(np.arange(2, 90))[:2])
    if rng.random() < 0.5:
        a, b = _pick(GOODS, rng)
        place = one_of(["the crate", "the shop", "the order", "the van", "the inventory"], rng)
        query = one_of(
            [f"how many {a} in {place}: {x}", f"{x} {a} and {y} {b}", f"{place} with {x} {a}"], rng
        )
        return query, f"{place} held {x} {a} and {y} {b}", [f"{place} held {y} {a} and {x} {b}"]
    (a, b), (unit, how) = _pick(THINGS, rng), one_of(MEASURES, rng)
    query = one_of([f"{a} that is {x} {unit} {how}", f"the {a} is {x} {unit} {how}", f"{x} {unit} {a}"], rng)
    right = f"the {a} is {x} {unit} {how} and the {b} is {y} {unit} {how}"
    swapped = f"the {a} is {y} {unit} {how} and the {b} is {x} {unit} {how}"
    other_unit, _ = one_of(MEASURES, rng)
    wrong = [swapped] + ([right.replace(unit, other_unit)] if other_unit != unit else [])
    return query, right, wrong


def _cause(rng: Rng) -> tuple[str, str, list[str]]:
    """What brought about what."""
    cause, effect = _pick(TROUBLES, rng)
    frames = [
        "{0} leads to {1}", "{1} is caused by {0}", "{0} causes {1}", "{1} results from {0}",
        "because of {0} there is {1}", "{0} is the reason for {1}", "{1} is a consequence of {0}",
    ]  # fmt: skip
    frame = one_of(frames, rng)
    query = one_of([f"what causes {effect}", f"effects of {cause}", f"{cause} causes {effect}",
                  f"why is there {effect}", f"{effect} due to {cause}",
                  f"consequences of {cause}"], rng)  # fmt: skip
    return query, frame.format(cause, effect), [frame.format(effect, cause)]


def _comparison(rng: Rng) -> tuple[str, str, list[str]]:
    """Which of two is more."""
    words = PEOPLE if rng.random() < 0.4 else [f"the {thing}" for thing in (*THINGS, *BEASTS)]
    more, less = _pick(words, rng)
    if rng.random() < 0.5:
        up, down = one_of(QUALITIES, rng).split(":")
        right = one_of([f"{more} is {up} than {less}", f"{less} is {down} than {more}"], rng)
        query = one_of([f"who is {up} than {less}", f"{more} {up} than {less}", f"is {more} {up} than {less}",
                      f"{less} is {down} than {more}", f"what is {down} than {more}"], rng)  # fmt: skip
    else:
        grade = one_of(GRADES, rng)
        right = one_of([f"{more} is more {grade} than {less}", f"{less} is less {grade} than {more}"], rng)
        query = one_of([f"more {grade}: {more} or {less}? {more}", f"is {more} more {grade} than {less}",
                      f"what is more {grade} than {less}",
                      f"{less} less {grade} than {more}"], rng)  # fmt: skip
    swapped = right.replace(more, "\0").replace(less, more).replace("\0", less)
    return query, right, [swapped]


FRAMES: dict[str, Callable[[Rng], tuple[str, str, list[str]]]] = {
    "roles": _roles,
    "negation": _negation,
    "order": _order,
    "numbers": _numbers,
    "cause": _cause,
    "comparison": _comparison,
}
