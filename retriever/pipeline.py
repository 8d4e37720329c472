"""The retriever, top to bottom: a first stage that finds, a second stage that decides."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rerank.protocol import PairReranker, Reranker
from retriever.collection import Collection, Progress
from retriever.config import BUNDLED, RetrieverConfig
from retriever.documents import DocumentLike, size_of, to_documents
from retriever.encoder import StaticEncoder
from retriever.errors import (
    ConfigError,
    DocumentNotFoundError,
    InvalidInputError,
    InvalidTypeError,
    ModelError,
)
from retriever.first_stage import first_stage
from retriever.fusion import blend
from retriever.types import (
    Candidate,
    Document,
    Filter,
    SearchResult,
    SearchTimings,
    StageScore,
    StageScores,
    WriteSummary,
)

if TYPE_CHECKING:
    from retriever.integrations.haystack import TwoStageRetriever as HaystackRetriever
    from retriever.integrations.langchain import TwoStageRetriever as LangChainRetriever
    from retriever.integrations.llama_index import TwoStageRetriever as LlamaIndexRetriever
    from retriever.integrations.tool import RetrieverTool

FloatArray = NDArray[np.float32]

BUNDLED_RERANKER = Path(__file__).parent / "models" / "reranker"
DEFAULT_RERANK_WEIGHT = 0.5  # for rerankers that bring no fitted weight


class Retriever:
    """Two-stage search over a collection of documents.

    Make one with `from_corpus` or `open`. Searching is safe from any number of threads, also while one adds.

    >>> from retriever import Retriever
    >>> docs = ["The cat sat on the mat.", "Stocks fell sharply today."]
    >>> with Retriever.from_corpus(docs) as retriever:
    ...     retriever.search("Where is the cat?", k=1)[0].text
    'The cat sat on the mat.'
    """

    def __init__(self, collection: Collection, *, reranker: Reranker | None = None) -> None:
        self._collection = collection
        self._reranker = reranker
        self._reranker_given = reranker is not None

    # Making and opening

    @classmethod
    def from_corpus(
        cls,
        docs: Iterable[DocumentLike],
        *,
        path: str | Path | None = None,
        config: RetrieverConfig | None = None,
        encoder: StaticEncoder | None = None,
        reranker: Reranker | None = None,
        progress: Progress | None = None,
    ) -> Retriever:
        """Build a collection.

        A list is checked as a whole before anything is written. A generator is read in batches and may be
        larger than memory; with `path`, what was written before an error stays and can be opened.

        :param docs: strings, `(id, text)` pairs, mappings with `text` and optionally `id`, `title` and
            `metadata`, or `Document`s. Where the id is absent it is made from the content, and the same
            content given twice is kept once.
        :param path: folder of a durable collection, new or empty; None keeps it in memory.
        :param config: how to build and search; None for the defaults.
        :param encoder: a static encoder in place of the one the configuration names.
        :param reranker: a reranker in place of the one the configuration names.
        :param progress: called with the number of documents done, and of all where that is known.
        :return: the retriever, ready to search.
        :raises InvalidInputError: if there are no documents or one of them cannot be used.
        :raises DuplicateIdError: if two documents have one id.
        :raises CollectionExistsError: if the folder is not empty.
        """
        config = _checked_config(config)
        total = size_of(docs)
        documents = to_documents(docs)
        # What is in memory anyway is checked as a whole before the first write.
        first = list(documents) if total is not None else list(islice(documents, 1))
        if not first:
            raise InvalidInputError("the corpus is empty; give at least one document")
        made = encoder or _load_encoder(config)
        collection = Collection.create(None if path is None else Path(path), config, made)
        try:
            if total is not None:
                collection.check_new(first)
            collection.write(_chain(first, documents), replace=False, total=total, progress=progress)
            collection.persist()
        except BaseException:
            collection.close()
            raise
        return cls(collection, reranker=reranker)

    @classmethod
    def open(
        cls, path: str | Path, *, encoder: StaticEncoder | None = None, reranker: Reranker | None = None
    ) -> Retriever:
        """Open a durable collection; what an interrupted process left undone is made good.

        :param path: the collection's folder.
        :param encoder: the encoder it was built with, where that was given as an object.
        :param reranker: a reranker in place of the one the configuration names.
        :raises CollectionError: if it is absent, damaged or written by a newer version.
        :raises ConfigError: if the encoder is not the one it was built with.
        """
        return cls(
            Collection.open(Path(path), lambda config: encoder or _load_encoder(config)), reranker=reranker
        )

    # Searching

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        depth: int | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> list[SearchResult]:
        """Find the documents that answer a query.

        :param query: a question, a claim or keywords; not empty.
        :param k: at most this many results; fewer when the collection has fewer.
        :param depth: how many candidates the cross-encoder reads; None takes the configuration's.
        :param filter: only documents whose metadata passes, for example `{"year": {"gte": 2020}}`.
        :param rerank: False leaves the order of the first stage.
        :return: results, best first.
        :raises InvalidInputError: if the query is empty or a number is below 1.
        :raises FilterError: if the filter is malformed.
        """
        return self.search_timed(query, k=k, depth=depth, filter=filter, rerank=rerank)[0]

    def search_timed(
        self,
        query: str,
        *,
        k: int = 10,
        depth: int | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> tuple[list[SearchResult], SearchTimings]:
        """Do what `search` does, and tell how long each stage took."""
        _check_text(query)
        batches, timings = self._search([query], k=k, depth=depth, filter=filter, rerank=rerank)
        return batches[0], timings

    def search_batch(
        self,
        queries: Sequence[str],
        *,
        k: int = 10,
        depth: int | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> list[list[SearchResult]]:
        """Search for many queries at once; the reranker's batches are shared between them.

        :param queries: n queries; the other parameters are those of `search`.
        :return: n lists of results, in the order of the queries.
        """
        if isinstance(queries, str):
            raise InvalidTypeError("queries must be a list of strings; use search for one query")
        for query in queries:
            _check_text(query)
        return self._search(list(queries), k=k, depth=depth, filter=filter, rerank=rerank)[0]

    async def asearch(
        self,
        query: str,
        *,
        k: int = 10,
        depth: int | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> list[SearchResult]:
        """Do what `search` does in a thread, so that an event loop goes on."""
        return await asyncio.to_thread(self.search, query, k=k, depth=depth, filter=filter, rerank=rerank)

    async def asearch_batch(
        self,
        queries: Sequence[str],
        *,
        k: int = 10,
        depth: int | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> list[list[SearchResult]]:
        """Do what `search_batch` does in a thread, so that an event loop goes on."""
        return await asyncio.to_thread(
            self.search_batch, queries, k=k, depth=depth, filter=filter, rerank=rerank
        )

    def first_stage(
        self, queries: Sequence[str], *, limit: int, filter: Filter | None = None
    ) -> list[list[Candidate]]:
        """Return what the first stage hands to the second, for studies of either.

        :param queries: n queries.
        :param limit: at most this many candidates a query.
        :param filter: only documents whose metadata passes.
        :return: n lists of candidates, best first.
        """
        for query in queries:
            _check_text(query)
        _check_count("limit", limit)
        with self._collection.reading():
            return first_stage(self._collection, queries, limit=limit, filter=filter)

    def _search(
        self, queries: list[str], *, k: int, depth: int | None, filter: Filter | None, rerank: bool
    ) -> tuple[list[list[SearchResult]], SearchTimings]:
        """Both stages: find candidates, score the first `depth` of each list, blend, cut to k."""
        _check_count("k", k)
        depth = self.config.depth if depth is None else depth
        _check_count("depth", depth)
        reranker = self.reranker if rerank else None
        started = time.perf_counter()
        with self._collection.reading():
            limit = k if reranker is None else max(k, depth)
            found = first_stage(self._collection, queries, limit=limit, filter=filter)
        found_at = time.perf_counter()
        logits: list[FloatArray] | None = None
        if reranker is not None:
            logits = _score(reranker, queries, [candidates[:depth] for candidates in found])
        scored_at = time.perf_counter()
        weight = self._rerank_weight(reranker)
        results = [
            self._results(candidates, None if logits is None else logits[position], weight, k)
            for position, candidates in enumerate(found)
        ]
        reranked = sum(map(len, logits)) if logits is not None else 0
        return results, SearchTimings((found_at - started) * 1e3, (scored_at - found_at) * 1e3, reranked)

    def _results(
        self, candidates: list[Candidate], logits: FloatArray | None, weight: float, k: int
    ) -> list[SearchResult]:
        """Put candidates in their final order and fill in the documents."""
        order, scores, reranked = _decide(candidates, logits, weight)
        chosen = order[:k]
        documents = self._collection.store.documents([candidates[i].row for i in chosen])
        results: list[SearchResult] = []
        for i in chosen:
            candidate = candidates[i]
            if candidate.row not in documents:
                continue  # deleted while the cross-encoder read it
            _, title, text, metadata = documents[candidate.row]
            results.append(
                SearchResult(
                    id=candidate.id,
                    text=text,
                    title=title,
                    metadata=json.loads(metadata),
                    score=float(scores[i]),
                    rank=len(results) + 1,
                    passage=candidate.passage,
                    span=candidate.span,
                    stages=StageScores(candidate.dense, candidate.lexical, candidate.fused, reranked.get(i)),
                )
            )
        return results

    # Changing

    def add(self, docs: Iterable[DocumentLike], *, progress: Progress | None = None) -> WriteSummary:
        """Add new documents; the next search sees them.

        :param docs: as for `from_corpus`.
        :raises DuplicateIdError: if an id is given twice or exists; nothing is written then.
        """
        documents = list(to_documents(docs))
        self._collection.check_new(documents)
        return self._collection.write(documents, replace=False, total=len(documents), progress=progress)

    def upsert(self, docs: Iterable[DocumentLike], *, progress: Progress | None = None) -> WriteSummary:
        """Add documents, replacing those whose id exists; unchanged ones cost next to nothing.

        :param docs: as for `from_corpus`; a generator is read in batches, each one transaction.
        :return: how many were added, updated and left alone.
        """
        return self._collection.write(
            to_documents(docs), replace=True, total=size_of(docs), progress=progress
        )

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id; ids that do not exist are passed over.

        :return: how many documents were deleted.
        """
        if isinstance(ids, str) or not all(isinstance(id, str) for id in ids):
            raise InvalidTypeError("ids must be a list of strings; put a single id in a list")
        return self._collection.delete(list(ids))

    # Reading

    def get(self, id: str) -> Document:
        """Return a document.

        :raises DocumentNotFoundError: if there is none with this id.
        """
        with self._collection.reading():
            found = self._collection.store.get(id)
        if found is None:
            raise DocumentNotFoundError(f"no document has the id {id!r}")
        title, text, metadata = found
        return Document(id=id, text=text, title=title, metadata=json.loads(metadata))

    def __len__(self) -> int:
        with self._collection.reading():
            return self._collection.store.count_documents()

    def __contains__(self, id: object) -> bool:
        with self._collection.reading():
            return isinstance(id, str) and self._collection.store.get(id) is not None

    def __iter__(self) -> Iterator[Document]:
        with self._collection.reading():
            rows = self._collection.store.rows()
        for id, title, text, metadata in rows:
            yield Document(id=id, text=text, title=title, metadata=json.loads(metadata))

    @property
    def config(self) -> RetrieverConfig:
        """How the collection is built and searched."""
        return self._collection.config

    @property
    def encoder(self) -> StaticEncoder:
        """The first stage's encoder."""
        return self._collection.encoder

    @property
    def collection(self) -> Collection:
        """The store and the indexes."""
        return self._collection

    @property
    def reranker(self) -> Reranker | None:
        """The second stage's reranker, loaded when first asked for; None where the configuration has none."""
        if self._reranker is None and self.config.reranker is not None:
            from rerank import load_reranker  # brings a runtime, which many never need

            name = self.config.reranker
            self._reranker = load_reranker(BUNDLED_RERANKER if name == BUNDLED else name)
        return self._reranker

    @property
    def reranker_name(self) -> str | None:
        """What the reranker is loaded by; None where it was given as an object or there is none."""
        return None if self._reranker_given else self.config.reranker

    def _rerank_weight(self, reranker: Reranker | None) -> float:
        """Return the configured share of the cross-encoder, or the one fitted with it."""
        if self.config.rerank_weight is not None:
            return self.config.rerank_weight
        return float(getattr(reranker, "recommended_weight", DEFAULT_RERANK_WEIGHT))

    # In frameworks and agents; options are those of the class that is returned

    def as_langchain(self, **options: Any) -> LangChainRetriever:
        """Return a LangChain retriever, with `.embeddings` and `.compressor` (extra `langchain`)."""
        from retriever.integrations.langchain import TwoStageRetriever

        return TwoStageRetriever(retriever=self, **options)

    def as_llama_index(self, **options: Any) -> LlamaIndexRetriever:
        """Return a LlamaIndex retriever, with `.embedding` and `.postprocessor` (extra `llama-index`)."""
        from retriever.integrations.llama_index import TwoStageRetriever

        return TwoStageRetriever(self, **options)

    def as_haystack(self, **options: Any) -> HaystackRetriever:
        """Return a Haystack retriever, with both embedders and `.ranker` (extra `haystack`)."""
        from retriever.integrations.haystack import TwoStageRetriever

        return TwoStageRetriever(self, **options)

    def as_tool(self, **options: Any) -> RetrieverTool:
        """Return a search tool for language models: name, JSON schema and function (no extra needed)."""
        from retriever.integrations.tool import RetrieverTool

        return RetrieverTool(self, **options)

    # Life

    def save(self, path: str | Path) -> None:
        """Write a complete copy to a new or empty folder, for `open`.

        :raises CollectionExistsError: if the folder is not empty.
        """
        self._collection.save(Path(path))

    def close(self) -> None:
        """Write what is unwritten and let go of the files; closing twice is harmless."""
        self._collection.close()

    def __enter__(self) -> Retriever:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self._collection.path is None else str(self._collection.path)
        return f"Retriever({where}, encoder={self.config.encoder!r}, reranker={self.config.reranker!r})"


