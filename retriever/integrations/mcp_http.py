"""The MCP server over streamable HTTP, behind a bearer token."""

from __future__ import annotations

import hmac

from mcp.server import MCPServer
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


def http_app(server: MCPServer, *, host: str = "127.0.0.1", token: str | None = None) -> ASGIApp:
    """Return the ASGI application, at /mcp.

    On a loopback address, requests must name it as their host, which keeps web pages from reaching in.

    :param server: the MCP server.
    :param host: the address it will listen on.
    :param token: what clients must send as a bearer token; None asks for none.
    :return: an application for uvicorn.
    """
    app = server.streamable_http_app(host=host)
    return app if token is None else _Guarded(app, token)


class _Guarded:
    """An application whose requests need the token; start and stop need none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._guarded = AuthenticationMiddleware(
            RequireAuthMiddleware(app, required_scopes=[]), backend=BearerAuthBackend(_OneToken(token))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._app if scope["type"] == "lifespan" else self._guarded)(scope, receive, send)


class _OneToken:
    """Verifies a single secret, in a time that does not tell how much of it was right."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the access that a token gives; None for a wrong one."""
        if not hmac.compare_digest(token.encode(), self._token):
            return None
        return AccessToken(token=token, client_id="token", scopes=[])
