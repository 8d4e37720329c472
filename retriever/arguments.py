"""Checks of what a caller passes to a search, made before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real

from retriever.errors import InvalidInputError, InvalidTypeError


def check_query(query: object) -> None:
    """Refuse what is no question."""
    if not isinstance(query, str):
        raise InvalidTypeError(f"the query is a {type(query).__name__}, not a string")
    if not query.strip():
        raise InvalidInputError("the query is empty; ask for something")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the query holds a lone surrogate at character {error.start}, which is no valid Unicode; "
            "clean it with query.encode('utf-8', 'replace').decode()"
        ) from error


def checked_queries(queries: Iterable[str]) -> list[str]:
    """Return queries of any iterable as a list, each checked."""
    if isinstance(queries, str) or not isinstance(queries, Iterable):
        raise InvalidTypeError("queries must be a list of strings; use search for one query")
    asked = list(queries)
    for query in asked:
        check_query(query)
    return asked


def findable_ids(ids: object) -> list[str]:
    """Return those of the ids that a document can have: no file holds halves of characters.

    :raises InvalidTypeError: if they are no strings.
    """
    given = list(ids) if isinstance(ids, Iterable) and not isinstance(ids, str) else None
    if given is None or not all(isinstance(id, str) for id in given):
        raise InvalidTypeError("ids must be a list of strings; put a single id in a list")
    return [id for id in given if not any("\ud800" <= character <= "\udfff" for character in id)]


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, Integral):  # numpy's integers are welcome
        raise InvalidTypeError(f"{name} is a {type(value).__name__}, not a whole number")
    if value < 1:
        raise InvalidInputError(f"{name} is {value}; it must be at least 1")


def check_depth(depth: object) -> None:
    """Refuse what is neither "auto" nor a whole number from 1."""
    if isinstance(depth, str) and depth != "auto":
        raise InvalidTypeError(f"depth is {depth!r}, neither a whole number nor 'auto'")
    if depth != "auto":
        check_count("depth", depth)


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False, such as the word "no"."""
    if not isinstance(value, bool):
        raise InvalidTypeError(f"{name} is {value!r}, neither True nor False")


def check_number(name: str, value: object, wanted: str, fits: Callable[[float], bool]) -> None:
    """Refuse what is no number or out of range; None is fine."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidTypeError(f"{name} is a {type(value).__name__}, not a number")
    if not fits(float(value)):
        raise InvalidInputError(f"{name} is {value}; give {wanted}")
