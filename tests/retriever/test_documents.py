import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever import Document
from retriever.documents import to_documents
from retriever.errors import InvalidInputError, InvalidTypeError, RetrieverError


@pytest.mark.parametrize(
    ("doc", "error", "message"),
    [
        ("", InvalidInputError, "document 0 .* has no text"),
        ("  \n", InvalidInputError, "has no text"),
        (("a", ""), InvalidInputError, r"document 0 \('a'\) has no text"),
        (("", "cat"), InvalidInputError, "document 0 has an empty id"),
        ((1, "cat"), InvalidTypeError, "the id of document 0 is a int"),
        (("a", 1), InvalidTypeError, "the text of document 0 .* is a int"),
        (("a", None), InvalidTypeError, "is a NoneType, not a string"),
        (3, InvalidTypeError, "document 0 is a int; expected a string"),
        (("a", "b", "c"), InvalidTypeError, "expected a string, an .id, text. pair"),
        (b"cat", InvalidTypeError, "document 0 is a bytes"),
        ({"id": "a"}, InvalidInputError, "document 0 has no 'text'"),
        ({"text": "cat", "lang": "en"}, InvalidInputError, "unknown keys lang; put them under 'metadata'"),
        ({"text": float("nan")}, InvalidTypeError, "is a float, not a string"),
        ({"text": "cat", "metadata": [1]}, InvalidTypeError, "must be a mapping with string keys"),
        ({"text": "cat", "metadata": {1: 2}}, InvalidTypeError, "must be a mapping with string keys"),
        ({"text": "cat", "metadata": {"a": float("nan")}}, InvalidInputError, "replace NaN"),
        ({"text": "cat", "metadata": {"a": {1, 2}}}, InvalidTypeError, "is not JSON"),
        ("a\ud800b", InvalidInputError, "lone surrogate at character 1"),
        (("a", "a\ud800b"), InvalidInputError, "lone surrogate at character 1"),
    ],
)
def test_documents_that_cannot_be_used(doc, error, message):
    with pytest.raises(error, match=message):
        list(to_documents([doc]))


@pytest.mark.parametrize("docs", ["cat", {"text": "cat"}, Document(id="a", text="b"), 7, None])
def test_what_is_no_list_of_documents(docs):
    with pytest.raises(InvalidTypeError, match="docs must be an iterable of documents"):
        list(to_documents(docs))


def test_a_title_alone_is_enough():
    (doc,) = to_documents([{"_id": "a", "title": "Only a title", "text": ""}])
    assert doc == Document(id="a", text="", title="Only a title")


def test_the_position_is_named():
    with pytest.raises(InvalidInputError, match="document 2 "):
        list(to_documents(["a", "b", " "]))


@given(st.text(), st.text())
def test_ids_come_from_content(title, text):
    try:
        one, other = to_documents([{"title": title, "text": text}] * 2)
    except RetrieverError:
        return
    assert one.id == other.id and len(one.id) == 32
