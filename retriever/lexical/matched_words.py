"""Which words of a text made BM25 find it."""

from __future__ import annotations

import re
from functools import lru_cache

import tantivy

from retriever.lexical.bm25_index import analyzer

_WORD = re.compile(r"[^\W_]+")
_LEFT_OUT = "… "
_REMEMBERED = 65_536  # words; a text has few that are new


def matched_words(query: str, text: str) -> list[str]:
    """Return the words of a text that share a stem with a word of the query.

    Stop words count only where the query has nothing else, as in the search.

    :param query: what was asked.
    :param text: the text that was found.
    :return: each word once, as it is written in the text, in its order.

    >>> matched_words("who is reading the file", "Read files, and read again.")
    ['Read', 'files', 'read']
    """
    asked = _asked(query)
    return [word for word in dict.fromkeys(_WORD.findall(text)) if not asked.isdisjoint(_stems(word))]


def excerpt(query: str, text: str, length: int) -> str:
    """Return the part of a text in which most words of the query stand.

    :param query: what was asked.
    :param text: the text that was found; line breaks and runs of spaces become one space.
    :param length: characters at most, the dots that stand for what is left out included.
    :return: the beginning where nothing else says more.

    >>> excerpt("who feeds the cat", "House rules for guests. Anna feeds the cat.", 24)
    '… Anna feeds the cat.'
    """
    plain = " ".join(text.split())
    asked = _asked(query)
    hits = [
        (match.start(), match.end(), asked.intersection(_stems(match.group())))
        for match in _WORD.finditer(plain)
    ]
    hits = [hit for hit in hits if hit[2]]
    best, most = 0, _covered(hits, 0, length)
    room = length - len(_LEFT_OUT)
    # To begin later than this would show fewer words and nothing more.
    latest = plain.find(" ", max(0, len(plain) - room - 1)) + 1 or len(plain)
    for start, _, _ in hits:
        # A few words before the first that matched say what it is about.
        begin = min(latest, plain.rfind(" ", 0, max(0, start - length // 4)) + 1)
        found = _covered(hits, begin, begin + room)
        if found > most:
            best, most = begin, found
    return plain[:length] if best == 0 else (_LEFT_OUT + plain[best:])[:length]


def _asked(query: str) -> set[str]:
    """The stems a query asks for, stop words only where there is nothing else."""
    return set(_analyzer(True).analyze(query) or _analyzer(False).analyze(query))


def _covered(hits: list[tuple[int, int, set[str]]], start: int, end: int) -> int:
    """How many different words of the query stand in a part of the text."""
    inside: set[str] = set()
    for first, last, stems in hits:
        if start <= first and last <= end:
            inside |= stems
    return len(inside)


@lru_cache(maxsize=_REMEMBERED)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(_analyzer(False).analyze(word))


@lru_cache(maxsize=2)
def _analyzer(drop_stop_words: bool) -> tantivy.TextAnalyzer:
    return analyzer(drop_stop_words=drop_stop_words)
