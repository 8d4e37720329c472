"""Real texts for the encoder's benchmarks: encyclopedia passages, glosses, translated program messages."""

from __future__ import annotations

import gettext
import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from retriever.errors import SourceError

_TEMPLATES = ("{0}: {1}", "{1} ({0})", "{0} - {1}", "what is {0}? {1}")


def passages(data: Path, count: int, characters: int) -> list[str]:
    """Return English encyclopedia text in pieces of about the same length, ended at a space.

    :param data: the folder with `train/enwiki_passages.jsonl.gz`.
    :param count: how many.
    :param characters: length of each.
    :return: the texts.
    """
    source = (record["text"] for record in _records(data / "train" / "enwiki_passages.jsonl.gz"))
    return list(islice(_of_length(source, characters), count))


def translated_messages(locales: Path, languages: tuple[str, ...], count: int, characters: int) -> list[str]:
    """Return messages of this system's programs as translators wrote them, joined to texts of one length.

    :param locales: the system's message catalogues, usually /usr/share/locale.
    :param languages: folders in it.
    :param count: how many texts.
    :param characters: length of each.
    :return: the texts.
    :raises SourceError: if there are no such messages.
    """
    texts = list(islice(_of_length(_messages(locales, languages), characters), count))
    if not texts:
        raise SourceError(f"no message catalogues of {', '.join(languages)} in {locales}; give --locales")
    return texts


def short_texts(data: Path, count: int) -> list[str]:
    """Return WordNet glosses with their lemma and package synopses, varied until there are enough.

    :param data: the folder with `train/`.
    :param count: how many.
    :return: different texts of about 60 characters.
    """
    pairs = [
        (record["query"], record["positive"])
        for record in _records(data / "train" / "wordnet_glosses.jsonl.gz")
    ]
    packages = [record["query"] for record in _records(data / "train" / "debian_packages.jsonl.gz")]
    texts: dict[str, None] = dict.fromkeys(packages)
    for template in _TEMPLATES:
        for lemma, gloss in pairs:
            texts[template.format(lemma, gloss)] = None
            if len(texts) >= count:
                return list(texts)
    raise SourceError(f"only {len(texts):,} short texts in {data}; ask for fewer")


def _messages(locales: Path, languages: Iterable[str]) -> Iterator[str]:
    """Yield translated messages of some length."""
    for language in languages:
        for path in sorted((locales / language / "LC_MESSAGES").glob("*.mo")):
            try:
                with path.open("rb") as file:
                    catalogue = gettext.GNUTranslations(file)
            except (OSError, UnicodeDecodeError, ValueError):
                continue
            # The class keeps no public list of its messages.
            for key, message in catalogue._catalog.items():  # type: ignore[attr-defined]
                if key and isinstance(message, str) and len(message) > 20:
                    yield " ".join(message.split())


def _of_length(source: Iterable[str], characters: int) -> Iterator[str]:
    """Yield texts of about this length out of shorter and longer ones."""
    buffer = ""
    for text in source:
        buffer = f"{buffer} {text}" if buffer else text
        while len(buffer) >= characters:
            cut = buffer.rfind(" ", 0, characters)
            cut = cut if cut > characters // 2 else characters
            yield buffer[:cut]
            buffer = buffer[cut:].lstrip()


def _records(path: Path) -> Iterator[dict[str, str]]:
    """Yield the records of a compressed JSONL file."""
    if not path.is_file():
        raise SourceError(f"{path} is not there; give the folder with the benchmark's texts by --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
