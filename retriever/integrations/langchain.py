"""LangChain: a retriever, embeddings and a document compressor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retriever.integrations.extras import missing_extra

try:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
        Callbacks,
    )
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
except ImportError as error:
    raise missing_extra("as_langchain()", "langchain-core", "langchain") from error
from pydantic import ConfigDict, Field

from rerank.protocol import Reranker
from retriever.encoder import StaticEncoder
from retriever.integrations.reranking import best_first, reranker_of
from retriever.integrations.result_fields import Content, fields, text_and_span
from retriever.integrations.search_options import check_search
from retriever.loading import load_named_reranker
from retriever.pipeline import Retriever
from retriever.types import Depth, SearchResult

_NO_SCORES = {"retrieval": None, "relevance_score": None, "start_index": None}


class TwoStageRetriever(BaseRetriever):
    """A LangChain retriever over a collection.

    Every option can be given again with one call: `invoke(query, k=3, filter={"lang": "en"}, depth=20)`.
    A document's `id` is the collection's; its metadata are the collection's with `title`, `start_index`,
    `relevance_score` and `retrieval` (both stages' ranks and scores, and the span) beside them.

    :param retriever: an open retriever.
    :param k: at most this many documents.
    :param depth: how many candidates the reranker reads; None takes the configuration's.
    :param filter: only documents whose metadata passes, in the retriever's own filter syntax.
    :param rerank: False leaves the order of the first stage.
    :param content: `page_content` is the best 'passage' or the whole 'document'.
    """

    # Else a misspelt filter would be dropped, and everything found.
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    retriever: Retriever
    k: int = Field(default=10, ge=1)
    depth: Depth | None = None
    filter: dict[str, Any] | None = None
    rerank: bool = True
    content: Content = "passage"

    def model_post_init(self, context: Any) -> None:
        """Refuse a filter or a depth that no search could have."""
        check_search(self.filter, self.depth)

    @property
    def embeddings(self) -> StaticEmbeddings:
        """The first stage's encoder as LangChain embeddings, for another vector store."""
        return StaticEmbeddings(self.retriever.encoder)

    @property
    def compressor(self) -> RerankCompressor:
        """The second stage as a document compressor, over what another retriever found."""
        return RerankCompressor(model=reranker_of(self.retriever), top_n=self.k)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        """Search; `options` are those of one call."""
        return self._documents(self.retriever.search(query, **self._merged(**options)))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        """Search in a thread, so that the event loop goes on."""
        return self._documents(await self.retriever.asearch(query, **self._merged(**options)))

    def _merged(
        self,
        *,
        k: int | None = None,
        depth: Depth | None = None,
        filter: dict[str, Any] | None = None,
        rerank: bool | None = None,
    ) -> dict[str, Any]:
        """Return the options of a search: those of the call, else those of the retriever."""
        return {
            "k": self.k if k is None else k,
            "depth": self.depth if depth is None else depth,
            "filter": self.filter if filter is None else filter,
            "rerank": self.rerank if rerank is None else rerank,
        }

    def _documents(self, results: Sequence[SearchResult]) -> list[Document]:
        return [_to_langchain(result, self.content) for result in results]


class FoundDocument(Document):
    """A document found; the same one found by another query equals it, though its scores differ.

    That is what LangChain's multi-query retriever tells duplicates by. A document of LangChain's own equals
    it where all is the same.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Document):
            return NotImplemented
        if isinstance(other, FoundDocument):
            mine, theirs = ({**one.metadata, **_NO_SCORES} for one in (self, other))
        else:
            mine, theirs = self.metadata, other.metadata
        return (self.id, self.page_content, mine) == (other.id, other.page_content, theirs)

    def __hash__(self) -> int:
        return hash((self.id, self.page_content))

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return the name LangChain serializes by: that of its own document."""
        return Document.lc_id()


class StaticEmbeddings(Embeddings):
    """The static encoder as LangChain embeddings; vectors have length 1.

    :param model: 'bundled', a folder, a hub id, or a loaded encoder.
    """

    def __init__(self, model: str | Path | StaticEncoder = "bundled") -> None:
        self.encoder = model if isinstance(model, StaticEncoder) else StaticEncoder.load(model)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Encode texts.

        :param texts: n texts.
        :return: n vectors of plain floats.
        """
        vectors: list[list[float]] = self.encoder.encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Encode a query, the same way as a text.

        :return: one vector of plain floats.
        """
        vector: list[float] = self.encoder.encode(text).tolist()
        return vector


class RerankCompressor(BaseDocumentCompressor):
    """A cross-encoder that keeps the best documents of those another retriever found.

    The logit arrives as `relevance_score` in the metadata; the documents given are left as they are.

    :param model: 'bundled', 'fast', a folder, a hub id, or a loaded reranker.
    :param top_n: at most this many documents.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    # Any: pydantic would ask the protocol for isinstance, which a string could never pass.
    model: Any = "bundled"
    top_n: int = Field(default=3, ge=1)

    def model_post_init(self, context: Any) -> None:
        """Load a reranker that was given by name."""
        if isinstance(self.model, str | Path):
            self.model = load_named_reranker(self.model)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Order documents by the reranker and keep the best.

        :param documents: n documents.
        :param query: a question, a claim or keywords; not empty.
        :return: at most `top_n` copies, best first.
        """
        reranker: Reranker = self.model
        texts = [document.page_content for document in documents]
        return [
            documents[position].model_copy(
                update={"metadata": {**documents[position].metadata, "relevance_score": logit}}
            )
            for position, logit in best_first(reranker, query, texts, limit=self.top_n)
        ]


def _to_langchain(result: SearchResult, content: Content) -> Document:
    text, (start, _) = text_and_span(result, content)
    metadata = {**fields(result), "start_index": start, "relevance_score": result.score}
    return FoundDocument(id=result.id, page_content=text, metadata=metadata)
