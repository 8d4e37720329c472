"""Records become documents: the usual names, ids made from content, everything else as metadata."""

from __future__ import annotations

import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from retriever.errors import SourceError
from retriever.ingest.records import RecordFields, record_document
from retriever.store.content_id import content_id
from retriever.types import Document

WHERE = "data.jsonl line 3"


def read(record, **fields):
    return record_document(record, RecordFields(**fields), WHERE)


def test_beir_record():
    record = {"_id": "7", "title": "T", "text": "x", "metadata": {"lang": "en"}, "year": 2020}
    assert read(record) == Document(id="7", title="T", text="x", metadata={"lang": "en", "year": 2020})


@pytest.mark.parametrize("name", ["text", "content", "body", "contents", "Text"])
def test_usual_names_of_the_text(name):
    assert read({name: "words", "id": 1}) == Document(id="1", text="words")


def test_an_id_is_made_from_the_content():
    assert read({"text": "words", "heading": "H"}).id == content_id("H", "words")


@pytest.mark.parametrize("field", ["text", "id"])
def test_a_named_field_that_is_not_there_is_told_even_beside_a_title(field):
    with pytest.raises(SourceError, match=rf"line 3 has no .*nosuch.*'title', 'words'.*--{field}-field"):
        read({"title": "T", "words": "x"}, **{"text": "words", field: "nosuch"})


def test_named_fields_come_before_usual_ones():
    document = read({"text": "a", "answer": "b", "key": "k"}, text="answer", id="key")
    assert (document.id, document.text, document.metadata) == ("k", "b", {"text": "a"})


@pytest.mark.parametrize("record", [{"text": " ", "title": ""}, {"text": None}])
def test_nothing_to_search_is_no_document(record):
    assert read(record) is None


def test_values_json_lacks_are_converted():
    record = {
        "text": "x",
        "day": datetime.date(2026, 1, 2),
        "price": Decimal("1.5"),
        "key": UUID(int=5),
        "nan": float("nan"),
        "tags": ["a", float("inf")],
    }
    assert read(record).metadata == {
        "day": "2026-01-02",
        "price": 1.5,
        "key": str(UUID(int=5)),
        "tags": ["a", None],
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            {"question": "x"},
            r"data\.jsonl line 3 has no text field \(text, content.*'question'.*--text-field",
        ),
        ({"text": ["x"]}, r"the field 'text' of data\.jsonl line 3 is a list; it must be a string"),
        ({"text": "x", "id": 1.5}, r"the id of data\.jsonl line 3 is a float"),
        ({"text": "x\ud800"}, r"lone surrogate at character 1"),
        ({"text": "x", "note": "\ud800"}, r"the field 'note' of data\.jsonl line 3 holds a lone surrogate"),
        ({"text": "x", "raw": b"1"}, r"the field 'raw' of data\.jsonl line 3 is a bytes"),
    ],
)
def test_what_cannot_be_kept_is_named(record, message):
    with pytest.raises(SourceError, match=message):
        read(record)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [(2**64, "64 bits"), (-(2**63) - 1, "64 bits"), ([[[]]] * 2, None), (2**64 - 1, None)],
)
def test_integers_that_the_database_cannot_hold_are_named(value, wrong):
    record = {"text": "some", "n": value}
    if wrong is None:
        assert record_document(record, RecordFields(), "here").metadata == {"n": value}
    else:
        with pytest.raises(SourceError, match=f"'n' of here.*{wrong}"):
            record_document(record, RecordFields(), "here")


def test_values_that_are_nested_too_deeply_are_named():
    value = []
    for _ in range(300):
        value = [value]
    with pytest.raises(SourceError, match="'n' of here is nested too deeply"):
        record_document({"text": "some", "n": value}, RecordFields(), "here")
