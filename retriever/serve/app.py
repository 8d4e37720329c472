"""The app: routes behind a gate, and the life of what they share."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from threadpoolctl import threadpool_limits

from rerank.cores import usable_cores
from retriever.errors import RetrieverError
from retriever.pipeline import Retriever
from retriever.serve import (
    document_routes,
    model_routes,
    page_routes,
    problems,
    search_routes,
    status_routes,
)
from retriever.serve.admission import Lane
from retriever.serve.context import Context
from retriever.serve.gate import Gate
from retriever.serve.metrics import Metrics
from retriever.serve.served import Catalogue, Served, names_of
from retriever.serve.settings import ServeSettings

SETTINGS_VARIABLE = "RETRIEVER_SERVE_SETTINGS"
FOLDERS_VARIABLE = "RETRIEVER_SERVE_FOLDERS"

_log = logging.getLogger("retriever.serve")
_DESCRIPTION = """Two-stage retrieval: a static encoder finds, a reranker decides.

Send `Authorization: Bearer TOKEN` where the server was given tokens. Every error has one shape:
`{"error": {"message", "type", "param", "code"}}`. A 429 carries `Retry-After`."""


def create_app(retrievers: Mapping[str, Retriever], settings: ServeSettings | None = None) -> FastAPI:
    """Make an ASGI app that serves open collections, and closes them when it stops.

    :param retrievers: the collections by the names that requests use.
    :param settings: limits and tokens; where to listen is for `run` to read.
    :return: the app; any ASGI server runs it.
    """
    settings = settings or ServeSettings()
    metrics = Metrics()
    shared = settings.workers > 1
    context = Context(
        settings=settings,
        catalogue=Catalogue([Served(name, one, shared=shared) for name, one in retrievers.items()]),
        metrics=metrics,
        reads=_lane("read", settings.concurrency or usable_cores(), settings, metrics),
        writes=_lane("write", 1, settings, metrics),
    )

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(context))
        yield
        await warming
        for lane in (context.reads, context.writes):
            await asyncio.to_thread(lane.close)
        await asyncio.to_thread(context.catalogue.close)

    app = FastAPI(
        title="two-stage-retriever",
        version=version("two-stage-retriever"),
        description=_DESCRIPTION,
        lifespan=life,
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    problems.install(app)
    # Only for the OpenAPI document: the gate has checked the token before the body was read.
    bearer = [Depends(HTTPBearer(auto_error=False))]
    for module in (search_routes, document_routes, model_routes, status_routes, page_routes):
        app.include_router(module.router, dependencies=bearer)
    for module in (status_routes, page_routes):
        app.include_router(module.open_router)
    return app


def app_from_environment() -> FastAPI:
    """Make the app in a worker process, which gets its settings through the environment."""
    single_threaded_products()
    settings = ServeSettings.model_validate_json(os.environ[SETTINGS_VARIABLE])
    folders = [Path(folder) for folder in os.environ[FOLDERS_VARIABLE].split(os.pathsep)]
    opened = {name: Retriever.open(folder) for name, folder in names_of(folders).items()}
    return create_app(opened, settings)


def single_threaded_products() -> None:
    """Have numpy use one thread a product in this process.

    Searches run side by side, and threads inside their small products only wait for each other: a quarter of
    the processor time a search, and twice the searches a second, on two busy cores.
    """
    threadpool_limits(limits=1, user_api="blas")


def _lane(name: str, concurrency: int, settings: ServeSettings, metrics: Metrics) -> Lane:
    return Lane(
        name,
        concurrency=concurrency,
        max_waiting=settings.max_waiting,
        timeout_s=settings.timeout_s,
        metrics=metrics,
    )


async def _warm(context: Context) -> None:
    """Do a first search of each collection, so that no client waits for models to load."""
    for served in context.catalogue:
        context.metrics.documents.labels(served.name).set(len(served.retriever))
        try:
            await asyncio.to_thread(served.warm, rerank=context.settings.rerank)
        except RetrieverError as error:
            context.trouble = str(error)
            _log.error("not ready", extra={"fields": {"collection": served.name, "reason": str(error)}})
            return
    context.ready = True
    _log.info("ready", extra={"fields": {"collections": [served.name for served in context.catalogue]}})
