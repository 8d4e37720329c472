"""Which words of a text made BM25 find it."""

from __future__ import annotations

import re
from functools import lru_cache

import tantivy

from retriever.lexical.bm25_index import analyzer

_WORD = re.compile(r"[^\W_]+")
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
    asked = set(_analyzer(True).analyze(query) or _analyzer(False).analyze(query))
    return [word for word in dict.fromkeys(_WORD.findall(text)) if not asked.isdisjoint(_stems(word))]


@lru_cache(maxsize=_REMEMBERED)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(_analyzer(False).analyze(word))


@lru_cache(maxsize=2)
def _analyzer(drop_stop_words: bool) -> tantivy.TextAnalyzer:
    return analyzer(drop_stop_words=drop_stop_words)
