import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import FilterError
from retriever.store.document_store import DocumentStore
from retriever.store.records import StoredDocument

RECORDS = {
    "a": {"lang": "en", "year": 2019, "tags": ["faq", "new"], "open": True, "who": {"name": "Ada"}},
    "b": {"lang": "de", "year": 2021, "tags": [], "open": False},
    "c": {"lang": "en", "year": 2022.5, "note": "faq inside", "open": None},
    "d": {"year": "2020", "open": 1, "odd key.with": 'quo"te'},
    "e": {},
}


def matching(records, filter):
    store = DocumentStore(None)
    docs = [StoredDocument(id, "", "text", json.dumps(data), b"", ((0, 4),)) for id, data in records.items()]
    store.apply(insert=docs)
    found = store.matching(filter)
    store.close()
    return "".join(list(records)[pid - 1] for pid in found)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, "abcde"),
        ({"lang": "en"}, "ac"),
        ({"lang": {"eq": "en"}}, "ac"),
        ({"lang": {"ne": "en"}}, "bde"),
        ({"lang": {"in": ["de", "fr"]}}, "b"),
        ({"lang": {"in": []}}, ""),
        ({"year": {"in": [2019, "2020", 2022.5]}}, "acd"),
        ({"year": {"in": [2019.0, True]}}, "a"),
        ({"open": {"in": [None, True]}}, "ace"),
        ({"year": {"in": [*range(2500), float("inf")]}}, "ab"),
        ({"lang": {"in": ["de", *map(str, range(5000))]}}, "b"),
        ({"year": {"gte": 2021}}, "bc"),
        ({"year": {"gt": 2019, "lt": 2022}}, "b"),
        ({"year": {"gte": "2020"}}, "d"),
        ({"year": 2022.5}, "c"),
        ({"open": True}, "a"),
        ({"open": 1}, "d"),
        ({"open": None}, "ce"),
        ({"tags": {"contains": "faq"}}, "a"),
        ({"note": {"contains": "inside"}}, "c"),
        ({"lang": {"prefix": "e"}}, "ac"),
        ({"year": {"exists": True}}, "abcd"),
        ({"lang": {"exists": False}}, "de"),
        ({"who.name": "Ada"}, "a"),
        ({"or": [{"lang": "de"}, {"tags": {"contains": "new"}}]}, "ab"),
        ({"and": [{"lang": "en"}, {"year": {"gt": 2020}}]}, "c"),
        ({"not": {"lang": "en"}}, "bde"),
        ({"lang": "en", "not": {"year": 2019}}, "c"),
        ({"lang": "' OR 1=1 --"}, ""),
        ({"x') OR 1=1 --": "y"}, ""),
    ],
)
def test_what_passes(filter, expected):
    assert matching(RECORDS, filter) == expected


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ([], "a filter is a mapping"),
        ({"": 1}, "non-empty strings"),
        ({1: 1}, "non-empty strings"),
        ({"a": {}}, "the filter on 'a' is empty"),
        ({"a": {"like": 1}}, "unknown filter operator 'like' on 'a'; use one of eq"),
        ({"a": {"gte": [1]}}, "use a string or a number"),
        ({"a": {"gte": float("nan")}}, "NaN"),
        ({"a": [1]}, "use a string or a number"),
        ({"a": {"in": "abc"}}, "'in' on 'a' takes a list"),
        ({"a": {"prefix": 1}}, "'prefix' on 'a' takes a string"),
        ({"a": {"contains": None}}, "'contains' on 'a' takes"),
        ({"a": {"exists": 1}}, "'exists' on 'a' takes true or false"),
        ({"or": {}}, "'or' takes a non-empty list"),
        ({"or": []}, "'or' takes a non-empty list"),
        ({"not": 1}, "a filter is a mapping"),
        ({'a"b': 1}, "double quote"),
    ],
)
def test_mistakes_are_explained(filter, message):
    with pytest.raises(FilterError, match=message):
        matching(RECORDS, filter)


values = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2, width=16)
    | st.sampled_from(["", "a", "ab"])
)


def same(one, other):
    number = (int, float)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, number) and isinstance(other, number):
        return one == other
    return type(one) is type(other) and one == other


@given(st.lists(st.dictionaries(st.sampled_from("xyz"), values), min_size=1, max_size=6), values)
def test_equality_agrees_with_python(records, value):
    named = {chr(ord("a") + i): record for i, record in enumerate(records)}
    expected = "".join(id for id, record in named.items() if same(record.get("x"), value))
    assert matching(named, {"x": value}) == expected
    rest = "".join(id for id in named if id not in expected)
    assert matching(named, {"x": {"ne": value}}) == rest
    assert matching(named, {"not": {"x": value}}) == rest


@pytest.mark.parametrize("value", [1 << 63, -(1 << 64), 10**400, "\ud800"])
@pytest.mark.parametrize("operator", ["eq", "in", "gte", "contains", "prefix"])
def test_what_no_document_can_hold_is_refused(value, operator):
    if operator == "prefix" and not isinstance(value, str):
        value = "\udfff"
    with pytest.raises(FilterError, match="64 bits|half a character"):
        matching(RECORDS, {"year": {operator: [value] if operator == "in" else value}})
    with pytest.raises(FilterError, match="half a character"):
        matching(RECORDS, {"\ud800": {"exists": True}})


def nested(depth, *, word="not"):
    made = {"lang": "en"}
    for _ in range(depth):
        made = {word: made if word == "not" else [made, {"year": 2019}]}
    return made


@pytest.mark.parametrize(
    "filter", [nested(60), nested(100_000), nested(60, word="or"), {"or": [{"year": n} for n in range(3000)]}]
)
def test_a_filter_too_large_for_sqlite_is_no_damage(filter):
    with pytest.raises(FilterError, match="too long or nested too deep"):
        matching(RECORDS, filter)
