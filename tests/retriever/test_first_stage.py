"""Both halves give the same list whether they are asked in turn or at once."""

import pytest

from retriever.errors import FilterError


@pytest.mark.parametrize("filter", [None, {"lang": "en"}])
def test_halves_asked_at_once_give_the_same_candidates(make, monkeypatch, filter):
    retriever = make()
    queries = ["the cat sat", "stocks fell", "zebra"]

    def found():
        return [retriever.search(query, k=5, rerank=False, filter=filter) for query in queries]

    in_turn = found()
    monkeypatch.setattr("retriever.first_stage._AT_ONCE", 0)
    assert found() == in_turn
    assert retriever.search_batch(queries, k=5, rerank=False, filter=filter) == in_turn


def test_a_bad_filter_is_refused_at_once_too(make, monkeypatch):
    monkeypatch.setattr("retriever.first_stage._AT_ONCE", 0)
    with pytest.raises(FilterError):
        make().search("cat", filter={"lang": {"near": "en"}})
