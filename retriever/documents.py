"""Turning what a caller hands in (strings, pairs, mappings, Documents) into valid Documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, NamedTuple

from retriever.errors import InvalidInputError, InvalidTypeError
from retriever.metadata import metadata_json
from retriever.store.content_id import content_digest, content_id
from retriever.store.records import StoredDocument
from retriever.types import Document

DocumentLike = str | tuple[str, str] | Mapping[str, Any] | Document


class _Given(NamedTuple):
    """The parts of a document as they were handed in."""

    id: str
    text: str
    title: str
    metadata: Mapping[str, Any]


_KEYS = {"id", "_id", "text", "title", "metadata"}


def to_documents(docs: Iterable[DocumentLike]) -> Iterator[Document]:
    """Validate documents one after another.

    :param docs: strings, `(id, text)` pairs, mappings with `text` and optionally `id` (or `_id`),
        `title` and `metadata`, or `Document`s.
    :return: the documents; an id is made from the content where none is given.
    :raises InvalidTypeError: if `docs` is no iterable of these.
    :raises InvalidInputError: if a document cannot be stored; the message says which and why.
    """
    for position, doc in enumerate(_iterable(docs)):
        given = _given(doc, position)
        _checked_metadata(given, position)
        yield doc if isinstance(doc, Document) else Document(**given._asdict())


def to_stored(docs: Iterable[DocumentLike]) -> Iterator[StoredDocument]:
    """Validate documents one after another, as `to_documents` does, and make of each what the database keeps.

    :return: the documents, each in one passage.
    """
    for position, doc in enumerate(_iterable(docs)):
        given = _given(doc, position)
        metadata = _checked_metadata(given, position)
        id, text, title, _ = given
        digest = content_digest(title, text, metadata)
        yield StoredDocument(id, title, text, metadata, digest, ((0, len(text)),))


def _iterable(docs: Iterable[DocumentLike]) -> Iterable[DocumentLike]:
    """Refuse what is no iterable of documents."""
    if isinstance(docs, str | bytes | Mapping | Document) or not isinstance(docs, Iterable):
        raise InvalidTypeError(
            f"docs must be an iterable of documents, not one {type(docs).__name__}; "
            "put a single document in a list"
        )
    return docs


def _checked_metadata(given: _Given, position: int) -> str:
    """Validate one document and return its metadata as JSON; `position` is its place, for messages."""
    id, text, title, metadata = given
    # The messages are made only where they are needed: they take longer than the checks.
    if not (_is_text(id) and _is_text(title) and _is_text(text)):
        where = f"document {position} ({id!r})"
        _check_text(id, f"the id of document {position}", "give every document a non-empty string id")
        _check_text(title, f"the title of {where}", "give it as a string")
        _check_text(text, f"the text of {where}", "give it as a string")
    if not id:
        raise InvalidInputError(f"document {position} has an empty id; leave the id out to have one made")
    if (not text or text.isspace()) and not title.strip():
        raise InvalidInputError(f"document {position} ({id!r}) has no text; leave it out or give it a text")
    return metadata_json(metadata, id)


def size_of(docs: Iterable[DocumentLike]) -> int | None:
    """Return the number of documents where it is known without reading them."""
    return len(docs) if isinstance(docs, Sized) else None


def _given(doc: DocumentLike, position: int) -> _Given:
    """Return the parts of any accepted form, unchecked."""
    if isinstance(doc, Document):
        return _Given(doc.id, doc.text, doc.title, doc.metadata)
    if isinstance(doc, str):
        _check_text(doc, f"document {position}", "encode it as UTF-8 text")
        return _Given(content_id("", doc), doc, "", {})
    if isinstance(doc, Mapping):
        return _from_mapping(doc, position)
    if isinstance(doc, tuple) and len(doc) == 2:
        return _Given(doc[0], doc[1], "", {})
    raise InvalidTypeError(
        f"document {position} is a {type(doc).__name__}; expected a string, an (id, text) pair, "
        "a mapping with a 'text', or a Document"
    )


def _from_mapping(doc: Mapping[str, Any], position: int) -> _Given:
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
    return _Given(given, text, title, doc.get("metadata") or {})


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
