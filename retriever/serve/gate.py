"""The gate before the app: who may come in, how much they may bring, and a line in the log for each."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retriever.loopback import is_loopback
from retriever.serve.metrics import Metrics
from retriever.serve.page_files import PAGE_FILES
from retriever.serve.problems import problem
from retriever.serve.settings import ServeSettings
from retriever.serve.tokens import scope_of

_log = logging.getLogger("retriever.serve")

OPEN_PATHS = frozenset({*PAGE_FILES, "/health", "/ready", "/openapi.json"})
"""What needs no token: nothing here shows anything of a collection."""

_READING_POSTS = frozenset({"/v1/search", "/v1/search/batch", "/v1/embeddings", "/v1/rerank", "/v2/rerank"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


class Gate:
    """Checks host, token and body size before the app sees a request; measures and logs it after.

    :param app: what is behind the gate.
    :param settings: tokens and limits.
    :param metrics: told about each request.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        answered = _Answered(send, request_id)
        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._let_in(scope, headers, receive, answered)
        finally:
            self._metrics.in_flight.dec()
            self._note(scope, answered.status, request_id, time.perf_counter() - started)

    async def _let_in(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Hand a request on, or answer it here."""
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
            body, refusal = await self._body(headers, receive)
            receive = _replay(body, receive)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return why a request may not come in; None if it may."""
        path, tokens = scope["path"], self._settings.tokens
        if not tokens and not is_loopback(_host(headers)):
            # A page on the web can point its own name at 127.0.0.1 and read what is served there.
            return problem(421, "wrong_host", "without tokens this server answers only to localhost")
        if not tokens or path in OPEN_PATHS:
            return None
        kind, _, secret = headers.get("authorization", "").partition(" ")
        allowed = scope_of(tokens, secret.strip()) if kind.lower() == "bearer" else None
        if allowed is None:
            what = "unknown token" if secret else "a token is needed"
            return problem(
                401,
                "unauthorized",
                f"{what}; send the header 'Authorization: Bearer TOKEN'",
                headers={"WWW-Authenticate": "Bearer"},
            )
        reads = scope["method"] in ("GET", "HEAD", "OPTIONS") or path in _READING_POSTS
        if not reads and allowed != "write":
            return problem(403, "forbidden", "this token may only read; use one with the scope write")
        return None

    async def _body(self, headers: Headers, receive: Receive) -> tuple[bytes, Response | None]:
        """Read the body as far as the limit allows."""
        limit = self._settings.max_body_bytes
        too_large = problem(
            413, "body_too_large", f"the body is larger than {limit:,} bytes; send less at a time"
        )
        if headers.get("content-length", "") not in ("", "0") or "transfer-encoding" in headers:
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                # Also what keeps other sites' forms out: a browser sends JSON elsewhere only when allowed to.
                return b"", problem(
                    415, "not_json", "send JSON with the header 'Content-Type: application/json'"
                )
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > limit:
            return b"", too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                more = True
                while more:
                    message = await receive()
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        return b"", too_large
        except TimeoutError:
            return b"", problem(408, "body_too_slow", "the body did not arrive in time")
        return bytes(body), None

    def _note(self, scope: Scope, status: int, request_id: str, seconds: float) -> None:
        """Count a request and log it; neither queries nor documents are logged."""
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        client = scope.get("client")
        fields: dict[str, Any] = {
            "request_id": request_id,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1e3, 2),
            "client": client[0] if client else None,
        }
        fields |= scope.get("noted", {})
        _log.info("request", extra={"fields": fields})


class _Answered:
    """Sends on, remembers the status, and puts our headers on the answer."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            for name, value in _SAFE_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def note(scope: MutableMapping[str, Any], **fields: Any) -> None:
    """Add fields to the log line of a request."""
    scope.setdefault("noted", {}).update(fields)


def _host(headers: Headers) -> str:
    """Return the host a client asked for, without the port."""
    host = headers.get("host", "")
    return host[1 : host.index("]")] if host.startswith("[") and "]" in host else host.partition(":")[0]


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the app a body that was read already, then whatever comes."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
