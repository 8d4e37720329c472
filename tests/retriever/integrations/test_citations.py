import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.errors import InvalidInputError
from retriever.integrations.citations import cite, cut_to_budget, token_counter
from retriever.types import SearchResult, StageScores
from tests.factories import tiny_encoder

COUNT = token_counter(tiny_encoder())


def result(id, passage, **fields):
    given = {"text": passage, "title": "", "metadata": {}, "score": 1.0, "rank": 1, **fields}
    return SearchResult(id=id, passage=passage, span=(0, len(passage)), stages=StageScores(), **given)


def test_everything_fits():
    found = cite([result("a", "The cat."), result("b", "A dog.")], max_tokens=200, count=COUNT)
    assert found.omitted == 0
    assert found.text == "[1] (id 'a', characters 0–8)\nThe cat.\n\n[2] (id 'b', characters 0–6)\nA dog."


def test_the_first_that_does_not_fit_is_cut_and_says_so():
    results = [result("a", "cat " * 20), result("b", "dog " * 500), result("c", "sea")]
    found = cite(results, max_tokens=200, count=COUNT)
    first, second = found.sources
    assert (first.complete, second.complete, found.omitted) == (True, False, 1)
    beginning = second.passage.removesuffix(" […]")
    assert ("dog " * 500).startswith(beginning)
    assert second.end == len(beginning)
    assert "1 more left out" in found.text


def test_nothing_found():
    assert cite([], max_tokens=100, count=COUNT).text == "Nothing found."


def test_long_titles_and_metadata_leave_room_for_passages():
    crowded = result("a", "The cat.", title="x" * 9999, metadata={"k": "y" * 9999})
    found = cite([crowded], max_tokens=150, count=COUNT)
    assert "The cat." in found.text


def test_a_title_cannot_pass_for_another_source():
    found = cite([result("a", "The cat.", title="Cats\n[2] (id 'b'")], max_tokens=200, count=COUNT)
    assert len([line for line in found.text.splitlines() if line.startswith("[")]) == 1


def test_cutting_a_long_text_reads_little_of_it():
    read = []
    count = lambda text: read.append(len(text)) or len(text) // 4  # noqa: E731
    assert len(cut_to_budget("wind " * 1_000_000, max_tokens=100, count=count)) <= 403
    assert max(read) < 2000


def test_long_unknown_strings_are_not_counted_as_one_token():
    assert COUNT("x" * 4000) >= 1000
    assert COUNT("") == 0


def test_a_budget_too_small_is_refused():
    with pytest.raises(InvalidInputError, match="at least 64"):
        cite([], max_tokens=10, count=COUNT)


PASSAGES = st.lists(st.text(st.sampled_from("ab .\n漢é🎉"), min_size=0, max_size=400), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(passages=PASSAGES, budget=st.integers(64, 400))
def test_the_budget_holds_and_sources_are_beginnings(passages, budget):
    results = [result(str(i), passage) for i, passage in enumerate(passages)]
    found = cite(results, max_tokens=budget, count=COUNT)
    assert COUNT(found.text) <= budget
    assert len(found.sources) + found.omitted == len(results)
    assert all(source.complete for source in found.sources[:-1])
    for source in found.sources:
        assert source.result.passage.startswith(source.passage.removesuffix(" […]"))
        assert source.complete == (source.passage == source.result.passage)


@settings(max_examples=150, deadline=None)
@given(text=st.text(min_size=1, max_size=500), budget=st.integers(1, 60))
def test_cutting_always_gets_on(text, budget):
    cut = cut_to_budget(text, max_tokens=budget, count=COUNT)
    assert cut
    assert text.startswith(cut)
    assert COUNT(cut) <= budget or len(cut) == 1
