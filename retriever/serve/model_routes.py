"""The two models by themselves, in the shapes other people's clients speak: OpenAI's, Cohere's and Jina's."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from rerank.calibration import Calibration
from retriever.errors import InvalidInputError
from retriever.second_stage import calibration_of
from retriever.serve.context import InContext
from retriever.serve.gate import note
from retriever.serve.problems import RefusedError
from retriever.serve.schemas import EmbeddingsRequest, RerankRequest

router = APIRouter(tags=["models"])

_EMBEDDINGS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.07]}],
    "model": "docs",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}
_RERANKED = {
    "id": "b5c1",
    "model": "docs",
    "results": [{"index": 0, "relevance_score": 0.98}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    "usage": {"total_tokens": 21},
}


@router.get("/v1/models", summary="The names that `model` takes")
async def models(context: InContext) -> JSONResponse:
    """List the collections as models, in OpenAI's shape."""
    names = [
        {"id": served.name, "object": "model", "created": 0, "owned_by": "two-stage-retriever"}
        for served in context.catalogue
    ]
    return JSONResponse({"object": "list", "data": names})


@router.post(
    "/v1/embeddings",
    summary="Texts to vectors, in OpenAI's shape",
    responses={200: {"content": {"application/json": {"example": _EMBEDDINGS}}}},
)
async def embeddings(body: EmbeddingsRequest, request: Request, context: InContext) -> Response:
    """Encode texts with a collection's encoder; the vectors are those of `StaticEncoder.encode`."""
    served = context.catalogue.find(body.model, what="model")
    texts = _texts(body)
    context.check_size("input", len(texts), context.settings.max_batch)
    encoder = served.retriever.encoder
    if body.dimensions is not None:
        encoder = encoder.truncate(body.dimensions)

    def work() -> bytes:
        vectors = encoder.encode(texts)
        tokens = int(encoder.count_tokens(texts).sum())
        context.metrics.embedded.labels(served.name).inc(len(texts))
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "data": data, "model": served.name, "usage": usage}
        return json.dumps(answer).encode()

    note(request.scope, collection=served.name, texts=len(texts))
    return Response(await context.reads.run(work), media_type="application/json")


@router.post(
    "/v1/rerank",
    summary="Order passages for a query, in Cohere's and Jina's shape",
    responses={200: {"content": {"application/json": {"example": _RERANKED}}}},
)
@router.post(
    "/v2/rerank", summary="The same, where Cohere's newer client looks for it", include_in_schema=False
)
async def rerank(body: RerankRequest, request: Request, context: InContext) -> JSONResponse:
    """Score passages with a collection's reranker.

    The order is by logits; `relevance_score` is the probability that goes with one where the reranker
    was calibrated, else its logistic.
    """
    served = context.catalogue.find(body.model, what="model")
    context.check_size("documents", len(body.documents), context.settings.max_batch)
    texts = [document if isinstance(document, str) else document.text for document in body.documents]

    def work() -> tuple[list[dict[str, Any]], int]:
        reranker = served.reranker
        if reranker is None:
            raise RefusedError(422, "no_reranker", f"{served.name} has no reranker")
        started = time.perf_counter()
        logits = np.asarray(reranker.score(body.query, texts), dtype=np.float64)
        context.metrics.stage_seconds.labels(served.name, "rerank").observe(time.perf_counter() - started)
        context.metrics.pairs.labels(served.name).inc(len(texts))
        order = np.argsort(-logits, kind="stable")[: body.top_n].tolist()
        calibration = calibration_of(reranker, needed=False) or Calibration(slope=1.0, intercept=0.0)
        odds = calibration.slope * logits + calibration.intercept
        # In 64 bits the logistic keeps good candidates apart, which in 32 bits it would not.
        scores = 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
        results: list[dict[str, Any]] = [{"index": i, "relevance_score": float(scores[i])} for i in order]
        if body.return_documents:
            for result in results:
                result["document"] = {"text": texts[result["index"]]}
        tokens = int(served.retriever.encoder.count_tokens([body.query, *texts]).sum())
        return results, tokens

    results, tokens = await context.reads.run(work)
    note(request.scope, collection=served.name, reranked=len(texts))
    version = {"version": request.url.path[2]}
    return JSONResponse(
        {
            "id": uuid.uuid4().hex,
            "model": served.name,
            "results": results,
            "meta": {"api_version": version, "billed_units": {"search_units": 1}},
            "usage": {"total_tokens": tokens},
        }
    )


def _texts(body: EmbeddingsRequest) -> list[str]:
    """Return the texts asked for."""
    given = [body.input] if isinstance(body.input, str) else list(body.input)
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        raise InvalidInputError(
            "input holds token numbers of another tokenizer; send texts "
            "(for LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False)"
        )
    if not texts or not all(texts):
        raise InvalidInputError("input is empty or holds an empty text; send texts that are not empty")
    return texts


def _encoded(vector: np.ndarray[Any, np.dtype[np.float32]], encoding: str) -> str | list[float]:
    """Write a vector as numbers or as base64 of little-endian float32."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
