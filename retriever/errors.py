"""Every error this project raises on purpose; each message names the thing and the remedy."""

from __future__ import annotations

from rerank.errors import (
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
    ModelError,
    ModelNotFoundError,
    RetrieverError,
)

__all__ = [
    "ClosedError",
    "CollectionError",
    "CollectionExistsError",
    "CollectionLockedError",
    "CollectionNotFoundError",
    "CollectionVersionError",
    "ConfigError",
    "CorruptCollectionError",
    "DocumentNotFoundError",
    "DuplicateIdError",
    "FilterError",
    "InvalidInputError",
    "InvalidTypeError",
    "MissingExtraError",
    "ModelError",
    "ModelNotFoundError",
    "RetrieverError",
    "SourceError",
    "StorageFullError",
]


class DuplicateIdError(InvalidInputError):
    """A document id is given twice, or exists already where it must not."""


class DocumentNotFoundError(RetrieverError, KeyError):
    """No document has this id."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which quotes the whole sentence.
        return str(self.args[0]) if self.args else ""


class ConfigError(RetrieverError):
    """A configuration has an unknown key, a value out of range, or does not fit the collection."""


class FilterError(InvalidInputError):
    """A metadata filter is malformed."""


class CollectionError(RetrieverError):
    """A collection on disk cannot be opened or written."""


class CollectionNotFoundError(CollectionError):
    """There is no collection in this folder."""


class CollectionExistsError(CollectionError):
    """There is a collection in this folder already."""


class CollectionLockedError(CollectionError):
    """Another process is writing to this collection."""


class CorruptCollectionError(CollectionError):
    """A file of the collection is truncated, damaged or half copied."""


class CollectionVersionError(CollectionError):
    """The collection was written by another version of this project."""


class StorageFullError(CollectionError):
    """The disk is full; the change was not made and the collection is as it was."""


class ClosedError(CollectionError):
    """The collection has been closed."""


class SourceError(RetrieverError):
    """A file or folder to be read cannot be read; the message names it."""


RESTORE = "restore it from a copy, or index the documents again into a new folder"
"""What to do where the documents themselves are damaged or gone."""


def rebuild_remedy(folder: object) -> str:
    """Return what to do about a damaged file that can be made again from the documents.

    :param folder: the collection's.
    """
    return f"restore it from a copy, or run: retriever rebuild {folder}"
