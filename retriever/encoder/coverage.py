"""How well a vocabulary covers a corpus: what is unknown, what falls to pieces, what own words would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import Tokenizer

from rerank.well_formed import well_formed

FRAGMENTED_PIECES = 3  # from here on a word's meaning is mostly lost in its pieces


@dataclass(frozen=True, slots=True)
class FragmentedWord:
    """A word that falls into many pieces.

    :param word: as the tokenizer normalizes it.
    :param count: how often it occurs.
    :param pieces: the tokens it falls into.
    """

    word: str
    count: int
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VocabularyCoverage:
    """What a vocabulary makes of a corpus.

    :param texts: texts read.
    :param words: words in them, as the tokenizer tells words apart (punctuation marks are words too).
    :param tokens: tokens in them.
    :param unknown_tokens: those outside the vocabulary.
    :param unknown_share: their share of all tokens, 0 to 1.
    :param pieces_per_word: mean number of tokens of a word.
    :param fragmented: the most frequent words of three or more pieces, most frequent first.
    :param fragmented_share: share of all words that the listed ones make up, 0 to 1.
    :param cost_bytes: size of the rows that the listed words would take as own words.
    :param pieces_per_word_after: mean number of tokens of a word, were they own words.
    """

    texts: int
    words: int
    tokens: int
    unknown_tokens: int
    unknown_share: float
    pieces_per_word: float
    fragmented: tuple[FragmentedWord, ...]
    fragmented_share: float
    cost_bytes: int
    pieces_per_word_after: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return asdict(self)


def measure_coverage(
    tokenizer: Tokenizer, unknown: int | None, texts: Iterable[str], *, row_bytes: int, top: int
) -> VocabularyCoverage:
    """Count words and their pieces.

    :param tokenizer: one that neither pads nor cuts.
    :param unknown: id of the unknown token, or None.
    :param texts: the corpus, read once.
    :param row_bytes: size of one row of the table.
    :param top: fragmented words listed at most.
    :return: the report.
    """
    runs: Counter[str] = Counter()
    read = 0
    for text in texts:
        runs.update(well_formed(text).split())
        read += 1
    words: Counter[str] = Counter()
    for run, count in runs.items():
        for word in _words(tokenizer, run):
            words[word] += count
    tokens = unknown_tokens = 0
    broken: list[FragmentedWord] = []
    for word, count, ids, pieces in _pieces(tokenizer, words):
        tokens += count * len(ids)
        unknown_tokens += count * ids.count(unknown) if unknown is not None else 0
        if len(ids) >= FRAGMENTED_PIECES:
            broken.append(FragmentedWord(word, count, tuple(pieces)))
    broken.sort(key=lambda item: (-item.count, item.word))
    listed = broken[:top]
    total, saved = words.total(), sum(item.count * (len(item.pieces) - 1) for item in listed)
    return VocabularyCoverage(
        texts=read,
        words=total,
        tokens=tokens,
        unknown_tokens=unknown_tokens,
        unknown_share=unknown_tokens / tokens if tokens else 0.0,
        pieces_per_word=tokens / total if total else 0.0,
        fragmented=tuple(listed),
        fragmented_share=sum(item.count for item in listed) / total if total else 0.0,
        cost_bytes=len(listed) * row_bytes,
        pieces_per_word_after=(tokens - saved) / total if total else 0.0,
    )


def _words(tokenizer: Tokenizer, run: str) -> list[str]:
    """Return the words of a run without white space, as the model sees them."""
    text = tokenizer.normalizer.normalize_str(run) if tokenizer.normalizer else run
    if tokenizer.pre_tokenizer is None:
        return [text]
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def _pieces(tokenizer: Tokenizer, words: Counter[str]) -> Iterator[tuple[str, int, list[int], list[str]]]:
    """Return each word with its count, token ids and tokens."""
    for word, count in words.items():
        found = tokenizer.model.tokenize(word)
        yield word, count, [token.id for token in found], [token.value for token in found]
