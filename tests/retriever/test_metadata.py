import json
import math
from collections import OrderedDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import InvalidInputError, InvalidTypeError
from retriever.metadata import metadata_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_is_read_is_what_was_written_whatever_the_order(metadata):
    written = metadata_json(metadata, "a")
    assert json.loads(written) == metadata
    assert metadata_json(dict(reversed(metadata.items())), "a") == written


def test_nested_order_does_not_matter():
    one = metadata_json({"x": 1, "y": [1, {"z": None, "a": 2}]}, "a")
    assert metadata_json({"y": [1, {"a": 2, "z": None}], "x": 1}, "a") == one


def test_what_is_json_in_all_but_its_class():
    pair = namedtuple("pair", "a b")
    metadata = MappingProxyType(
        {
            "pair": pair(1, 2),
            "ordered": OrderedDict(b=1, a=MappingProxyType({"c": None})),
            "numbers": [np.float64(0.5), np.int64(3), np.bool_(True)],
            "vector": np.arange(2.0),
        }
    )
    assert json.loads(metadata_json(metadata, "a")) == {
        "pair": [1, 2],
        "ordered": {"a": {"c": None}, "b": 1},
        "numbers": [0.5, 3, True],
        "vector": [0.0, 1.0],
    }


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, np.float32("nan"), [1, {"a": math.nan}], (-math.inf,), np.array([np.nan])],
)
def test_what_is_no_number(value):
    with pytest.raises(InvalidInputError, match="'doc' cannot be stored; replace NaN"):
        metadata_json({"a": value, "b": None}, "doc")


def test_null_is_a_value_and_a_word():
    metadata = {"a": None, "b": "null", "c": [None, {"d": None}], "e": np.array([1.0, 2.0])}
    assert metadata_json(metadata, "a") == '{"a":null,"b":"null","c":[null,{"d":null}],"e":[1.0,2.0]}'


@pytest.mark.parametrize("value", [{1, 2}, b"x", 2**70, "\ud800", {1: 2}, object()])
def test_what_is_no_json(value):
    with pytest.raises(InvalidTypeError, match="metadata of document 'doc' is not JSON"):
        metadata_json({"a": value}, "doc")


def test_what_holds_itself():
    loop: dict = {}
    loop["a"] = loop
    with pytest.raises(InvalidTypeError, match="is not JSON"):
        metadata_json(loop, "doc")
