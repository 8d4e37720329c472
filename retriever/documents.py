"""Turning what a caller hands in (strings, pairs, mappings, Documents) into valid Documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from retriever.errors import InvalidInputError, InvalidTypeError
from retriever.store.content_id import content_digest, content_id
from retriever.store.records import StoredDocument
from retriever.types import Document

DocumentLike = str | tuple[str, str] | Mapping[str, Any] | Document

_KEYS = {"id", "_id", "text", "title", "metadata"}
# Made once: json.dumps makes one for every call, which takes longer than to write a few fields.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)


def to_documents(docs: Iterable[DocumentLike]) -> Iterator[Document]:
    """Validate documents one after another.

    :param docs: strings, `(id, text)` pairs, mappings with `text` and optionally `id` (or `_id`),
        `title` and `metadata`, or `Document`s.
    :return: the documents; an id is made from the content where none is given.
    :raises InvalidTypeError: if `docs` is no iterable of these.
    :raises InvalidInputError: if a document cannot be stored; the message says which and why.
    """
    for position, doc in enumerate(_iterable(docs)):
        document = _convert(doc, position)
        _checked_metadata(document, position)
        yield document


def to_stored(docs: Iterable[DocumentLike]) -> Iterator[StoredDocument]:
    """Validate documents one after another, as `to_documents` does, and make of each what the database keeps.

    :return: the documents, each in one passage.
    """
    for position, doc in enumerate(_iterable(docs)):
        document = _convert(doc, position)
        metadata = _checked_metadata(document, position)
        digest = content_digest(document.title, document.text, metadata)
        spans = ((0, len(document.text)),)
        yield StoredDocument(document.id, document.title, document.text, metadata, digest, spans)


def _iterable(docs: Iterable[DocumentLike]) -> Iterable[DocumentLike]:
    """Refuse what is no iterable of documents."""
    if isinstance(docs, str | bytes | Mapping | Document) or not isinstance(docs, Iterable):
        raise InvalidTypeError(
            f"docs must be an iterable of documents, not one {type(docs).__name__}; "
            "put a single document in a list"
        )
    return docs


def _checked_metadata(document: Document, position: int) -> str:
    """Validate one document and return its metadata as JSON; `position` is its place, for messages."""
    id, title, text = document.id, document.title, document.text
    # The messages are made only where they are needed: they take longer than the checks.
    if not (_is_text(id) and _is_text(title) and _is_text(text)):
        where = f"document {position} ({id!r})"
        _check_text(id, f"the id of document {position}", "give every document a non-empty string id")
        _check_text(title, f"the title of {where}", "give it as a string")
        _check_text(text, f"the text of {where}", "give it as a string")
    if not id:
        raise InvalidInputError(f"document {position} has an empty id; leave the id out to have one made")
    if not (text.strip() or title.strip()):
        raise InvalidInputError(f"document {position} ({id!r}) has no text; leave it out or give it a text")
    return metadata_json(document)


def metadata_json(document: Document) -> str:
    """Return the metadata as canonical JSON.

    :raises InvalidTypeError: if it is no JSON object.
    :raises InvalidInputError: if it holds NaN or infinity.
    """
    metadata = document.metadata
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise InvalidTypeError(
            f"the metadata of document {document.id!r} must be a mapping with string keys, "
            f"not {type(metadata).__name__}"
        )
    if not metadata:
        return "{}"
    try:
        return _CANONICAL.encode(dict(metadata))
    except TypeError as error:
        raise InvalidTypeError(
            f"the metadata of document {document.id!r} is not JSON ({error}); "
            "use strings, numbers, booleans, None, lists and mappings"
        ) from error
    except ValueError as error:
        raise InvalidInputError(
            f"the metadata of document {document.id!r} cannot be stored ({error}); "
            "replace NaN and infinity by None"
        ) from error


def size_of(docs: Iterable[DocumentLike]) -> int | None:
    """Return the number of documents where it is known without reading them."""
    return len(docs) if isinstance(docs, Sized) else None


def _convert(doc: DocumentLike, position: int) -> Document:
    """Bring any accepted form into a Document, unchecked."""
    if isinstance(doc, Document):
        return doc
    if isinstance(doc, str):
        _check_text(doc, f"document {position}", "encode it as UTF-8 text")
        return Document(id=content_id("", doc), text=doc)
    if isinstance(doc, Mapping):
        return _from_mapping(doc, position)
    if isinstance(doc, tuple) and len(doc) == 2:
        return Document(id=doc[0], text=doc[1])
    raise InvalidTypeError(
        f"document {position} is a {type(doc).__name__}; expected a string, an (id, text) pair, "
        "a mapping with a 'text', or a Document"
    )


def _from_mapping(doc: Mapping[str, Any], position: int) -> Document:
    """Read a mapping, refusing keys that would be lost."""
    if not _KEYS.issuperset(doc):
        unknown = sorted(str(key) for key in doc if key not in _KEYS)
        raise InvalidInputError(
            f"document {position} has unknown keys {', '.join(unknown)}; put them under 'metadata'"
        )
    if "text" not in doc:
        raise InvalidInputError(f"document {position} has no 'text'")
    title, text = doc.get("title") or "", doc["text"]
    given = doc.get("id", doc.get("_id"))
    if given is None:
        _check_text(title, f"the title of document {position}", "give it as a string")
        _check_text(text, f"the text of document {position}", "give it as a string")
        given = content_id(title, text)
    return Document(id=given, text=text, title=title, metadata=doc.get("metadata") or {})


def _is_text(value: object) -> bool:
    """Tell whether a value is a string that a file can hold."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _check_text(value: object, what: str, remedy: str) -> None:
    """Refuse what is no string, and strings that no file can hold."""
    if not isinstance(value, str):
        raise InvalidTypeError(f"{what} is a {type(value).__name__}, not a string; {remedy}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{what} holds a lone surrogate at character {error.start}, which is no valid Unicode; "
            "clean it with text.encode('utf-8', 'replace').decode()"
        ) from error
