"""Texts that any tokenizer takes: Python's strings may hold halves of characters, which it does not."""

from __future__ import annotations


def well_formed(text: str) -> str:
    """Replace lone surrogates, which no tokenizer takes, by U+FFFD.

    :param text: any string.
    :return: the text itself where it has none.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
