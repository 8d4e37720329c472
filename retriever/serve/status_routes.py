"""How the server is: alive, ready, its figures, and what it serves."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from retriever.serve.context import InContext

open_router = APIRouter(tags=["status"])
router = APIRouter(tags=["status"])


@open_router.get("/health", summary="Whether the process answers")
async def health() -> JSONResponse:
    """Answer as long as the process lives."""
    return JSONResponse({"status": "ok"})


@open_router.get("/ready", summary="Whether searches are answered at full speed")
async def ready(context: InContext) -> JSONResponse:
    """Answer 200 when models are loaded and a first search was done, 503 before."""
    if context.ready:
        return JSONResponse({"status": "ready"})
    status = "failed" if context.trouble else "warming up"
    return JSONResponse({"status": status}, 503, {"Retry-After": "1"})


@router.get("/metrics", summary="Figures for Prometheus")
async def metrics(context: InContext) -> Response:
    """Return requests, waiting and every stage of the searches, over all workers."""
    page, kind = context.metrics.page()
    return Response(page, headers={"content-type": kind})


@router.get("/v1/collections", summary="What is served")
async def collections(context: InContext) -> JSONResponse:
    """List the collections with their sizes, settings, and the metadata fields that filters can use."""
    listed = await context.reads.run(
        lambda: [
            {
                "name": served.name,
                "documents": len(served.retriever),
                "dimensions": served.dimensions if served.retriever.config.dense else None,
                "depth": served.retriever.config.depth,
                "max_depth": context.settings.max_depth,
                "reranks": context.settings.rerank and served.retriever.config.reranker is not None,
                "fields": served.fields(),
            }
            for served in context.catalogue
        ]
    )
    return JSONResponse({"collections": listed, "report": context.settings.report is not None})
