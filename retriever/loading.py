"""The models that a configuration names."""

from __future__ import annotations

import logging
from pathlib import Path

from rerank.cache import CachedReranker, PairCache
from rerank.protocol import Reranker
from retriever.config import BUNDLED, FAST, RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.errors import ConfigError, InvalidInputError, InvalidTypeError, ModelNotFoundError

LOG = logging.getLogger(__name__)
PAIRS = "pairs.sqlite"
MODELS = Path(__file__).parent / "models"
BUNDLED_RERANKER = MODELS / "reranker"
BUNDLED_RERANKERS = {BUNDLED: BUNDLED_RERANKER, FAST: MODELS / "reranker_fast"}


def load_encoder(config: RetrieverConfig, given: StaticEncoder | None = None) -> StaticEncoder:
    """Return the encoder of a configuration, at the width it asks for.

    :param given: stands for the one that the configuration names.
    :raises InvalidTypeError: if it is no encoder.
    """
    if given is not None and not isinstance(given, StaticEncoder):
        raise InvalidTypeError(
            f"encoder must be a StaticEncoder, not {type(given).__name__}; "
            "one is loaded by its name with RetrieverConfig(encoder=name) or StaticEncoder.load(name)"
        )
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


def reranker_ahead(config: RetrieverConfig, given: Reranker | None) -> Reranker | None:
    """Load what may not be there, so that it is told before anything is written and not by the first search.

    :param given: stands for the one that the configuration names.
    :return: the reranker that the configuration names, None for a bundled one, which is loaded when needed.
    :raises ModelNotFoundError: if there is no reranker of the configuration's name.
    :raises InvalidInputError: if it cannot have the cache that the configuration asks for.
    """
    ahead = load_reranker(config) if given is None and config.reranker not in BUNDLED_RERANKERS else None
    remembering(ahead if given is None else given, config.pair_cache, None)
    return ahead


def remembering(reranker: Reranker | None, size: int | None, folder: Path | None) -> Reranker | None:
    """Give a reranker a cache of scores.

    :param reranker: the reranker; one that has a cache keeps it.
    :param size: bytes of memory that it may take; None for no cache.
    :param folder: the collection's, which keeps the scores, too; None keeps them in memory alone.
    :return: a `rerank.cache.CachedReranker`, or what was given.
    :raises InvalidInputError: if the reranker has no fingerprint, or the size cannot hold a score.
    """
    if reranker is None or size is None:
        return reranker
    if isinstance(reranker, CachedReranker):
        return reranker
    try:
        cache = PairCache(max_bytes=size, path=None if folder is None else folder / PAIRS)
    except InvalidInputError as error:
        cache = PairCache(max_bytes=size)  # raises, too, where it is the size that is wrong
        LOG.warning("scores are kept in memory alone: %s", error)
    return CachedReranker(reranker, cache)


def load_named_reranker(name: str | Path) -> Reranker:
    """Load a reranker by the name that a configuration gives it.

    :param name: "bundled", "fast", a folder or a hub id.
    :raises ModelNotFoundError: if there is none of this name.
    :raises ModelError: if it is damaged.
    """
    from rerank import load_reranker as load  # brings a runtime, which many never need

    try:
        return load(BUNDLED_RERANKERS.get(str(name), name))
    except ModelNotFoundError as error:
        known = " and ".join(map(repr, BUNDLED_RERANKERS))
        raise ModelNotFoundError(
            f"{error}; {known} are in this package, and None (--reranker none) is without"
        ) from error
