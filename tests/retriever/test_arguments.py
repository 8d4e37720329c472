"""What a caller passes to a search is refused before any work is done, with the remedy."""

from __future__ import annotations

import pytest

from retriever.arguments import check_count, check_flag, check_query
from retriever.errors import InvalidInputError, InvalidTypeError


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (5, InvalidTypeError, r"the query is a int, not a string"),
        (" \n", InvalidInputError, r"the query is empty; ask for something"),
        ("cat \ud800", InvalidInputError, r"lone surrogate at character 4.*clean it with"),
    ],
)
def test_what_is_no_question_is_refused(query, error, message):
    with pytest.raises(error, match=message):
        check_query(query)


def test_a_flag_is_true_or_false():
    check_flag("rerank", False)
    with pytest.raises(InvalidTypeError, match="rerank is 'no', neither True nor False"):
        check_flag("rerank", "no")


def test_a_question_in_any_script_is_fine():
    check_query("Wo ist die Katze? 猫はどこ 😀 \0")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (True, InvalidTypeError, r"k is a bool, not a whole number"),
        (1.0, InvalidTypeError, r"k is a float, not a whole number"),
        (0, InvalidInputError, r"k is 0; it must be at least 1"),
    ],
)
def test_counts_are_whole_numbers_from_one(value, error, message):
    with pytest.raises(error, match=message):
        check_count("k", value)
