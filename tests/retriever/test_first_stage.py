"""Both halves give the same list whether they are asked in turn or at once."""

import numpy as np
import pytest

from retriever.errors import FilterError
from tests.factories import WORDS


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


@pytest.mark.parametrize("fusion", ["zscore", "rrf"])
@pytest.mark.parametrize("pending", [False, True])
def test_a_list_that_is_cut_short_changes_no_result(make, monkeypatch, fusion, pending):
    rng = np.random.default_rng(0)
    docs = [
        {"id": f"d{i}", "text": " ".join(rng.choice(WORDS, 9)), "metadata": {"kind": i % 4}}
        for i in range(4000)
    ]
    retriever = make(docs, path=True, fusion=fusion)
    if pending:
        retriever.add([{"id": f"new{i}", "text": "zebra wind", "metadata": {"kind": 1}} for i in range(3)])
    queries = [" ".join(rng.choice(WORDS, 4)) for _ in range(20)]

    def found():
        lists = [retriever.search(query, k=5, rerank=False, filter={"kind": 1}) for query in queries]
        return [[(result.id, round(result.score, 5)) for result in results] for results in lists]

    lengths = []
    search = retriever.collection.lexical._hits
    monkeypatch.setattr(retriever.collection.lexical, "_hits", lambda *a: lengths.append(a[1]) or search(*a))
    cut_short, asked_for = found(), max(lengths)
    monkeypatch.setattr("retriever.first_stage._FIRST", 1000)
    assert found() == cut_short
    assert (asked_for < max(lengths)) == (fusion == "zscore" and not pending)


def test_a_passage_that_only_bm25_still_has_is_left_out(make):
    retriever = make([("a", "a zebra"), ("b", "a horse"), ("c", "a fox")])
    lexical = retriever.collection.lexical
    lexical.add(np.array([10**6]), ["zebra zebra"])
    lexical.commit()
    assert retriever.search("zebra", k=3, rerank=False)[0].id == "a"
