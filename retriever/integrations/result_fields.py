"""What of a result goes into a framework's document: the text, and the fields beside it."""

from __future__ import annotations

from typing import Any, Literal

from retriever.errors import InvalidInputError
from retriever.types import SearchResult

Content = Literal["passage", "document"]


def checked_content(content: str) -> Content:
    """Return the choice of text.

    :raises InvalidInputError: if it is neither 'passage' nor 'document'.
    """
    if content == "passage":
        return "passage"
    if content == "document":
        return "document"
    raise InvalidInputError(f"content is {content!r}; use 'passage' (what matched best) or 'document'")


def text_and_span(result: SearchResult, content: Content) -> tuple[str, tuple[int, int]]:
    """Return what a language model should read of a result, and where that is in the document.

    :param result: a result.
    :param content: 'passage' for the best passage, 'document' for the whole text.
    :return: the text, and [start, end) in characters of the document's text.
    """
    if content == "document":
        return result.text, (0, len(result.text))
    return result.passage, result.span


def fields(result: SearchResult) -> dict[str, Any]:
    """Return the document's metadata, its title, and under `retrieval` what both stages thought of it.

    `retrieval` holds `id`, `rank`, `score`, `span` (the best passage, [start, end) in characters) and
    `stages` (`dense`, `lexical`, `fused`, `reranked`, each a rank and a score, or None). All is plain JSON.

    :param result: a result.
    :return: a new dict; a `title` in the metadata is kept over the document's own.
    """
    plain = result.to_dict()
    titled = {"title": result.title} if result.title else {}
    retrieval = {key: plain[key] for key in ("id", "rank", "score", "span", "stages")}
    return {**titled, **result.metadata, "retrieval": retrieval}
