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
@pytest.mark.parametrize("feedback", [0.0, 0.15])
def test_a_list_that_is_cut_short_changes_no_result(make, monkeypatch, fusion, pending, feedback):
    rng = np.random.default_rng(0)
    docs = [
        {"id": f"d{i}", "text": " ".join(rng.choice(WORDS, 9)), "metadata": {"kind": i % 4}}
        for i in range(4000)
    ]
    retriever = make(docs, path=True, fusion=fusion, feedback=feedback)
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
    if not feedback:  # which puts 200 documents in order, a fifth of those that pass
        assert (asked_for < max(lengths)) == (fusion == "zscore" and not pending)


def many(count=600):
    rng = np.random.default_rng(1)
    return [
        {"id": f"d{i}", "text": " ".join(rng.choice(WORDS, 9)), "metadata": {"kind": i % 2}}
        for i in range(count)
    ]


@pytest.mark.parametrize("filter", [None, {"kind": 1}])
@pytest.mark.parametrize("options", [{}, {"fusion": "rrf"}, {"lexical": False}, {"index": "sq8"}])
def test_how_many_are_wanted_changes_no_order(make, filter, options):
    retriever = make(many(), feedback=0.3, **options)
    for query in ("zebra wind storm", "the red cat", "stocks"):
        (most,) = retriever.first_stage([query], limit=200, filter=filter)
        found = [(one.id, one.fused.rank) for one in most]
        assert [rank for _, rank in found] == list(range(1, len(found) + 1))
        scores = [one.fused.score for one in most]
        assert scores == sorted(scores, reverse=True)
        for limit in (1, 10, 50):
            (few,) = retriever.first_stage([query], limit=limit, filter=filter)
            assert [(one.id, one.fused.rank) for one in few] == found[:limit]


def test_feedback_moves_documents_that_are_like_the_first_ones(make):
    plain, fed = make(many(), feedback=0.0), make(many(), feedback=0.5)
    for query in ("zebra wind storm", "the red cat"):
        (before,), (after,) = (each.first_stage([query], limit=100) for each in (plain, fed))
        assert [one.id for one in before] != [one.id for one in after]

        def likeness(found):
            vectors = fed.encoder.encode([one.rerank_text for one in found])
            return float((vectors[:20] @ vectors[:20].T).mean())

        assert likeness(after) > likeness(before)


def test_candidates_bring_the_vectors_of_their_passages_where_there_are_any(make):
    (found,) = make(many()).first_stage(["zebra wind"], limit=30)
    vectors = make(many()).encoder.encode([one.rerank_text for one in found])
    np.testing.assert_allclose(np.stack([one.vector for one in found]), vectors, atol=1e-6)
    (found,) = make(many(), dense=False).first_stage(["zebra wind"], limit=30)
    assert all(one.vector is None for one in found)
    assert found


def test_a_passage_that_only_bm25_still_has_is_left_out(make):
    retriever = make([("a", "a zebra"), ("b", "a horse"), ("c", "a fox")])
    lexical = retriever.collection.lexical
    lexical.add(np.array([10**6]), ["zebra zebra"])
    lexical.commit()
    assert retriever.search("zebra", k=3, rerank=False)[0].id == "a"
