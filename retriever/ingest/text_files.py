"""Plain text and Markdown: the file's characters are the document's, so that spans point into the file."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from retriever.errors import SourceError
from retriever.ingest.records import json_value

# A byte order mark names the encoding; without one only UTF-8 can be told from the rest for certain.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_OF_ODD_YAML = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # seen from the library
_HEAD = 8_192  # characters searched for a title; a title further down is none


def read_bytes(path: Path) -> bytes:
    """Read a file.

    :raises SourceError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error}); check the file") from error


def decode(content: bytes, path: Path, encoding: str | None = None) -> str:
    """Decode a file's bytes: by its byte order mark, else as UTF-8, else by the encoding it declares.

    :param content: the bytes.
    :param path: named in errors.
    :param encoding: what the file itself declares, tried after UTF-8.
    :return: the text, line ends as they are.
    :raises SourceError: if it is text in none of these.
    """
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    problem: Exception | None = None
    for name in [marked] if marked else ["utf-8", encoding]:
        if name is None:
            continue
        try:
            text = content.decode(name)
        except (UnicodeDecodeError, LookupError) as error:
            problem = error
            continue
        if "\0" in text:
            raise SourceError(f"{path} holds NUL characters and is no text; leave it out or convert it")
        return text
    raise SourceError(
        f"{path} is not UTF-8 ({problem}); convert it, for example: iconv -f WINDOWS-1252 -t UTF-8; "
        "or leave such files out with --skip-unreadable, in Python skip_unreadable=True"
    ) from problem


def title_from_name(path: Path) -> str:
    """Return a file's name as words: `setup_guide.txt` becomes `setup guide`."""
    return re.sub(r"[\s_-]+", " ", path.stem).strip() or path.stem


def front_matter(text: str) -> tuple[dict[str, object] | None, str]:
    """Return what a Markdown text's YAML front matter declares, and the text without it.

    What is no YAML mapping declares nothing and stays: three dashes may be a ruled line.

    :return: JSON-ready values, {} without front matter and None where what stands there cannot be read as
        YAML or kept as metadata; the text with spaces in its place, so that what follows is where it is in
        the file.
    """
    unmarked = text.lstrip("\ufeff")
    found = _FRONT_MATTER.match(unmarked)
    if found is None:
        return {}, text
    import yaml

    try:
        declared = yaml.safe_load(found[1])
        plain = json.loads(json.dumps(declared, default=str, allow_nan=False))  # dates become text
        if not isinstance(plain, dict):
            return {}, text
        plain = {name: json_value(value, name) for name, value in plain.items()}
    except (yaml.YAMLError, SourceError, *_OF_ODD_YAML):
        return None, text
    end = len(text) - len(unmarked) + found.end()
    return plain, re.sub(r"\S", " ", text[:end]) + text[end:]


def markdown_title(text: str, declared: Mapping[str, object] | None) -> str:
    """Return the title of a Markdown text: that of its front matter, else its first heading, else "".

    :param text: the text.
    :param declared: by its front matter, see `front_matter`.
    :return: the title in one line.
    """
    # Imported here because every search imports this package, and few read Markdown.
    from markdown_it import MarkdownIt

    for name, value in (declared or {}).items():
        if name.lower() == "title" and isinstance(value, str | int | float) and not isinstance(value, bool):
            return " ".join(str(value).split())
    head = text[:_HEAD].lstrip("\ufeff")
    front = _FRONT_MATTER.match(head)
    if front:
        head = head[front.end() :]
    tokens = MarkdownIt("commonmark").parse(head)
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            parts = (child.content if child.content else " " for child in content.children or [])
            return " ".join("".join(parts).split())
    return ""
