"""Fates against a count by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.attribution import attribute, perfect_reranking, with_texts
from retriever.errors import InvalidInputError
from retriever.types import Document

FILL = [f"x{n}" for n in range(30)]


def ranked(**places):
    """A list of fillers with documents at given ranks."""
    documents = [name for name in FILL if name not in places]
    for name, rank in sorted(places.items(), key=lambda entry: entry[1]):
        documents.insert(rank - 1, name)
    return documents


def test_ten_queries_counted_by_hand():
    depth, k = 20, 10
    by_hand = {
        # query: (first-stage ranks, final ranks, fate)
        "top in both": ({"a": 1}, {"a": 1}, "answered"),
        "lifted": ({"a": 15}, {"a": 3}, "answered"),
        "at the edge": ({"a": 10}, {"a": 10}, "answered"),
        "second answer saves it": ({"a": 2, "b": 12}, {"a": 18, "b": 5}, "answered"),
        "never found": ({}, {}, "never found"),
        "too deep": ({"a": 21}, {"a": 21}, "too deep"),
        "far too deep": ({"a": 30}, {"a": 30}, "too deep"),
        "demoted": ({"a": 1}, {"a": 11}, "demoted"),
        "not lifted": ({"a": 12}, {"a": 12}, "not lifted"),
        "both lost": ({"a": 4, "b": 25}, {"a": 17, "b": 25}, "demoted"),
    }
    first = {query: ranked(**before) for query, (before, _, _) in by_hand.items()}
    final = {query: ranked(**after) for query, (_, after, _) in by_hand.items()}
    qrels = {query: {"a": 1, "b": 1} for query in by_hand}
    found = attribute(first, final, qrels, depth=depth, k=k)
    assert {one.query: one.fate for one in found.fates} == {q: fate for q, (_, _, fate) in by_hand.items()}
    assert found.counts() == {
        "answered": 4,
        "never found": 1,
        "too deep": 2,
        "demoted": 2,
        "not lifted": 1,
    }
    assert sum(found.shares().values()) == pytest.approx(1)
    assert found.rescued == 1
    worst = found.worst("demoted")
    assert [(one.query, one.first_rank, one.final_rank) for one in worst] == [
        ("both lost", 4, 17),
        ("demoted", 1, 11),
    ]


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2),
        st.tuples(st.permutations([f"d{n}" for n in range(8)]), st.sets(st.sampled_from(["d1", "d5", "z"]))),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 9),
    st.integers(1, 9),
)
def test_shares_add_up_to_one_whatever_the_lists(lists, depth, k):
    qrels = {query: dict.fromkeys(relevant, 1) for query, (_, relevant) in lists.items()}
    first = {query: list(order) for query, (order, _) in lists.items()}
    final = {query: sorted(order[:depth]) + list(order[depth:]) for query, order in first.items()}
    if not any(qrels.values()):
        with pytest.raises(InvalidInputError, match="nothing to attribute"):
            attribute(first, final, qrels, depth=depth, k=k)
        return
    found = attribute(first, final, qrels, depth=depth, k=k)
    assert sum(found.shares().values()) == pytest.approx(1)
    assert len(found.fates) == sum(bool(relevant) for relevant in qrels.values())


def test_a_perfect_reranker_is_bounded_by_what_it_is_given():
    bounds = perfect_reranking({"q": ["x", "y", "a"]}, {"q": {"a": 1}}, [1, 2, 3])
    assert bounds == {1: pytest.approx(0.5), 2: pytest.approx(0.5), 3: pytest.approx(1.0)}


def test_texts_are_added_and_documents_that_are_not_there_are_none():
    found = attribute({"q": ["a"]}, {"q": ["a"]}, {"q": {"b": 1}}, depth=1)
    (there,) = with_texts(found.fates, {"q": "why?"}, [Document(id="b", text="because")])
    assert (there.query, there.document.text) == ("why?", "because")
    assert with_texts(found.fates, {}, [])[0].document is None
