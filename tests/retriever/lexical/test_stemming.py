"""Remembered stems are the analyzer's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.lexical import stemming
from retriever.lexical.bm25_index import analyzer
from retriever.lexical.stemming import Stemmer

ANALYZER = analyzer(drop_stop_words=False)
TEXTS = [
    "The runners were running; a runner's run, re-run twice.",
    "Café ﬃ Straße İstanbul ΣΊΣΥΦΟΣ — “quoted”words… 3½ naïve",
    "信息检索是查找文档的科学。東京は日本の首都です",
    "x" * 61 + " " + "y" * 300 + " word " + "é" * 150,
    "",
    " \n\t?! ",
    "nul\0byte qzxjkqzxjk mark_of_ours QZXJKQZXJK",
]


@pytest.fixture(scope="module")
def stemmer():
    made = Stemmer(ANALYZER)
    made._fast.wait()
    return made


@given(texts=st.lists(st.one_of(st.text(), st.sampled_from(TEXTS)), max_size=8))
def test_stems_are_the_analyzers(stemmer, texts):
    for _ in range(2):  # new, and remembered
        assert [stems.split() for stems in stemmer.stem(texts)] == [*map(ANALYZER.analyze, texts)]


def test_a_full_memory_begins_anew(monkeypatch):
    monkeypatch.setattr(stemming, "_RUNS", 64)
    small = Stemmer(ANALYZER)
    small._fast.wait()
    texts = [f"passage{number} about{number} running{number}s" for number in range(500)]
    for _ in range(3):
        assert [stems.split() for stems in small.stem(texts)] == [*map(ANALYZER.analyze, texts)]


def test_the_analyzer_is_asked_until_code_is_compiled(monkeypatch):
    early = Stemmer(ANALYZER)
    monkeypatch.setattr(early._fast, "get", lambda work: None)
    assert early.stem(["running shoes", ""]) == ["run shoe", ""]
    assert early.stem([]) == []


def test_a_lone_surrogate_is_no_letter(stemmer):
    assert stemmer.stem(["one\ud800two"]) == ["one two "]
    assert Stemmer(ANALYZER).stem(["one\ud800two"])[0].split() == ["one", "two"]
