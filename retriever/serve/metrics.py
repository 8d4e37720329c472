"""Prometheus metrics: requests, waiting, and every stage of a search."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from retriever.types import SearchTimings, WriteSummary

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers put their figures, so that any answers for all; prometheus_client's name."""

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The server's figures, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make: dict[str, Any] = {"registry": self.registry, "namespace": "retriever"}
        self.requests = Counter("requests", "Requests answered.", ["method", "route", "status"], **make)
        self.request_seconds = Histogram(
            "request_seconds", "From a request's arrival to its answer.", ["route"], buckets=_SECONDS, **make
        )
        self.waiting_seconds = Histogram(
            "waiting_seconds", "Waiting for a thread.", ["lane"], buckets=_SECONDS, **make
        )
        self.refused = Counter("refused", "Requests refused because too many waited.", ["lane"], **make)
        self.in_flight = Gauge("in_flight", "Requests being answered.", multiprocess_mode="livesum", **make)
        self.stage_seconds = Histogram(
            "stage_seconds",
            "first_stage (encoding, vectors, BM25, fusion), rerank (reranker) or batch (both).",
            ["collection", "stage"],
            buckets=_SECONDS,
            **make,
        )
        self.searches = Counter("searches", "Queries answered.", ["collection"], **make)
        self.empty = Counter("empty_searches", "Queries without a result.", ["collection"], **make)
        self.pairs = Counter("reranked_pairs", "Passages the reranker read.", ["collection"], **make)
        self.embedded = Counter("embedded_texts", "Texts encoded for clients.", ["collection"], **make)
        self.written = Counter(
            "written_documents", "Documents by what became of them.", ["collection", "change"], **make
        )
        self.documents = Gauge(
            "documents",
            "Documents in the collection.",
            ["collection"],
            multiprocess_mode="mostrecent",
            **make,
        )

    def searched(self, collection: str, timings: SearchTimings, *, queries: int, empty: int) -> None:
        """Count one call of a search."""
        self.stage_seconds.labels(collection, "first_stage").observe(timings.first_stage_ms / 1e3)
        if timings.reranked:
            self.stage_seconds.labels(collection, "rerank").observe(timings.rerank_ms / 1e3)
            self.pairs.labels(collection).inc(timings.reranked)
        self.searches.labels(collection).inc(queries)
        if empty:
            self.empty.labels(collection).inc(empty)

    def searched_batch(self, collection: str, seconds: float, *, queries: int, empty: int) -> None:
        """Count a batch, whose stages are not timed apart."""
        self.stage_seconds.labels(collection, "batch").observe(seconds)
        self.searches.labels(collection).inc(queries)
        if empty:
            self.empty.labels(collection).inc(empty)

    def wrote(self, collection: str, summary: WriteSummary, *, deleted: int = 0) -> None:
        """Count what a write did."""
        changes = {
            "added": summary.added,
            "updated": summary.updated,
            "unchanged": summary.unchanged,
            "deleted": deleted,
        }
        for change, count in changes.items():
            if count:
                self.written.labels(collection, change).inc(count)

    def page(self) -> tuple[bytes, str]:
        """Return the figures of all workers in Prometheus's text format, and its content type."""
        registry = self.registry
        if os.environ.get(SHARED_FOLDER):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
