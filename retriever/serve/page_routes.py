"""The page: its files, and the trade-off report shown in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Response

from retriever.serve.context import InContext
from retriever.serve.page_files import PAGE_FILES
from retriever.serve.problems import RefusedError

open_router = APIRouter(include_in_schema=False)
router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent / "page"
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # The report shown in a frame without scripts brings its own styles.
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"content-security-policy": _POLICY, "cache-control": "no-cache", "x-frame-options": "DENY"}


def _answering(name: str, kind: str) -> Callable[[], Response]:
    """Return the route of one file; only names listed here are ever read."""

    def answer() -> Response:
        return Response((_FOLDER / name).read_bytes(), media_type=kind, headers=_HEADERS)

    return answer


for _path, (_name, _kind) in PAGE_FILES.items():
    open_router.add_api_route(_path, _answering(_name, _kind), methods=["GET"])


@router.get("/report")
def report(context: InContext) -> Response:
    """Return the trade-off report that the server was started with."""
    path = context.settings.report
    if path is None or not path.is_file():
        raise RefusedError(404, "no_report", "no report; start the server with --report FILE")
    # In a sandbox: whatever the file holds, it runs nothing and reaches nothing here.
    policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return Response(path.read_bytes(), media_type="text/html", headers={"content-security-policy": policy})
