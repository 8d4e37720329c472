"""HTML pages as text: what a reader sees, one line a block, with the page's title."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from retriever.ingest.text_files import decode

_UNSEEN = frozenset({"script", "style", "template", "noscript", "nav"})
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
    }
    | {"figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li"}
    | {
        "main",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "tr",
        "ul",
    }
)
_CELLS = frozenset({"td", "th"})
# Any other marked section stops the standard library's parser with an AssertionError.
_ODD_SECTION = re.compile(
    r"<!\[(?!(?:temp|cdata|ignore|include|rcdata|if|else|endif)(?![-.\w]))", re.IGNORECASE
)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_DECLARED_WITHIN = 1_024  # bytes; the HTML standard asks for the declaration there


def read_html(content: bytes, path: Path) -> tuple[str, str]:
    """Turn a page into text.

    :param content: the page's bytes; UTF-8, or what the page declares.
    :param path: named in errors.
    :return: title and text. The title is that of the head, else the first `h1`, else "".
    :raises SourceError: if the bytes are no text in these encodings.
    """
    declared = _CHARSET.search(content[:_DECLARED_WITHIN])
    page = decode(content, path, declared[1].decode("ascii") if declared else None)
    page = _ODD_SECTION.sub("&lt;![", page)
    text, title = _visible(page, _UNSEEN)
    if not text:
        # A page whose navigation is never closed, or that is nothing else, is still worth its text.
        text, title = _visible(page, _UNSEEN - {"nav"})
    return title, text


def _visible(page: str, unseen: frozenset[str]) -> tuple[str, str]:
    parser = _PageText(unseen)
    parser.feed(page)
    parser.close()
    return parser.text(), parser.title()


class _PageText(HTMLParser):
    """Collects the visible text; tags that are never closed do no harm."""

    def __init__(self, unseen: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self._unseen = unseen
        self._hidden: list[str] = []
        self._parts: list[str] = []
        self._title: list[str] = []
        self._heading: list[str] = []
        self._inside: str | None = None
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._unseen:
            self._hidden.append(tag)
        if (tag == "title" and not self._title) or (tag == "h1" and not self._heading):
            self._inside = tag
        if tag == "pre":
            self._preformatted += 1
        if tag in _BLOCKS or tag in _CELLS:
            self._parts.append("\n" if tag in _BLOCKS else " ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        if tag == self._inside:
            self._inside = None
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
        if tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._inside == "title":
            self._title.append(data)
            return
        if self._inside == "h1":
            self._heading.append(data)
        self._parts.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def title(self) -> str:
        """Return the title on one line."""
        return " ".join("".join(self._title or self._heading).split())

    def text(self) -> str:
        """Return the text without blank lines."""
        lines = (line.rstrip() for line in "".join(self._parts).split("\n"))
        return "\n".join(line if line.startswith("  ") else line.lstrip() for line in lines if line)
