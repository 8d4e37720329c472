"""Errors as answers: one JSON shape, OpenAI's, for everything that can go wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from retriever.errors import (
    CollectionLockedError,
    ConfigError,
    DocumentNotFoundError,
    DuplicateIdError,
    InvalidInputError,
    InvalidTypeError,
    RetrieverError,
    StorageFullError,
)
from retriever.serve.admission import BusyError, TooSlowError

_log = logging.getLogger("retriever.serve")

_WRITER_RETRY_S = 1
_SHOWN_PROBLEMS = 5

# The first that fits decides. Others are the server's fault: their messages may hold paths.
_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (DuplicateIdError, 409, "duplicate_id"),
    (DocumentNotFoundError, 404, "document_not_found"),
    (InvalidInputError, 422, "invalid_input"),
    (InvalidTypeError, 422, "invalid_input"),
    (ConfigError, 422, "invalid_input"),
    (BusyError, 429, "too_many_requests"),
    (TooSlowError, 503, "timeout"),
)


class RefusedError(RetrieverError):
    """A request that is refused with a status of its own.

    :param status: HTTP status.
    :param code: a word for machines.
    :param message: what is wrong and what to do.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def problem(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as an answer.

    :param status: HTTP status.
    :param code: a word for machines.
    :param message: what is wrong and what to do.
    :param headers: more headers.
    """
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error}, status, dict(headers or {}))


def install(app: FastAPI) -> None:
    """Make the app answer every error in this shape."""
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in (RetrieverError, BusyError, TooSlowError, Exception):
        app.add_exception_handler(kind, _on_error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong where, without sending the whole input back."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        f"{'.'.join(map(str, found['loc'][1:])) or 'body'}: {found['msg']}"
        for found in error.errors()[:_SHOWN_PROBLEMS]
    ]
    malformed = any(found["type"] == "json_invalid" for found in error.errors())
    return problem(
        400 if malformed else 422, "malformed_json" if malformed else "invalid_input", "; ".join(problems)
    )


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed", 400: "malformed_json"}.get(error.status_code, "http")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return problem(error.status_code, code, message, headers=error.headers)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RefusedError):
        return problem(error.status, error.code, str(error))
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, BusyError) else {}
            return problem(status, code, str(error), headers=headers)
    if isinstance(error, CollectionLockedError):
        message = "another process is writing to this collection; try again"
        return problem(503, "locked", message, headers={"Retry-After": str(_WRITER_RETRY_S)})
    _log.error("failed", exc_info=error, extra={"fields": {"path": request.url.path}})
    if isinstance(error, StorageFullError):
        return problem(507, "storage_full", "the server's disk is full; nothing was changed")
    return problem(500, "internal", "the server failed; its log says why")
