"""Haystack: text retriever, text and document embedder and ranker, as components of a Pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retriever.integrations.extras import missing_extra

try:
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.types import FilterPolicy, apply_filter_policy
except ImportError as error:
    raise missing_extra("as_haystack()", "haystack-ai", "haystack") from error

from rerank.protocol import Reranker
from retriever.config import BUNDLED
from retriever.encoder import StaticEncoder
from retriever.errors import ConfigError, InvalidInputError
from retriever.integrations.haystack_filters import to_filter
from retriever.integrations.reranking import best_first, reranker_of
from retriever.integrations.result_fields import checked_content, fields, text_and_span
from retriever.integrations.search_options import check_search
from retriever.loading import load_named_reranker
from retriever.pipeline import Retriever
from retriever.types import Depth, SearchResult


@component
class TwoStageRetriever:
    """A Haystack text retriever over a collection.

    A document's `id` is the collection's, its `score` what the list is ordered by; its `meta` are the
    collection's with `title`, `split_idx_start` (where the content starts in the document) and `retrieval`
    (both stages' ranks and scores, and the span) beside them.

    :param retriever: an open retriever, or the folder of a collection, opened at warm-up.
    :param top_k: at most this many documents.
    :param filters: Haystack filters; only documents whose `meta` pass.
    :param depth: how many candidates the reranker reads; None takes the configuration's.
    :param rerank: False leaves the order of the first stage.
    :param content: a document's content is the best 'passage' or the whole 'document'.
    :param filter_policy: whether filters at run time 'replace' these or are 'merge'd with them.
    :raises FilterError: if the filters are malformed.
    """

    def __init__(
        self,
        retriever: Retriever | str | Path,
        top_k: int = 10,
        filters: dict[str, Any] | None = None,
        depth: Depth | None = None,
        rerank: bool = True,
        content: str = "passage",
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        check_search(to_filter(filters), depth)
        self.top_k = _checked_top_k(top_k)
        self.filters = filters
        self.depth = depth
        self.rerank = rerank
        self.content = checked_content(content)
        self.filter_policy = (
            filter_policy if isinstance(filter_policy, FilterPolicy) else FilterPolicy.from_str(filter_policy)
        )
        self._retriever = retriever if isinstance(retriever, Retriever) else None
        self._path = retriever.collection.path if isinstance(retriever, Retriever) else Path(retriever)

    def warm_up(self) -> None:
        """Open a collection that was given by its folder."""
        self.opened()

    def opened(self) -> Retriever:
        """Return the retriever, opening its collection when first asked for."""
        if self._retriever is None:
            if self._path is None:
                raise InvalidInputError("the component has neither a retriever nor a folder")
            self._retriever = Retriever.open(self._path)
        return self._retriever

    @property
    def text_embedder(self) -> StaticTextEmbedder:
        """A new text embedder with this retriever's encoder."""
        return StaticTextEmbedder(self.opened().encoder, name=self.opened().config.encoder)

    @property
    def document_embedder(self) -> StaticDocumentEmbedder:
        """A new document embedder with this retriever's encoder."""
        return StaticDocumentEmbedder(self.opened().encoder, name=self.opened().config.encoder)

    @property
    def ranker(self) -> CrossEncoderRanker:
        """A new ranker with this retriever's cross-encoder."""
        return CrossEncoderRanker(
            reranker_of(self.opened()), top_k=self.top_k, name=self.opened().reranker_name
        )

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Search.

        :param query: a question, a claim or keywords; not empty.
        :param filters: Haystack filters, applied by the filter policy.
        :param top_k: at most this many documents; None takes the component's.
        :return: `documents`, best first.
        """
        return self._found(self.opened().search(query, **self._options(filters, top_k)))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Do what `run` does in a thread, so that an event loop goes on."""
        return self._found(await self.opened().asearch(query, **self._options(filters, top_k)))

    def to_dict(self) -> dict[str, Any]:
        """Return the component as plain values.

        :raises InvalidInputError: if the collection is in memory only.
        """
        if self._path is None:
            raise InvalidInputError(
                "a collection in memory cannot be written into a pipeline; save it with "
                "retriever.save(folder) and build the component from the folder"
            )
        return default_to_dict(
            self,
            retriever=str(self._path),
            top_k=self.top_k,
            filters=self.filters,
            depth=self.depth,
            rerank=self.rerank,
            content=self.content,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TwoStageRetriever:
        """Make the component from plain values; the collection is opened at warm-up."""
        return default_from_dict(cls, data)

    def _options(self, filters: dict[str, Any] | None, top_k: int | None) -> dict[str, Any]:
        chosen = apply_filter_policy(self.filter_policy, self.filters, filters)
        return {
            "k": self.top_k if top_k is None else _checked_top_k(top_k),
            "depth": self.depth,
            "filter": to_filter(chosen),
            "rerank": self.rerank,
        }

    def _found(self, results: Sequence[SearchResult]) -> dict[str, list[Document]]:
        return {"documents": [self._document(result) for result in results]}

    def _document(self, result: SearchResult) -> Document:
        text, (start, _) = text_and_span(result, self.content)
        meta = {**fields(result), "split_idx_start": start}
        return Document(id=result.id, content=text, meta=meta, score=result.score)


class _Encoder:
    """A static encoder that is loaded at warm-up and written down by its name."""

    def __init__(
        self,
        model: str | Path | StaticEncoder,
        dimensions: int | None,
        name: str | None,
        fingerprint: str | None,
    ) -> None:
        self.wanted = dimensions
        self._loaded = self._narrowed(model) if isinstance(model, StaticEncoder) else None
        self._name = name if isinstance(model, StaticEncoder) else str(model)
        self._fingerprint = self._loaded.fingerprint if self._loaded else fingerprint

    def load(self) -> StaticEncoder:
        """Return the encoder; refuse another one than was written down."""
        if self._loaded is None:
            if self._name is None:
                raise InvalidInputError("the embedder has neither an encoder nor its name")
            found = self._narrowed(StaticEncoder.load(self._name))
            if self._fingerprint not in (None, found.fingerprint):
                raise ConfigError(
                    f"the encoder {self._name!r} is not the one this pipeline was saved with; embed the "
                    "documents again, or bring the earlier encoder back"
                )
            self._loaded = found
        return self._loaded

    def described(self) -> dict[str, Any]:
        """Return what finds the encoder again."""
        if self._name is None:
            raise InvalidInputError(
                "an encoder given as an object has no name to be written down by; save it with "
                "encoder.save(folder) and build the component from the folder"
            )
        width = self.wanted if self._loaded is None else self._loaded.dimensions
        return {"model": self._name, "dimensions": width, "fingerprint": self._fingerprint}

    def _narrowed(self, encoder: StaticEncoder) -> StaticEncoder:
        """Return the encoder with as many dimensions as are wanted."""
        if self.wanted in (None, encoder.dimensions):
            return encoder
        return encoder.truncate(self.wanted)


@component
class StaticTextEmbedder:
    """Turns a query into a vector of length 1.

    :param model: 'bundled', a folder, a hub id, or a loaded encoder.
    :param dimensions: leading dimensions kept; None keeps all.
    :param name: what a loaded encoder is written down as.
    :param fingerprint: of the encoder expected; None takes any.
    """

    def __init__(
        self,
        model: str | Path | StaticEncoder = "bundled",
        dimensions: int | None = None,
        name: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self._encoder = _Encoder(model, dimensions, name, fingerprint)

    @property
    def dimensions(self) -> int | None:
        """Leading dimensions kept; None keeps all."""
        return self._encoder.wanted

    def warm_up(self) -> None:
        """Load an encoder that was given by name."""
        self._encoder.load()

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Encode a text.

        :param text: a query.
        :return: `embedding`, plain floats.
        """
        return {"embedding": self._encoder.load().encode(text).tolist()}

    def to_dict(self) -> dict[str, Any]:
        """Return the component as plain values.

        :raises InvalidInputError: if the encoder has no name.
        """
        return default_to_dict(self, **self._encoder.described())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StaticTextEmbedder:
        """Make the component from plain values; the encoder is loaded at warm-up."""
        return default_from_dict(cls, data)


@component
class StaticDocumentEmbedder:
    """Gives documents their vectors, of length 1.

    :param model: 'bundled', a folder, a hub id, or a loaded encoder.
    :param dimensions: leading dimensions kept; None keeps all.
    :param meta_fields_to_embed: fields of `meta` put before the content.
    :param embedding_separator: what stands between those and the content.
    :param name: what a loaded encoder is written down as.
    :param fingerprint: of the encoder expected; None takes any.
    """

    def __init__(
        self,
        model: str | Path | StaticEncoder = "bundled",
        dimensions: int | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
        name: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator
        self._encoder = _Encoder(model, dimensions, name, fingerprint)

    @property
    def dimensions(self) -> int | None:
        """Leading dimensions kept; None keeps all."""
        return self._encoder.wanted

    def warm_up(self) -> None:
        """Load an encoder that was given by name."""
        self._encoder.load()

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Encode documents.

        :param documents: n documents with content.
        :return: `documents`, copies with an `embedding`.
        """
        vectors = self._encoder.load().encode([self._text(one) for one in documents]).tolist()
        return {
            "documents": [replace(one, embedding=row) for one, row in zip(documents, vectors, strict=True)]
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the component as plain values.

        :raises InvalidInputError: if the encoder has no name.
        """
        return default_to_dict(
            self,
            **self._encoder.described(),
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StaticDocumentEmbedder:
        """Make the component from plain values; the encoder is loaded at warm-up."""
        return default_from_dict(cls, data)

    def _text(self, document: Document) -> str:
        values = [document.meta.get(field) for field in self.meta_fields_to_embed]
        return self.embedding_separator.join(
            [str(value) for value in values if value is not None] + [document.content or ""]
        )


@component
class CrossEncoderRanker:
    """Orders documents by a cross-encoder's logit and keeps the best.

    :param model: 'bundled', 'fast', a folder, a hub id, or a loaded reranker.
    :param top_k: at most this many documents.
    :param name: what a loaded reranker is written down as.
    """

    def __init__(
        self, model: str | Path | Reranker = "bundled", top_k: int = 10, name: str | None = None
    ) -> None:
        self.top_k = _checked_top_k(top_k)
        named = isinstance(model, str | Path)
        self._name = str(model) if named else name
        self._reranker = None if isinstance(model, str | Path) else model

    def warm_up(self) -> None:
        """Load a reranker that was given by name."""
        self._load()

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Rerank.

        :param query: a question, a claim or keywords; not empty.
        :param documents: n documents.
        :param top_k: at most this many; None takes the component's.
        :return: `documents`, copies with the logit as `score`, best first.
        """
        limit = self.top_k if top_k is None else _checked_top_k(top_k)
        texts = [document.content or "" for document in documents]
        ranked = best_first(self._load(), query, texts, limit=limit)
        return {"documents": [replace(documents[position], score=logit) for position, logit in ranked]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Do what `run` does in a thread, so that an event loop goes on."""
        found: dict[str, list[Document]] = await asyncio.to_thread(self.run, query, documents, top_k)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the component as plain values.

        :raises InvalidInputError: if the reranker has no name.
        """
        if self._name is None:
            raise InvalidInputError(
                "a reranker given as an object has no name to be written down by; build the component from "
                "the reranker's folder or hub id"
            )
        return default_to_dict(self, model=self._name, top_k=self.top_k)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CrossEncoderRanker:
        """Make the component from plain values; the reranker is loaded at warm-up."""
        return default_from_dict(cls, data)

    def _load(self) -> Reranker:
        if self._reranker is None:
            self._reranker = load_named_reranker(self._name or BUNDLED)
        return self._reranker


def _checked_top_k(top_k: int) -> int:
    if top_k < 1:
        raise InvalidInputError(f"top_k is {top_k}; ask for 1 or more")
    return top_k
