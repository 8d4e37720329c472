"""Real text in any amount: Wikipedia passages cut to a length, then joined anew until there are enough."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

PASSAGES = Path("../shared/data/train/enwiki_passages.jsonl.gz")
QUESTIONS = Path("../shared/data/train/natural_questions.jsonl.gz")
_CHARACTERS = 400  # of a passage, about 70 words
_STRIDE = 7919  # a prime: every round joins other halves


def passages(path: Path = PASSAGES) -> list[tuple[str, str]]:
    """Return titles and texts of about 400 characters, as Wikipedia has them."""
    found = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            title, text = record["title"], record["text"]
            found += [(title, part) for part in _cut(text)]
    return found


def documents(size: int, path: Path = PASSAGES) -> Iterator[dict[str, Any]]:
    """Yield documents as a stream, each text once.

    The first round is Wikipedia's own; each later one joins the first half of a passage with the second
    half of another.

    :param size: how many.
    :param path: the passages.
    """
    real = passages(path)
    yield from islice(_all(real), size)


def questions(size: int, path: Path = QUESTIONS) -> list[str]:
    """Return questions that people typed into a search engine."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line)["query"] for line in islice(file, size)]


def _all(real: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    number = 0
    for turn in count():
        for place, (title, text) in enumerate(real):
            if turn:
                other = real[(place + turn * _STRIDE) % len(real)][1]
                text = f"{_half(text)[0]} {_half(other)[1]}"
            # Shares of 50 %, 1 % and 0.01 % for filters.
            metadata = {"half": number % 2, "percent": number % 100, "rare": number % 10_000}
            yield {"id": f"p{number}", "title": title, "text": text, "metadata": metadata}
            number += 1


def _cut(text: str) -> list[str]:
    """Cut a text at spaces into parts of about the length wanted."""
    parts: list[str] = []
    start = 0
    while len(text) - start >= _CHARACTERS * 3 // 4:
        stop = text.find(" ", start + _CHARACTERS)
        stop = len(text) if stop < 0 else stop
        parts.append(text[start:stop].strip())
        start = stop
    return parts


def _half(text: str) -> tuple[str, str]:
    """Cut a text at the space nearest after its middle."""
    middle = text.find(" ", len(text) // 2)
    return (text, "") if middle < 0 else (text[:middle], text[middle + 1 :])
