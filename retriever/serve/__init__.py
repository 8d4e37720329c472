"""The retriever over HTTP: a REST API, OpenAI's and Cohere's shapes, and a page. Needs the extra `serve`."""

from __future__ import annotations

from retriever.errors import MissingExtraError

try:
    import fastapi as _fastapi  # noqa: F401
    import prometheus_client as _prometheus_client  # noqa: F401
    import uvicorn as _uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtraError(
        f"the server needs {error.name}: pip install 'two-stage-retriever[serve]'"
    ) from error

from retriever.serve.app import create_app
from retriever.serve.settings import ServeSettings

__all__ = ["ServeSettings", "create_app"]
