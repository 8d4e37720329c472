"""Runs the app: one process, or several that share the collections' files."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from retriever.loopback import address, check_free
from retriever.pipeline import Retriever
from retriever.serve.app import FOLDERS_VARIABLE, SETTINGS_VARIABLE, create_app, single_threaded_products
from retriever.serve.json_logs import log_config
from retriever.serve.metrics import SHARED_FOLDER
from retriever.serve.served import names_of
from retriever.serve.settings import ServeSettings

_BACKLOG = 2048  # connections the system may keep waiting


def run(
    folders: Sequence[Path],
    settings: ServeSettings,
    *,
    log_level: str = "info",
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished first.

    :param folders: the collections, each called by its folder's name.
    :param settings: where to listen, for whom, and how much is taken on.
    :param log_level: of the JSON lines on stderr.
    :param started: called with the address when connections are taken.
    :raises ConfigError: if it would be open to the network without a token.
    :raises CollectionError: if a collection cannot be opened.
    :raises ModelError: if its reranker cannot be loaded.
    """
    settings.check()
    check_free(settings.host, settings.port)
    opened = {name: Retriever.open(folder) for name, folder in names_of(folders).items()}
    try:
        if settings.rerank:
            for retriever in opened.values():
                _ = retriever.reranker  # a mistake shall show now and not at the first search
        if settings.workers == 1:
            serve(opened, settings, log_level=log_level, started=started)
            return
    finally:
        for retriever in opened.values():
            retriever.close()
    _run_workers(folders, settings, log_level, started)


def serve(
    retrievers: dict[str, Retriever],
    settings: ServeSettings,
    *,
    log_level: str = "info",
    started: Callable[[str], None] | None = None,
) -> None:
    """Serve open collections from this process and close them in the end; parameters as for `run`."""
    settings.check()
    single_threaded_products()
    config = uvicorn.Config(create_app(retrievers, settings), **_options(settings, log_level))
    listening = config.bind_socket()
    listening.listen(_BACKLOG)  # so that who hears of the address can connect
    host, port = listening.getsockname()[:2]
    if started is not None:
        started(address(host, port))
    uvicorn.Server(config).run(sockets=[listening])


def _run_workers(
    folders: Sequence[Path],
    settings: ServeSettings,
    log_level: str,
    started: Callable[[str], None] | None,
) -> None:
    """Start processes that take connections from one socket; one that dies is replaced."""
    settings = settings.model_copy(update={"port": settings.port or _free_port(settings.host)})
    with tempfile.TemporaryDirectory(prefix="retriever-metrics-") as shared:
        os.environ[SHARED_FOLDER] = shared
        os.environ[SETTINGS_VARIABLE] = settings.model_dump_json()
        os.environ[FOLDERS_VARIABLE] = os.pathsep.join(str(folder.resolve()) for folder in folders)
        if started is not None:
            started(address(settings.host, settings.port))
        uvicorn.run(
            "retriever.serve.app:app_from_environment",
            factory=True,
            workers=settings.workers,
            **_options(settings, log_level),
        )


def _free_port(host: str) -> int:
    """Return a port that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _options(settings: ServeSettings, log_level: str) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "log_config": log_config(log_level),
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_graceful_shutdown": settings.grace_s,
    }
