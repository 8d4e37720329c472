"""The base of every error this project raises on purpose, and those any floor may raise.

They live on the lowest floor so that each package can use them without importing upwards;
`retriever.errors` has them all under one roof.
"""

from __future__ import annotations


class RetrieverError(Exception):
    """Base of all errors raised on purpose; catch this one to catch them all."""


class InvalidInputError(RetrieverError, ValueError):
    """A value given by the caller cannot be used (empty text, k of 0, NaN, an unknown option)."""


class InvalidTypeError(RetrieverError, TypeError):
    """A value given by the caller has the wrong type."""


class ModelError(RetrieverError):
    """A model folder is incomplete, damaged or of the wrong kind."""


class ModelNotFoundError(ModelError):
    """Neither a folder nor a hub id with this name can be read."""


class MissingExtraError(RetrieverError, ImportError):
    """An optional dependency is needed and not installed; the message has the pip line."""
