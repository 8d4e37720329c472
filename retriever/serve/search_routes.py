"""Searching: one question or many."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from retriever import types
from retriever.errors import InvalidInputError
from retriever.lexical.matched_words import matched_words
from retriever.serve.context import Context, InContext
from retriever.serve.gate import note
from retriever.serve.schemas import BatchSearchRequest, SearchOptions, SearchRequest
from retriever.serve.served import Served
from retriever.types import SearchResult, SearchTimings, StageScore

router = APIRouter(tags=["search"])

_EXAMPLE_RESULT = {
    "id": "cat",
    "title": "Pets",
    "text": "The cat sat on the mat.",
    "metadata": {"lang": "en", "year": 2019},
    "score": 1.27,
    "rank": 1,
    "passage": "The cat sat on the mat.",
    "span": [0, 23],
    "probability": 0.94,
    "stages": {
        "dense": {"rank": 2, "score": 0.61},
        "lexical": {"rank": 1, "score": 1.93},
        "fused": {"rank": 2, "score": 3.2},
        "reranked": {"rank": 1, "score": 4.1},
    },
    "matched": ["cat"],
}
_EXAMPLE = {
    "collection": "docs",
    "query": "Where is the cat?",
    "dimensions": 256,
    "timings": {"first_stage_ms": 1.4, "rerank_ms": 35.0, "reranked": 50, "total_ms": 36.9},
    "results": [_EXAMPLE_RESULT],
}
_BATCH_EXAMPLE = {
    "collection": "docs",
    "dimensions": 256,
    "total_ms": 52.0,
    "batches": [{"query": "Where is the cat?", "results": [_EXAMPLE_RESULT]}],
}


@router.post(
    "/v1/search",
    summary="Find the documents that answer a question",
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}},
)
async def search(body: SearchRequest, request: Request, context: InContext) -> Response:
    """Search with both stages; every result says what each stage thought of it."""
    served = context.catalogue.find(body.collection)
    _check_limits(context, body)

    def work() -> bytes:
        started = time.perf_counter()
        results, timings = served.at(body.dimensions).search_timed(body.query, **_options(context, body))
        context.metrics.searched(served.name, timings, queries=1, empty=int(not results))
        note(request.scope, collection=served.name, results=len(results), **_stage_times(timings))
        found = _as_json(body.query, results, body)
        total = (time.perf_counter() - started) * 1e3
        return json.dumps(
            {
                "collection": served.name,
                "query": body.query,
                "dimensions": _dimensions(served, body),
                "timings": {**_stage_times(timings), "total_ms": round(total, 3)},
                "results": found,
            },
            ensure_ascii=False,
        ).encode()

    return Response(await context.reads.run(work), media_type="application/json")


@router.post(
    "/v1/search/batch",
    summary="Answer many questions at once",
    responses={200: {"content": {"application/json": {"example": _BATCH_EXAMPLE}}}},
)
async def search_batch(body: BatchSearchRequest, request: Request, context: InContext) -> Response:
    """Search for many queries; lists of results come in the order of the queries."""
    served = context.catalogue.find(body.collection)
    _check_limits(context, body)
    context.check_size("queries", len(body.queries), context.settings.max_queries)

    def work() -> bytes:
        started = time.perf_counter()
        batches = served.at(body.dimensions).search_batch(body.queries, **_options(context, body))
        total = (time.perf_counter() - started) * 1e3
        context.metrics.searched_batch(
            served.name, total / 1e3, queries=len(batches), empty=sum(not results for results in batches)
        )
        note(request.scope, collection=served.name, queries=len(batches))
        return json.dumps(
            {
                "collection": served.name,
                "dimensions": _dimensions(served, body),
                "total_ms": round(total, 3),
                "batches": [
                    {"query": query, "results": _as_json(query, results, body)}
                    for query, results in zip(body.queries, batches, strict=True)
                ],
            },
            ensure_ascii=False,
        ).encode()

    return Response(await context.reads.run(work), media_type="application/json")


def _check_limits(context: Context, options: SearchOptions) -> None:
    """Refuse what would take one request too long."""
    settings = context.settings
    for name, value, limit in (
        ("k", options.k, settings.max_k),
        ("depth", options.depth, settings.max_depth),
    ):
        if isinstance(value, int) and value > limit:
            raise InvalidInputError(f"{name} is {value}; this server takes up to {limit}")


def _options(context: Context, options: SearchOptions) -> types.SearchOptions:
    """Return what the request says to the search itself."""
    return {
        "k": options.k,
        "depth": options.depth,
        "filter": options.filter,
        "rerank": context.settings.rerank if options.rerank is None else options.rerank,
        "budget_ms": options.budget_ms,
        "min_probability": options.min_probability,
    }


def _dimensions(served: Served, options: SearchOptions) -> int | None:
    if not served.retriever.config.dense:
        return None
    return served.dimensions if options.dimensions is None else options.dimensions


def _stage_times(timings: SearchTimings) -> dict[str, float | int]:
    return {
        "first_stage_ms": round(timings.first_stage_ms, 3),
        "rerank_ms": round(timings.rerank_ms, 3),
        "reranked": timings.reranked,
    }


def _as_json(query: str, results: Sequence[SearchResult], options: SearchOptions) -> list[dict[str, Any]]:
    """Lay results out as `SearchResult.to_dict` does, without its deep copies."""
    found = []
    for result in results:
        stages = result.stages
        entry: dict[str, Any] = {
            "id": result.id,
            "title": result.title,
            "metadata": result.metadata,
            "score": result.score,
            "rank": result.rank,
            "passage": result.passage,
            "span": list(result.span),
            "probability": result.probability,
            "stages": {
                "dense": _stage(stages.dense),
                "lexical": _stage(stages.lexical),
                "fused": _stage(stages.fused),
                "reranked": _stage(stages.reranked),
            },
        }
        if options.include_text:
            entry["text"] = result.text
        if options.matched:
            entry["matched"] = matched_words(query, f"{result.title} {result.passage}")
        found.append(entry)
    return found


def _stage(stage: StageScore | None) -> dict[str, Any] | None:
    return None if stage is None else {"rank": stage.rank, "score": stage.score}
