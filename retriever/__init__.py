"""Two-stage retrieval: a static lookup-table encoder finds, a reranker decides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retriever.config import RetrieverConfig
    from retriever.encoder import StaticEncoder
    from retriever.errors import RetrieverError
    from retriever.pipeline import Retriever
    from retriever.types import Document, SearchResult

__all__ = ["Document", "Retriever", "RetrieverConfig", "RetrieverError", "SearchResult", "StaticEncoder"]

_HOMES = {
    "Document": "types",
    "Retriever": "pipeline",
    "RetrieverConfig": "config",
    "RetrieverError": "errors",
    "SearchResult": "types",
    "StaticEncoder": "encoder",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that `import retriever` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'retriever' has no attribute {name!r}")
    return getattr(import_module(f"retriever.{_HOMES[name]}"), name)
