from hypothesis import given
from hypothesis import strategies as st

from retriever.lexical.matched_words import excerpt, matched_words


def test_words_match_by_stem_case_and_accent():
    assert matched_words("reading files", "Read a FILE; reader, filed.") == ["Read", "FILE", "filed"]
    assert matched_words("café", "Cafe and café") == ["Cafe", "café"]


def test_stop_words_count_only_where_there_is_nothing_else():
    assert matched_words("the cat", "The cat and the dog") == ["cat"]
    assert matched_words("to be or not to be", "To be is to do") == ["To", "be", "to"]


def test_nothing_matches_nothing():
    assert matched_words("", "text") == []
    assert matched_words("zebra", "") == []
    assert matched_words("🦓 !?", "text") == []


def test_an_excerpt_holds_the_answer_and_says_what_was_left_out():
    text = "House rules. Quiet hours are from ten to seven. Guests may stay up to three nights."
    shown = excerpt("how long can guests stay?", text, 40)
    assert "Guests may stay" in shown and shown.startswith("… ") and len(shown) <= 40
    assert excerpt("quiet hours", text, 60).startswith("House rules. Quiet hours")
    assert excerpt("zebra", text, 12) == "House rules."
    assert (
        excerpt("who feeds the cat", "Rules for guests. Anna feeds the cat.", 24) == "… Anna feeds the cat."
    )


@given(st.text(max_size=60), st.text(max_size=200), st.integers(4, 80))
def test_an_excerpt_is_a_part_of_the_text(query, text, length):
    shown = excerpt(query, text, length)
    assert len(shown) <= length
    assert shown.removeprefix("… ") in " ".join(text.split())
