"""What a study needs of a first stage: short lists, what they cost, and how they are configured."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retriever import Retriever
from retriever.config import RetrieverConfig
from retriever.second_stage import vectors_of
from retriever.types import Document

FloatArray = NDArray[np.float32]

_VECTOR_BYTES = 4  # the flat index keeps float32


@dataclass(frozen=True, slots=True)
class Shortlist:
    """One query's candidates, best first.

    :param ids: n document ids.
    :param texts: what a reranker reads of each.
    :param scores: what the first stage ranks by, shape (n,).
    :param vectors: of what a reranker reads, shape (n, d); None where it has none.
    :param milliseconds: what it took.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    scores: FloatArray
    vectors: FloatArray | None
    milliseconds: float


class FirstStage(Protocol):
    """A first stage over one corpus: the project's own, or a peer to compare it with.

    :ivar name: shown in tables.
    :ivar dimensions: of its vectors; None where it has none.
    :ivar bytes_per_passage: of its vectors; 0 where it has none.
    :ivar documents: how many it indexed.
    :ivar build_seconds: what encoding and indexing the corpus took.
    :ivar config: what to give a Retriever to have it; None for a peer.
    """

    name: str
    dimensions: int | None
    bytes_per_passage: float
    documents: int
    build_seconds: float
    config: RetrieverConfig | None

    def retrieve(self, query: str, limit: int) -> Shortlist:
        """Return at most `limit` candidates for a query."""
        ...


class RetrieverStage:
    """The project's own first stage under one configuration.

    :param documents: the corpus, indexed in memory.
    :param config: how.
    """

    def __init__(self, documents: Iterable[Document], config: RetrieverConfig) -> None:
        self.config: RetrieverConfig | None = config
        self.name = _name(config)
        started = time.perf_counter()
        self._retriever = Retriever.from_corpus(documents, config=config)
        self._retriever.encoder.compile()
        self.retrieve("warm up", 1)
        self.build_seconds = time.perf_counter() - started
        self.documents = len(self._retriever)
        self.dimensions = self._retriever.encoder.dimensions if config.dense else None
        self.bytes_per_passage = float(_VECTOR_BYTES * (self.dimensions or 0))

    def retrieve(self, query: str, limit: int) -> Shortlist:
        """Return at most `limit` candidates for a query, with the time they took."""
        started = time.perf_counter()
        (found,) = self._retriever.first_stage([query], limit=limit)
        elapsed = (time.perf_counter() - started) * 1000
        return Shortlist(
            tuple(candidate.id for candidate in found),
            tuple(candidate.rerank_text for candidate in found),
            np.asarray([candidate.fused.score for candidate in found], dtype=np.float32),
            vectors_of(found),
            elapsed,
        )


def _name(config: RetrieverConfig) -> str:
    """Name a configuration's first stage by what it searches."""
    if not config.lexical:
        return "dense"
    if not config.dense:
        return "lexical"
    return f"hybrid {config.fusion}"