def _decide(
    candidates: list[Candidate], logits: FloatArray | None, weight: float
) -> tuple[list[int], FloatArray, dict[int, StageScore]]:
    """Return the final order, a score for every candidate, and the reranker's ranks and scores."""
    fused = np.asarray([candidate.fused.score for candidate in candidates], dtype=np.float32)
    if logits is None or len(logits) == 0:
        return list(range(len(candidates))), fused, {}
    depth = len(logits)
    scores = blend(fused[:depth], logits, weight)
    order = np.argsort(-scores, kind="stable").tolist()
    by_logit = np.argsort(-logits, kind="stable").tolist()
    reranked = {i: StageScore(rank, float(logits[i])) for rank, i in enumerate(by_logit, start=1)}
    # What was not read stays below what was, and scores stay in the order of ranks.
    below = fused[depth:] - fused[depth - 1 : depth] + scores.min()
    return order + list(range(depth, len(candidates))), np.concatenate([scores, below]), reranked


def _score(reranker: Reranker, queries: Sequence[str], found: list[list[Candidate]]) -> list[FloatArray]:
    """Score every query's candidates, all pairs together where the reranker can."""
    texts = [[candidate.rerank_text for candidate in candidates] for candidates in found]
    if isinstance(reranker, PairReranker):
        pairs = [(query, text) for query, passages in zip(queries, texts, strict=True) for text in passages]
        scores = _checked_scores(reranker, reranker.score_pairs(pairs) if pairs else [], len(pairs))
        return np.split(scores, np.cumsum([len(passages) for passages in texts])[:-1])
    return [
        _checked_scores(reranker, reranker.score(query, passages) if passages else [], len(passages))
        for query, passages in zip(queries, texts, strict=True)
    ]


