"""Rerankers: score (query, passage) pairs, inside a time budget; know nothing of indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rerank.protocol import PairReranker, ReadingReranker, Reranker, TextReader

if TYPE_CHECKING:
    from rerank.bi_encoder import BiEncoderReranker
    from rerank.chain import ChainReranker
    from rerank.cross_encoder import CrossEncoderReranker
    from rerank.loading import load_reranker
    from rerank.onnx_runtime import OnnxReranker

__all__ = [
    "BiEncoderReranker",
    "ChainReranker",
    "CrossEncoderReranker",
    "OnnxReranker",
    "PairReranker",
    "ReadingReranker",
    "Reranker",
    "TextReader",
    "load_reranker",
]

# Loaded when first asked for: importing this package stays light.
_HOMES = {
    "BiEncoderReranker": "rerank.bi_encoder",
    "ChainReranker": "rerank.chain",
    "CrossEncoderReranker": "rerank.cross_encoder",
    "OnnxReranker": "rerank.onnx_runtime",
    "load_reranker": "rerank.loading",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
