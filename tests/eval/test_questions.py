"""Questions made from a collection, and taken out of it."""

import pytest

from eval.questions import CAVEAT, make_questions
from retriever.errors import InvalidInputError
from retriever.types import Document

BODY = (
    "It stays in the tank until the valve opens and the pump has run for at least ten whole minutes. "
    "Then the second lamp goes out, the needle comes back to zero, and the water may be drawn off slowly."
)


def documents():
    return [
        Document(id="titled", title="Boiler pressure", text=f"Boiler pressure\n\n{BODY}"),
        Document(id="headed", text=f"# Filling the tank\n\n{BODY}"),
        Document(id="underlined", title="Manual", text=f"Draining it all\n===============\n\n{BODY}"),
        Document(id="plain", text=f"Never open the valve before the pump runs. {BODY}"),
        Document(id="short", title="Too short", text="Nothing here."),
    ]


def test_each_question_is_gone_from_the_passage_it_asks_for():
    made = make_questions(documents())
    corpus = {document.id: document for document in made.dataset.documents}
    assert len(made.dataset.queries) == 4
    for query, text in made.dataset.queries.items():
        (relevant,) = made.dataset.qrels[query]
        left = corpus[relevant]
        asked = text.removeprefix("Manual: ")
        assert asked not in f"{left.title} {left.text}"
        assert "second lamp" in left.text


def test_kinds_are_told_apart_and_can_be_chosen():
    only = make_questions(documents(), kinds=("heading",))
    assert sorted(only.dataset.queries.values()) == ["Filling the tank", "Manual: Draining it all"]
    assert only.kinds == {"heading": 2}


def test_questions_with_two_answers_are_left_out():
    twice = [Document(id=f"d{n}", title="The same title", text=f"{BODY} {n}") for n in range(2)]
    with pytest.raises(InvalidInputError, match="none of the 2 documents"):
        make_questions(twice, kinds=("title",))


def test_the_same_seed_draws_the_same_questions():
    many = [Document(id=f"d{n}", title=f"Title number {n}", text=BODY) for n in range(50)]
    first, again = (make_questions(many, limit=10, seed=3).dataset for _ in range(2))
    assert first.queries == again.queries
    assert len(first.queries) == 10
    assert make_questions(many, limit=10, seed=4).dataset.queries != first.queries


def test_all_documents_stay_in_the_corpus():
    made = make_questions(documents())
    assert [document.id for document in made.dataset.documents] == [d.id for d in documents()]


def test_the_caveat_says_what_such_a_set_cannot_show():
    assert "cannot show" in CAVEAT


@pytest.mark.parametrize(
    "start", ["# Boiler pressure\n\n", "Boiler Pressure\n===\n\n", "\n## boiler pressure ##\n\n"]
)
def test_a_title_is_taken_out_where_it_stands_as_a_heading(start):
    document = Document(id="titled", title="Boiler pressure", text=start + BODY)
    made = make_questions([document], kinds=("title",))
    (left,) = made.dataset.documents
    assert left.text == BODY
