"""Ids and digests made from content, so that the same document always gets the same one."""

from __future__ import annotations

import hashlib


def content_id(title: str, text: str) -> str:
    """Return the id of a document that brings none: 32 hexadecimal digits of BLAKE2b.

    :param title: the document's title, or "".
    :param text: the document's text.
    :return: the same id for the same title and text, on every machine.
    """
    return hashlib.blake2b(f"{title}\0{text}".encode(), digest_size=16).hexdigest()


def content_digest(title: str, text: str, metadata_json: str) -> bytes:
    """Return 16 bytes that change when anything of the document changes."""
    return hashlib.blake2b(f"{title}\0{text}\0{metadata_json}".encode(), digest_size=16).digest()
