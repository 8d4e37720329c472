"""`retriever serve`: collections over HTTP, with a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def serve(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="The collections' folders.", show_default=False)
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the collections.")] = 1,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Bearer tokens, a line 'read SECRET' or 'write SECRET' each. "
            "RETRIEVER_READ_TOKEN and RETRIEVER_WRITE_TOKEN work too.",
            show_default=False,
        ),
    ] = None,
    rerank: Annotated[bool, typer.Option(help="Rerank unless a request says otherwise.")] = True,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Report of `retriever tradeoff`, shown on the page.", show_default=False
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take.")] = 30.0,
    max_waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait; more get 429.")] = 128,
    log_level: Annotated[
        str, typer.Option(help="Of the JSON lines on stderr: debug, info, warning or error.")
    ] = "info",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve collections over HTTP: search, documents, OpenAI embeddings, reranking, metrics, and a page."""
    if log_level.lower() not in ("debug", "info", "warning", "error"):
        raise typer.BadParameter(f"{log_level!r} is no log level; use debug, info, warning or error")
    if report is not None and not report.is_file():
        raise typer.BadParameter(f"{report} is no file; make one with `retriever tradeoff`")
    from retriever.serve.run import run
    from retriever.serve.settings import ServeSettings
    from retriever.serve.tokens import read_tokens

    settings = ServeSettings(
        host=host,
        port=port,
        workers=workers,
        tokens=read_tokens(os.environ, tokens),
        rerank=rerank,
        report=None if report is None else report.resolve(),
        timeout_s=timeout,
        max_waiting=max_waiting,
    )
    run(directories, settings, log_level=log_level, started=announcer(open_browser=open_browser))


def announcer(*, open_browser: bool, path: str = "") -> Callable[[str], None]:
    """Return what says where the server is, and opens it.

    :param open_browser: whether to open the page.
    :param path: what to open there.
    """

    def started(address: str) -> None:
        from retriever.cli.console import say

        say(f"serving at {address} (OpenAPI: {address}/openapi.json; Ctrl-C stops)")
        if open_browser:
            import webbrowser

            webbrowser.open(address + path)

    return started
