"""What every route needs: settings, collections, threads and metrics of this worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from retriever.serve.admission import Lane
from retriever.serve.metrics import Metrics
from retriever.serve.problems import RefusedError
from retriever.serve.served import Catalogue
from retriever.serve.settings import ServeSettings


@dataclass(slots=True)
class Context:
    """The state of one worker.

    :param settings: how it serves.
    :param catalogue: its collections.
    :param metrics: its figures.
    :param reads: threads that search, embed and rerank.
    :param writes: the one thread that changes collections.
    :param ready: whether the first search was done.
    :param trouble: why it is not ready, where that will not pass by itself.
    """

    settings: ServeSettings
    catalogue: Catalogue
    metrics: Metrics
    reads: Lane
    writes: Lane
    ready: bool = False
    trouble: str = ""

    def check_size(self, name: str, size: int, limit: int) -> None:
        """Refuse more than is taken at once.

        :raises RefusedError: with status 413.
        """
        if size > limit:
            raise RefusedError(
                413,
                "batch_too_large",
                f"{name} has {size:,} entries, more than {limit:,}; send less at a time",
            )


def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


InContext = Annotated[Context, Depends(_context)]
