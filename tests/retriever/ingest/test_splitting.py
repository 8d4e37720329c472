"""Passages fit, cover the text, and are cut out of it by their spans."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from retriever.errors import InvalidInputError
from retriever.ingest.splitting import Splitter


def word_tokenizer() -> Tokenizer:
    """A tokenizer whose tokens are words and punctuation, so that sizes can be counted by eye."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def count(text: str) -> int:
    return len(word_tokenizer().encode(text, add_special_tokens=False).ids)


def test_a_text_that_fits_is_one_whole_span():
    splitter = Splitter(word_tokenizer(), passage_tokens=5, overlap=0)
    assert splitter.spans(" one two three ", 3) == [(0, 15)]


def test_none_never_splits():
    text = "word " * 10_000
    assert Splitter(word_tokenizer(), passage_tokens=None, overlap=0).spans(text, 10_000) == [(0, len(text))]


def test_cuts_at_sentences_before_words():
    text = "One two three. Four five six. Seven eight nine."
    spans = Splitter(word_tokenizer(), passage_tokens=6, overlap=0).spans(text, count(text))
    assert [text[a:b] for a, b in spans] == ["One two three.", "Four five six.", "Seven eight nine."]


def test_neighbours_overlap():
    text = " ".join(f"w{i}" for i in range(100))
    spans = Splitter(word_tokenizer(), passage_tokens=20, overlap=5).spans(text, 100)
    shared = [count(text[after[0] : before[1]]) for before, after in itertools.pairwise(spans)]
    assert all(0 < s <= 5 for s in shared)


def test_only_white_space_stays_whole():
    assert Splitter(word_tokenizer(), passage_tokens=2, overlap=0).spans(" \n ", 99) == [(0, 3)]


def test_the_given_tokenizer_keeps_its_truncation():
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(4)
    splitter = Splitter(tokenizer, passage_tokens=8, overlap=0)
    spans = splitter.spans("word " * 40, 40)
    assert tokenizer.truncation["max_length"] == 4
    assert len(spans) == 5


def test_a_counter_gives_the_tokenizers_passages():
    text = "One two three. Four five six seven. Eight!\n\nNine ten. " * 20
    by_tokenizer = Splitter(word_tokenizer(), passage_tokens=9, overlap=2)
    by_counter = Splitter(word_tokenizer(), passage_tokens=9, overlap=2, count=count)
    assert by_counter.spans(text, count(text)) == by_tokenizer.spans(text, count(text))


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab é日.\n\t!😀"), max_size=1500), st.integers(1, 12), st.data())
def test_passages_fit_and_every_word_is_in_one(text, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    spans = Splitter(word_tokenizer(), passage_tokens=size, overlap=overlap).spans(text, count(text))
    if count(text) > size:
        assert all(count(text[a:b]) <= size for a, b in spans)
    covered = set()
    for start, end in spans:
        assert 0 <= start < end <= len(text) or text == ""
        covered.update(range(start, end))
    assert all(i in covered for i, c in enumerate(text) if not c.isspace())


def test_time_grows_with_the_length_not_its_square():
    splitter = Splitter(word_tokenizer(), passage_tokens=32, overlap=4)

    def seconds(characters: int) -> float:
        text = "日本、" * (characters // 3)
        start = time.perf_counter()
        splitter.spans(text, characters)
        return time.perf_counter() - start

    # Sixteen times the text took 250 times as long before the text was seen in windows.
    assert seconds(64_000) < 60 * max(seconds(4_000), 0.01)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (5, 5), (5, -1), (None, -1)])
def test_impossible_sizes_are_refused(size, overlap):
    with pytest.raises(InvalidInputError, match=r"passage_tokens|overlap"):
        Splitter(word_tokenizer(), passage_tokens=size, overlap=overlap)
