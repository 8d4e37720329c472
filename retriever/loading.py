"""The models that a configuration names."""

from __future__ import annotations

from pathlib import Path

from rerank.protocol import Reranker
from retriever.config import BUNDLED, RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.errors import ConfigError

BUNDLED_RERANKER = Path(__file__).parent / "models" / "reranker"


def load_encoder(config: RetrieverConfig, given: StaticEncoder | None = None) -> StaticEncoder:
    """Return the encoder of a configuration, at the width it asks for.

    :param given: stands for the one that the configuration names.
    """
    encoder = given
    if encoder is None:
        encoder = StaticEncoder.load(None if config.encoder == BUNDLED else config.encoder)
    if config.dimensions is None:
        return encoder
    if config.dimensions > encoder.dimensions:
        name = repr(config.encoder) if given is None else "that was given"
        raise ConfigError(
            f"dimensions is {config.dimensions}, but the encoder {name} has {encoder.dimensions}"
        )
    return encoder.truncate(config.dimensions)


def load_reranker(config: RetrieverConfig) -> Reranker | None:
    """Load the reranker that a configuration names; None where it names none."""
    return None if config.reranker is None else load_named_reranker(config.reranker)


def load_named_reranker(name: str | Path) -> Reranker:
    """Load a reranker by the name that a configuration gives it.

    :param name: "bundled", a folder or a hub id.
    :raises ModelNotFoundError: if there is none of this name.
    :raises ModelError: if it is damaged.
    """
    from rerank import load_reranker as load  # brings a runtime, which many never need

    return load(BUNDLED_RERANKER if name == BUNDLED else name)
