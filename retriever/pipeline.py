"""The retriever, top to bottom: a first stage that finds, a second stage that decides."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from rerank.budget import CostModel
from rerank.cache import CachedReranker
from rerank.protocol import Reranker
from retriever.arguments import (
    check_count,
    check_depth,
    check_flag,
    check_number,
    check_query,
    checked_queries,
    findable_ids,
)
from retriever.collection import Collection, Progress
from retriever.collection_folder import check_encoder
from retriever.collection_info import CollectionInfo
from retriever.config import RetrieverConfig
from retriever.documents import DocumentLike, size_of, to_stored
from retriever.encoder import StaticEncoder
from retriever.errors import (
    CorruptCollectionError,
    DocumentNotFoundError,
    InvalidInputError,
    InvalidTypeError,
)
from retriever.first_stage import first_stage
from retriever.loading import load_encoder, load_reranker, remembering, reranker_ahead
from retriever.preparation import select
from retriever.second_stage import (
    calibration_of,
    decide,
    greatest_depth,
    reading_plan,
    results_of,
    score_all,
    score_until,
    tolerance_of,
)
from retriever.store.manifest import read_manifest
from retriever.types import (
    Candidate,
    Depth,
    Document,
    Filter,
    SearchOptions,
    SearchResult,
    SearchTimings,
    WriteSummary,
)

if TYPE_CHECKING:
    from retriever.integrations.haystack import TwoStageRetriever as HaystackRetriever
    from retriever.integrations.langchain import TwoStageRetriever as LangChainRetriever
    from retriever.integrations.llama_index import TwoStageRetriever as LlamaIndexRetriever
    from retriever.integrations.tool import RetrieverTool

FloatArray = NDArray[np.float32]

_COST = "rerank-cost.json"
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
        self._reranker = self._remembering(reranker)
        self._cache_given = isinstance(reranker, CachedReranker)
        kept = None if collection.path is None else collection.path / _COST
        self._cost = CostModel(kept)
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
        :raises ModelNotFoundError: if there is no encoder or reranker of the configuration's name.
        """
        config = _checked_config(config)
        total = size_of(docs)
        documents = to_stored(docs)
        # What is in memory anyway is checked as a whole before the first write.
        first = list(documents) if total is not None else list(islice(documents, 1))
        if not first:
            raise InvalidInputError("the corpus is empty; give at least one document")
        if total is not None:
            select(first, {}, replace=False)
        made = load_encoder(config, encoder)
        ahead = reranker_ahead(config, reranker)
        collection = Collection.create(None if path is None else Path(path), config, made)
        try:
            collection.write(chain(first, documents), replace=False, total=total, progress=progress)
            collection.persist()
        except BaseException:
            collection.close()
            raise
        retriever = cls(collection, reranker=reranker)
        if ahead is not None:
            retriever._reranker = retriever._remembering(ahead)
        return retriever

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
            Collection.open(Path(path), lambda config: load_encoder(config, encoder)), reranker=reranker
        )

    @classmethod
    def rebuild(
        cls,
        path: str | Path,
        *,
        encoder: StaticEncoder | str | Path | None = None,
        reranker: Reranker | None = None,
    ) -> Retriever:
        """Make the indexes of a durable collection again from its documents, and open it.

        :param path: the collection's folder.
        :param encoder: None for the one it was built with; the name of another (a folder, a hub id or
            "bundled") is kept with the collection, another object has to be given to `open`, too.
        :param reranker: as in `open`.
        :raises CorruptCollectionError: if the documents themselves are damaged, or what the collection was
            built with is and no encoder is given: with one, it gets the default configuration.
        :raises ModelNotFoundError: if there is no encoder of this name; nothing was changed then.
        :raises ConfigError: if it was built with an encoder given as an object, and None is given now.
        """
        try:
            manifest = read_manifest(Path(path))
        except CorruptCollectionError:
            if encoder is None:
                raise
            manifest = None  # whoever names the encoder takes the default settings for the rest
        config = RetrieverConfig() if manifest is None else manifest.config
        if isinstance(encoder, str | Path):
            config = RetrieverConfig.model_validate(config.model_dump() | {"encoder": str(encoder)})
        made = load_encoder(config, encoder if isinstance(encoder, StaticEncoder) else None)
        if encoder is None and manifest is not None:
            check_encoder(Path(path), manifest, made)
        return cls(Collection.rebuild(Path(path), config, made), reranker=reranker)

    # Searching

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        depth: Depth | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
        budget_ms: float | None = None,
        min_probability: float | None = None,
    ) -> list[SearchResult]:
        """Find the documents that answer a query.

        :param query: a question, a claim or keywords; not empty.
        :param k: at most this many results; fewer when the collection has fewer.
        :param depth: how many candidates the reranker reads; "auto" reads until no other is likely to
            enter the first k, so more for a larger k. None takes the configuration's.
        :param filter: only documents whose metadata passes, for example `{"year": {"gte": 2020}}`.
        :param rerank: False leaves the order of the first stage.
        :param budget_ms: milliseconds for the whole search; the reranker reads the most promising candidates
            first and stops in time, and what it did not read stays below. None takes the configuration's.
        :param min_probability: drop what the reranker finds less likely relevant than this, 0 to 1, and
            what it did not read; the list may be empty then, and rightly so.
        :return: results, best first.
        :raises InvalidInputError: if the query is empty or a number is out of range.
        :raises FilterError: if the filter is malformed.
        """
        return self.search_timed(
            query,
            k=k,
            depth=depth,
            filter=filter,
            rerank=rerank,
            budget_ms=budget_ms,
            min_probability=min_probability,
        )[0]

    def search_timed(
        self, query: str, **options: Unpack[SearchOptions]
    ) -> tuple[list[SearchResult], SearchTimings]:
        """Do what `search` does, and tell how long each stage took and how deep the second one got."""
        check_query(query)
        batches, timings = self._search([query], **options)
        return batches[0], timings

    def search_batch(
        self, queries: Iterable[str], **options: Unpack[SearchOptions]
    ) -> list[list[SearchResult]]:
        """Search for many queries at once; the reranker's batches are shared between them.

        :param queries: n queries; the other parameters are those of `search`, a budget is for all of them.
        :return: n lists of results, in the order of the queries.
        """
        return self._search(checked_queries(queries), **options)[0]

    async def asearch(self, query: str, **options: Unpack[SearchOptions]) -> list[SearchResult]:
        """Do what `search` does in a thread, so that an event loop goes on."""
        return (await asyncio.to_thread(self.search_timed, query, **options))[0]

    async def asearch_batch(
        self, queries: Iterable[str], **options: Unpack[SearchOptions]
    ) -> list[list[SearchResult]]:
        """Do what `search_batch` does in a thread, so that an event loop goes on."""
        return await asyncio.to_thread(self.search_batch, queries, **options)

    def first_stage(
        self, queries: Iterable[str], *, limit: int, filter: Filter | None = None
    ) -> list[list[Candidate]]:
        """Return what the first stage hands to the second, for studies of either.

        :param queries: n queries.
        :param limit: at most this many candidates a query.
        :param filter: only documents whose metadata passes.
        :return: n lists of candidates, best first.
        """
        asked = checked_queries(queries)
        check_count("limit", limit)
        with self._collection.reading():
            return first_stage(self._collection, asked, limit=limit, filter=filter)

    def _search(
        self,
        queries: list[str],
        *,
        k: int = 10,
        depth: Depth | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
        budget_ms: float | None = None,
        min_probability: float | None = None,
    ) -> tuple[list[list[SearchResult]], SearchTimings]:
        """Both stages: find candidates, have the first `depth` of each list read, blend, cut to k."""
        depth = self.config.depth if depth is None else depth
        budget_ms = self.config.budget_ms if budget_ms is None else budget_ms
        check_count("k", k)
        check_depth(depth)
        check_number("budget_ms", budget_ms, "milliseconds above 0", lambda value: value > 0)
        check_number("min_probability", min_probability, "0 to 1", lambda value: 0 <= value <= 1)
        check_flag("rerank", rerank)
        started = time.perf_counter()
        most = greatest_depth(depth)
        reranker = self.reranker if rerank else None
        calibration = calibration_of(reranker, needed=min_probability is not None)
        with self._collection.reading():
            limit = k if reranker is None else max(k, most)
            found = first_stage(self._collection, queries, limit=limit, filter=filter)
        found_at = time.perf_counter()
        short = [candidates[:most] for candidates in found]
        weight, feedback = self._rerank_weight(reranker), self.config.feedback
        logits = [np.empty(0, dtype=np.float32)] * len(queries)
        if reranker is not None and budget_ms is None and depth != "auto":
            logits = score_all(reranker, queries, short)
        elif reranker is not None:
            ends = math.inf if budget_ms is None else started + budget_ms / 1e3
            tolerance = tolerance_of(reranker) if depth == "auto" else None
            plans = [reading_plan(candidates, k, weight, feedback, tolerance) for candidates in short]
            logits = score_until(ends, reranker, queries, short, plans, self._cost)
        scored_at = time.perf_counter()
        decisions = [decide(*pair, weight, feedback=feedback) for pair in zip(found, logits, strict=True)]
        results = [
            results_of(candidates, decision, calibration, k, min_probability)
            for candidates, decision in zip(found, decisions, strict=True)
        ]
        read = sum(len(decision.reranked) for decision in decisions)
        return results, SearchTimings((found_at - started) * 1e3, (scored_at - found_at) * 1e3, read)

    # Changing

    def add(self, docs: Iterable[DocumentLike], *, progress: Progress | None = None) -> WriteSummary:
        """Add new documents; the next search sees them.

        :param docs: as for `from_corpus`.
        :raises DuplicateIdError: if an id is given twice or exists; nothing is written then.
        """
        documents = list(to_stored(docs))
        self._collection.check_new(documents)
        return self._collection.write(documents, replace=False, total=len(documents), progress=progress)

    def upsert(self, docs: Iterable[DocumentLike], *, progress: Progress | None = None) -> WriteSummary:
        """Add documents, replacing those whose id exists; unchanged ones cost next to nothing.

        :param docs: as for `from_corpus`; a generator is read in batches, each one transaction.
        :return: how many were added, updated and left alone.
        """
        return self._collection.write(to_stored(docs), replace=True, total=size_of(docs), progress=progress)

    def delete(self, ids: Iterable[str] | None = None, *, filter: Filter | None = None) -> int:
        """Delete documents by id, or all whose metadata passes a filter, in one transaction.

        :param ids: ids; those that do not exist are passed over.
        :param filter: as in `search`, in place of ids.
        :return: how many documents were deleted.
        :raises InvalidInputError: if neither or both are given, or the filter is empty.
        :raises FilterError: if the filter is malformed.
        """
        if (ids is None) == (filter is None):
            raise InvalidInputError("give either ids or filter= to delete")
        if filter is not None:
            if not filter:
                raise InvalidInputError("an empty filter would delete everything; say what is to go")
            return self._collection.delete_matching(filter)
        return self._collection.delete(findable_ids(ids))

    def compact(self) -> None:
        """Close the gaps that changes left behind, and give the space back."""
        self._collection.compact()

    # Reading

    def get(self, id: str) -> Document:
        """Return a document.

        :raises DocumentNotFoundError: if there is none with this id.
        :raises InvalidTypeError: if it is no string.
        """
        with self._collection.reading():
            found = self._collection.store.get(id) if findable_ids([id]) else None
        if found is None:
            raise DocumentNotFoundError(f"no document has the id {id!r}")
        title, text, metadata = found
        return Document(id=id, text=text, title=title, metadata=json.loads(metadata))

    def __len__(self) -> int:
        with self._collection.reading():
            return self._collection.store.count_documents()

    def __contains__(self, id: object) -> bool:
        with self._collection.reading():
            return isinstance(id, str) and bool(findable_ids([id])) and self._collection.store.contains(id)

    def __iter__(self) -> Iterator[Document]:
        with self._collection.reading():
            rows = self._collection.store.rows()
        for id, title, text, metadata in rows:
            yield Document(id=id, text=text, title=title, metadata=json.loads(metadata))

    def info(self) -> CollectionInfo:
        """Return what the collection holds, which vector index it uses, why, and how well that does."""
        return self._collection.info()

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
        if self._reranker is None:
            self._reranker = self._remembering(load_reranker(self.config))
        return self._reranker

    def _remembering(self, reranker: Reranker | None) -> Reranker | None:
        """The reranker, with the cache that the configuration asks for."""
        return remembering(reranker, self.config.pair_cache, self._collection.path)

    @property
    def reranker_name(self) -> str | None:
        """What the reranker is loaded by; None where it was given as an object or there is none."""
        return None if self._reranker_given else self.config.reranker

    def _rerank_weight(self, reranker: Reranker | None) -> float:
        """Return the configured share of the reranker, or the one fitted with it."""
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
        with suppress(OSError):  # what a pair costs is learnt again where the folder cannot be written
            self._cost.save()
        if isinstance(self._reranker, CachedReranker) and not self._cache_given:
            self._reranker.cache.close()
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


def _checked_config(config: RetrieverConfig | None) -> RetrieverConfig:
    if config is None:
        return RetrieverConfig()
    if not isinstance(config, RetrieverConfig):
        raise InvalidTypeError(f"config must be a RetrieverConfig, not {type(config).__name__}")
    return config
