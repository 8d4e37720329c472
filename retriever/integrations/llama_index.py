"""LlamaIndex: a retriever, an embedding model and a node postprocessor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retriever.integrations.extras import missing_extra

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import (
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores.types import MetadataFilters
except ImportError as error:
    raise missing_extra("as_llama_index()", "llama-index-core", "llama-index") from error

from rerank.protocol import Reranker
from retriever.arguments import check_count
from retriever.encoder import StaticEncoder
from retriever.errors import ConfigError, InvalidInputError
from retriever.integrations.llama_index_filters import to_filter
from retriever.integrations.reranking import best_first, reranker_of
from retriever.integrations.result_fields import checked_content, fields, text_and_span
from retriever.integrations.search_options import check_search
from retriever.loading import load_named_reranker
from retriever.pipeline import Retriever
from retriever.types import Depth, Filter, SearchResult

_UNNAMED = "given as an object"
_HIDDEN = ["retrieval"]  # scores are for programs, not for embedding or prompting


class TwoStageRetriever(BaseRetriever):
    """A LlamaIndex retriever over a collection.

    A node's id and its source's id are the document's; `start_char_idx` and `end_char_idx` say where the text
    is in the document. Its metadata are the collection's with `title` and `retrieval` (both stages' ranks and
    scores) beside them; `retrieval` is kept out of what is embedded or shown to a language model.

    :param retriever: an open retriever.
    :param similarity_top_k: at most this many nodes.
    :param depth: how many candidates the reranker reads; None takes the configuration's.
    :param filters: only documents whose metadata passes: LlamaIndex's `MetadataFilters`, or the retriever's
        own syntax.
    :param rerank: False leaves the order of the first stage.
    :param content: a node's text is the best 'passage' or the whole 'document'.
    :param callback_manager: LlamaIndex's callbacks.
    :raises FilterError: if the filters are malformed, or use an operator that the store does not have.
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        similarity_top_k: int = 10,
        depth: Depth | None = None,
        filters: MetadataFilters | Filter | None = None,
        rerank: bool = True,
        content: str = "passage",
        callback_manager: CallbackManager | None = None,
    ) -> None:
        super().__init__(callback_manager=callback_manager)
        self.retriever = retriever
        self.similarity_top_k = similarity_top_k
        self.depth = depth
        self.filters = to_filter(filters) if isinstance(filters, MetadataFilters) else filters
        check_count("similarity_top_k", similarity_top_k)
        check_search(self.filters, depth)
        self.rerank = rerank
        self.content = checked_content(content)

    @property
    def embedding(self) -> StaticEmbedding:
        """The first stage's encoder as an embedding model, for another index."""
        return StaticEmbedding(self.retriever.encoder, model_name=self.retriever.config.encoder)

    @property
    def postprocessor(self) -> RerankPostprocessor:
        """The second stage as a node postprocessor, over what another retriever found."""
        return RerankPostprocessor(
            reranker_of(self.retriever),
            top_n=self.similarity_top_k,
            model_name=self.retriever.reranker_name,
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Search."""
        return self._nodes(self.retriever.search(query_bundle.query_str, **self._options()))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Search in a thread, so that the event loop goes on."""
        return self._nodes(await self.retriever.asearch(query_bundle.query_str, **self._options()))

    def _options(self) -> dict[str, Any]:
        return {
            "k": self.similarity_top_k,
            "depth": self.depth,
            "filter": self.filters,
            "rerank": self.rerank,
        }

    def _nodes(self, results: Sequence[SearchResult]) -> list[NodeWithScore]:
        return [NodeWithScore(node=self._node(result), score=result.score) for result in results]

    def _node(self, result: SearchResult) -> TextNode:
        text, (start, end) = text_and_span(result, self.content)
        return FoundNode(  # type: ignore[call-arg]
            id_=result.id,
            text=text,
            metadata=fields(result),
            excluded_embed_metadata_keys=_HIDDEN,
            excluded_llm_metadata_keys=_HIDDEN,
            start_char_idx=start,
            end_char_idx=end,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=result.id)},
        )


