"""Documents: read, add, upsert, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from retriever.documents import to_documents
from retriever.serve.context import Context, InContext
from retriever.serve.gate import note
from retriever.serve.schemas import DocumentsRequest
from retriever.serve.served import Served
from retriever.types import Document, WriteSummary

router = APIRouter(tags=["documents"])

_WRITTEN = {"added": 1, "updated": 0, "unchanged": 0, "ids": ["cat"]}
_DOCUMENT = {
    "id": "cat",
    "title": "Pets",
    "text": "The cat sat on the mat.",
    "metadata": {"lang": "en", "year": 2019},
}

CollectionName = Annotated[str | None, Query(description="Its name; not needed where there is one.")]


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


@router.get("/v1/documents", summary="Return a document", responses={200: _example(_DOCUMENT)})
async def get_document(
    id: Annotated[str, Query(description="The document's id; any text.")],
    context: InContext,
    collection: CollectionName = None,
) -> JSONResponse:
    """Return a document with its text and metadata; 404 if there is none with this id."""
    served = context.catalogue.find(collection)
    document = await context.reads.run(lambda: served.retriever.get(id))
    return JSONResponse(document.to_dict())


@router.post(
    "/v1/documents", status_code=201, summary="Add new documents", responses={201: _example(_WRITTEN)}
)
async def add_documents(body: DocumentsRequest, request: Request, context: InContext) -> JSONResponse:
    """Add documents; 409 if an id exists or is given twice, and nothing is written then."""
    return await _write(body, request, context, replace=False)


@router.put(
    "/v1/documents", summary="Add documents, replacing those that exist", responses={200: _example(_WRITTEN)}
)
async def upsert_documents(body: DocumentsRequest, request: Request, context: InContext) -> JSONResponse:
    """Upsert documents; unchanged ones cost next to nothing."""
    return await _write(body, request, context, replace=True)


@router.delete("/v1/documents", summary="Delete documents", responses={200: _example({"deleted": 1})})
async def delete_documents(
    id: Annotated[list[str], Query(description="Ids; repeat the parameter for several.", min_length=1)],
    request: Request,
    context: InContext,
    collection: CollectionName = None,
) -> JSONResponse:
    """Delete documents by id; ids that do not exist are passed over."""
    served = context.catalogue.find(collection)
    context.check_size("id", len(id), context.settings.max_batch)
    timeout_s = context.settings.timeout_s

    def work() -> int:
        deleted = served.write(lambda: served.retriever.delete(id), timeout_s=timeout_s)
        _count(context, served, WriteSummary(), deleted=deleted)
        return deleted

    deleted = await context.writes.run(work)
    note(request.scope, collection=served.name, deleted=deleted)
    return JSONResponse({"deleted": deleted})


async def _write(
    body: DocumentsRequest, request: Request, context: Context, *, replace: bool
) -> JSONResponse:
    """Add or upsert."""
    served = context.catalogue.find(body.collection)
    context.check_size("documents", len(body.documents), context.settings.max_batch)
    given = [document.model_dump(exclude_none=True) for document in body.documents]

    def work() -> tuple[WriteSummary, list[Document]]:
        documents = list(to_documents(given))
        change = served.retriever.upsert if replace else served.retriever.add
        summary = served.write(lambda: change(documents), timeout_s=context.settings.timeout_s)
        _count(context, served, summary)
        return summary, documents

    summary, documents = await context.writes.run(work)
    written = {"added": summary.added, "updated": summary.updated, "unchanged": summary.unchanged}
    note(request.scope, collection=served.name, **written)
    ids = list(dict.fromkeys(document.id for document in documents))
    return JSONResponse({**written, "ids": ids}, 200 if replace else 201)


def _count(context: Context, served: Served, summary: WriteSummary, *, deleted: int = 0) -> None:
    context.metrics.wrote(served.name, summary, deleted=deleted)
    context.metrics.documents.labels(served.name).set(len(served.retriever))
