"""What the scale benchmark measures of a first stage, alike for this project and for others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.varied_text import documents
from eval.evaluation import Latency
from retriever.encoder import StaticEncoder

FloatArray = NDArray[np.float32]

RANKS = 100  # recall is measured at this depth
_BATCH = 8192
_TIE = 1e-5  # cosine; as near as the last one wanted is as good


def text_blocks(stream: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield the texts of documents as they are searched, many at a time."""
    texts = (f"{one['title']} {one['text']}".strip() for one in stream)
    while block := list(islice(texts, _BATCH)):
        yield block


def latency(ask: Callable[[str], object], queries: Sequence[str]) -> dict[str, float]:
    """Return median and 99th percentile of one question after another, in milliseconds."""
    times = []
    for query in queries:
        started = time.perf_counter()
        ask(query)
        times.append((time.perf_counter() - started) * 1e3)
    return Latency.of(times).to_dict()


def least_similarities(encoder: StaticEncoder, queries: FloatArray, size: int) -> FloatArray:
    """Search all texts exactly at full width.

    :param queries: vectors, shape (m, d).
    :param size: how many documents there are.
    :return: each query's similarity to the last of its nearest `RANKS`, shape (m,).
    """
    best = np.full((len(queries), RANKS), -np.inf, dtype=np.float32)
    for texts in text_blocks(documents(size)):
        joined = np.concatenate([best, queries @ encoder.encode(texts).T], axis=1)
        best = np.partition(joined, joined.shape[1] - RANKS, axis=1)[:, -RANKS:]
    least: FloatArray = best.min(axis=1)
    return least


def recall(
    encoder: StaticEncoder,
    queries: FloatArray,
    least: FloatArray,
    nearest: Callable[[FloatArray], Sequence[str]],
) -> float:
    """Return the share of the exact `RANKS` nearest that a search finds.

    :param queries: vectors, shape (m, d).
    :param least: of each, as `least_similarities` returns them.
    :param nearest: gives the texts of the `RANKS` passages found for a query's vector.
    """
    hits = 0
    for query, bound in zip(queries, least, strict=True):
        similarities = encoder.encode(nearest(query)) @ query
        hits += min(RANKS, int((similarities >= bound - _TIE).sum()))
    return round(hits / (RANKS * len(queries)), 4)