class FoundNode(TextNode):
    """A node found; found by another query it has the same hash, though its scores differ.

    That is what LlamaIndex's fusion tells nodes by.
    """

    @property
    def hash(self) -> str:
        """Return the hash of the text and of the metadata that are the document's own."""
        own = {key: value for key, value in self.metadata.items() if key not in _HIDDEN}
        return TextNode(id_=self.id_, text=self.text, metadata=own).hash


class StaticEmbedding(BaseEmbedding):
    """The static encoder as a LlamaIndex embedding model; vectors have length 1.

    It is pickled and serialized by its name: a loaded encoder by that given as `model_name`.

    :param model: 'bundled', a folder, a hub id, or a loaded encoder; None for what `model_name` names.
    :param dimensions: leading dimensions kept; None for all.
    :param fingerprint: of the encoder expected; None takes any.
    :param source: what the encoder is found by where neither is given; the serialized form has it.
    :param options: those of LlamaIndex's `BaseEmbedding`.
    :raises ModelNotFoundError: if there is no encoder of this name.
    :raises ConfigError: if it is not the one expected.
    """

    dimensions: int | None = Field(default=None, description="Width of the vectors.")
    fingerprint: str | None = Field(default=None, description="Of the encoder.")
    source: str | None = Field(default=None, description="By which the encoder is found again.")
    _encoder: StaticEncoder = PrivateAttr()

    def __init__(
        self,
        model: str | Path | StaticEncoder | None = None,
        *,
        dimensions: int | None = None,
        fingerprint: str | None = None,
        source: str | None = None,
        **options: Any,
    ) -> None:
        given = model if isinstance(model, StaticEncoder) else None
        label = options.pop("model_name", None)
        if isinstance(model, str | Path):
            source = str(model)
        name = source or label or ("bundled" if given is None else _UNNAMED)
        encoder = StaticEncoder.load(_checked(name)) if given is None else given
        if dimensions is not None and dimensions != encoder.dimensions:
            encoder = encoder.truncate(dimensions)
        if fingerprint not in (None, encoder.fingerprint):
            raise ConfigError(
                f"the embedding was made with the encoder {fingerprint}, but {name!r} is "
                f"{encoder.fingerprint} now; put the same one there, or embed the documents again"
            )
        options |= {"dimensions": encoder.dimensions, "fingerprint": encoder.fingerprint, "source": name}
        super().__init__(model_name=label or name, **options)
        self._encoder = encoder

    @classmethod
    def class_name(cls) -> str:
        """Return the name LlamaIndex serializes by."""
        return "StaticEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        vector: list[float] = self._encoder.encode(text).tolist()
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._encoder.encode(texts).tolist()
        return vectors

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class RerankPostprocessor(BaseNodePostprocessor):
    """A cross-encoder that keeps the best nodes of those another retriever found.

    :param model: 'bundled', 'fast', a folder, a hub id, or a loaded reranker; None for what `model_name`
        names.
    :param top_n: at most this many nodes.
    :param model_name: by which a loaded one is serialized.
    """

    top_n: int = Field(default=3, ge=1)
    model_name: str = Field(default="bundled", description="By which it is serialized.")
    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        model: str | Path | Reranker | None = None,
        *,
        top_n: int = 3,
        model_name: str | None = None,
        **options: Any,
    ) -> None:
        given = None if isinstance(model, str | Path) else model
        named = str(model) if isinstance(model, str | Path) else model_name
        name = named or ("bundled" if given is None else _UNNAMED)
        options |= {"top_n": top_n, "model_name": name}
        super().__init__(**options)
        self._reranker = load_named_reranker(_checked(name)) if given is None else given

    @classmethod
    def class_name(cls) -> str:
        """Return the name LlamaIndex serializes by."""
        return "RerankPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Order nodes by the reranker and keep the best."""
        if query_bundle is None:
            raise InvalidInputError("reranking needs the query; pass query_str=... to postprocess_nodes")
        texts = [node.node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        ranked = best_first(self._reranker, query_bundle.query_str, texts, limit=self.top_n)
        return [NodeWithScore(node=nodes[position].node, score=logit) for position, logit in ranked]


def _checked(name: str) -> str:
    """Return the name of a model that was serialized by it.

    :raises InvalidInputError: if it had none.
    """
    if name == _UNNAMED:
        raise InvalidInputError(
            "a model given as an object has no name to be found again by; save it to a folder and give that, "
            "or its name as model_name"
        )
    return name
