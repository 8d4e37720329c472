"""`retriever mcp`: let agents search collections, over the Model Context Protocol."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from retriever.cli import STOPPED
from retriever.loopback import address, check_free, is_loopback

if TYPE_CHECKING:
    from retriever.pipeline import Retriever

_SHORTEST_TOKEN = 16  # characters; fewer can be guessed


def mcp(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Collections' folders; each is called by its folder's name.",
            show_default=False,
        ),
    ],
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP at /mcp instead of stdio.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RETRIEVER_READ_TOKEN",
            help="Bearer token that HTTP clients must send.",
            show_default="none",
        ),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=64, help="Longest answer of a tool, in tokens.")] = 4000,
) -> None:
    """Let agents search collections, over the Model Context Protocol.

    Over stdio, which is what desktop clients start; with --http, for clients elsewhere. Agents can search,
    read documents and list collections; they can change nothing.
    """
    if http:
        _check_reach(host, token)
        check_free(host, port)
    from retriever.cli.console import say
    from retriever.integrations.mcp import build_server

    with ExitStack() as stack:
        server = build_server(_open(directories, stack), max_tokens=max_tokens)
        if not http:
            signal.signal(signal.SIGINT, partial(_stop, stack))
            server.run("stdio")
            return
        import uvicorn

        from retriever.integrations.mcp_http import http_app

        app = http_app(server, host=host, token=token)
        config = uvicorn.Config(app, host=host, port=port, log_level="warning")
        listening = config.bind_socket()
        listening.listen()  # so that who hears of the address can connect
        say(f"serving MCP at {address(host, listening.getsockname()[1])}/mcp; stop with Ctrl-C")
        uvicorn.Server(config).run(sockets=[listening])


def _stop(stack: ExitStack, *_: object) -> NoReturn:
    """Close the collections and go, though a thread that nothing can wake is waiting for standard input."""
    stack.close()
    os._exit(STOPPED)


def _check_reach(host: str, token: str | None) -> None:
    """Refuse to show documents to a network without a token."""
    if token is None and not is_loopback(host):
        raise typer.BadParameter(
            f"listening on {host} would show the documents to the network; set RETRIEVER_READ_TOKEN to a "
            "secret that clients send as a bearer token, or listen on 127.0.0.1",
            param_hint="--host",
        )
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise typer.BadParameter(
            f"the token has {len(token)} characters; use at least {_SHORTEST_TOKEN}, made with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'",
            param_hint="--token",
        )


def _open(directories: Sequence[Path], stack: ExitStack) -> dict[str, Retriever]:
    """Open collections by their folders' names."""
    from retriever.cli.opening import open_collection

    names = [directory.resolve().name for directory in directories]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise typer.BadParameter(
            f"two collections are called {twice[0]!r}, and agents could not tell them apart; rename a folder"
        )
    return {
        name: stack.enter_context(open_collection(directory))
        for name, directory in zip(names, directories, strict=True)
    }
