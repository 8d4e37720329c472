"""A test set out of a collection without judgments: its titles, headings and first sentences as queries."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from eval.datasets import Dataset
from retriever.errors import InvalidInputError
from retriever.types import Document

Kind = Literal["title", "heading", "sentence"]

CAVEAT = (
    "These questions are the collection's own words, each taken out of the passage that answers it. "
    "They can show: how settings compare on this text, whether stages lose what others find, and what depth, "
    "dimensions and time cost here. They cannot show: how well people's questions are answered, which use "
    "other words than the text; nor absolute quality, since other passages may answer and count as wrong. "
    "BM25 looks better on such a set than on people's questions, most of all for first sentences."
)
"""What a made test set can and cannot show; written beside every one."""

_LEAST_WORDS = {"title": 2, "heading": 2, "sentence": 5}  # fewer say too little to have one answer
_MOST_WORDS = 40  # longer ones are no questions
_LEAST_REST = 20  # words that must be left for the query to be found in
_HEADING = re.compile(
    r"^(?:#{1,6}[ \t]+(?P<hash>[^\n]+?)[ \t#]*|(?P<under>[^\n]+)\n[ \t]*[=\-~^]{3,}[ \t]*)$", re.MULTILINE
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|\n\s*\n")


@dataclass(frozen=True, slots=True)
class MadeQuestions:
    """A test set made out of a collection.

    :param dataset: queries, judgments, and the documents without what was asked of them.
    :param kinds: how many queries are titles, headings and first sentences.
    :param skipped: documents that gave no query, being too short or like another.
    """

    dataset: Dataset
    kinds: dict[Kind, int]
    skipped: int


def make_questions(
    documents: Iterable[Document],
    *,
    name: str = "questions",
    limit: int = 300,
    kinds: tuple[Kind, ...] = ("title", "heading", "sentence"),
    seed: int = 0,
) -> MadeQuestions:
    """Make queries of titles, headings and first sentences, and take each out of the text it came from.

    At most one query comes from a document, of a kind drawn at random among those it offers. A query whose
    words another document's query has too would have two answers, and is left out.

    :param documents: the collection.
    :param name: of the data set.
    :param limit: at most this many queries, drawn at random.
    :param kinds: which sorts of queries to make.
    :param seed: of the draws.
    :return: the test set with the changed documents.
    :raises InvalidInputError: if the collection gives no query at all.
    """
    corpus = list(documents)
    draw = random.Random(seed)
    made: dict[int, _Made] = {}
    for row, document in enumerate(corpus):
        offers = [offer for offer in _offers(document) if offer.kind in kinds]
        if offers:
            made[row] = draw.choice(offers)
    seen: dict[str, int] = {}
    for one in made.values():
        seen[_folded(one.query)] = seen.get(_folded(one.query), 0) + 1
    unique = [row for row, one in made.items() if seen[_folded(one.query)] == 1]
    chosen = sorted(draw.sample(unique, min(limit, len(unique))))
    if not chosen:
        raise InvalidInputError(
            f"none of the {len(corpus)} documents has a title, heading or first sentence with enough text "
            f"left under it ({_LEAST_REST} words); write questions yourself: a CSV with question,document_id"
        )
    counts: dict[Kind, int] = dict.fromkeys(kinds, 0)
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number, row in enumerate(chosen, 1):
        query = f"{made[row].kind}-{number}"
        queries[query], qrels[query] = made[row].query, {corpus[row].id: 1}
        counts[made[row].kind] += 1
        corpus[row] = made[row].rest
    return MadeQuestions(Dataset(name, queries, qrels, corpus), counts, len(corpus) - len(unique))


@dataclass(frozen=True, slots=True)
class _Made:
    """A query and its document without it."""

    kind: Kind
    query: str
    rest: Document


def _offers(document: Document) -> Iterator[_Made]:
    """Yield the queries that a document could give, and what would be left of it."""
    title = " ".join(document.title.split())
    if _fits("title", title, document.text):
        # Texts often begin with their title; it must not stay there.
        text = _without_title(document.text, document.title)
        yield _Made("title", title, replace(document, title="", text=text))
    for match in _HEADING.finditer(document.text):
        heading = " ".join((match["hash"] or match["under"]).split())
        text = document.text[: match.start()] + document.text[match.end() :]
        if _fits("heading", heading, text):
            # The title says with the heading what the section is about: "Installation" alone asks nothing.
            query = f"{title}: {heading}" if title and title != heading else heading
            yield _Made("heading", query, replace(document, title="", text=text.strip()))
            break
    first, _, text = _split_sentence(document.text)
    if _fits("sentence", first, text):
        yield _Made("sentence", first, replace(document, text=text.strip()))


def _without_title(text: str, title: str) -> str:
    """Take a text's own title off its beginning, plain or as a heading, unless nothing else is there."""
    start = text.lstrip()
    heading = _HEADING.match(start)
    if heading is not None and _folded(heading["hash"] or heading["under"]) == _folded(title):
        start = start[heading.end() :]
    return start.removeprefix(title).lstrip() or text


def _split_sentence(text: str) -> tuple[str, str, str]:
    """Split a text behind its first sentence; headings do not count as one."""
    body = _HEADING.sub("", text).strip()
    match = _SENTENCE_END.search(body)
    if match is None:
        return "", "", text
    first = body[: match.start()]
    rest = text.replace(first, "")
    # A sentence that cannot be found as it stands cannot be taken out either.
    return (" ".join(first.split()), "", rest) if len(rest) < len(text) else ("", "", text)


def _fits(kind: Kind, query: str, rest: str) -> bool:
    """Tell whether a query says enough and leaves enough."""
    return _LEAST_WORDS[kind] <= len(query.split()) <= _MOST_WORDS and len(rest.split()) >= _LEAST_REST


def _folded(query: str) -> str:
    return " ".join(sorted(re.findall(r"\w+", query.casefold())))