def _checked_scores(reranker: Reranker, scores: object, expected: int) -> FloatArray:
    """Refuse scores that would silently put results in a wrong order."""
    array = np.asarray(scores, dtype=np.float32)
    if array.shape != (expected,) or not np.isfinite(array).all():
        raise ModelError(
            f"{type(reranker).__name__} returned scores of shape {array.shape}"
            f"{'' if np.isfinite(array).all() else ' with NaN or infinity'} for {expected} passages; "
            "score must return one finite number a passage"
        )
    return array


def _checked_config(config: RetrieverConfig | None) -> RetrieverConfig:
    if config is None:
        return RetrieverConfig()
    if not isinstance(config, RetrieverConfig):
        raise InvalidTypeError(f"config must be a RetrieverConfig, not {type(config).__name__}")
    return config


def _load_encoder(config: RetrieverConfig) -> StaticEncoder:
    """Load the encoder that a configuration names, at the width it asks for."""
    encoder = StaticEncoder.load(None if config.encoder == BUNDLED else config.encoder)
    if config.dimensions is None:
        return encoder
    if config.dimensions > encoder.dimensions:
        raise ConfigError(
            f"dimensions is {config.dimensions}, but the encoder {config.encoder!r} has {encoder.dimensions}"
        )
    return encoder.truncate(config.dimensions)


def _check_text(query: object) -> None:
    if not isinstance(query, str):
        raise InvalidTypeError(f"the query is a {type(query).__name__}, not a string")
    if not query.strip():
        raise InvalidInputError("the query is empty; ask for something")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidTypeError(f"{name} is a {type(value).__name__}, not a whole number")
    if value < 1:
        raise InvalidInputError(f"{name} is {value}; it must be at least 1")


def _chain(first: list[Document], rest: Iterator[Document]) -> Iterator[Document]:
    yield from first
    yield from rest
