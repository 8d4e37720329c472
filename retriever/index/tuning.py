"""Measures a vector index against exact search, and tunes it until the recall asked for is reached."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.index.funnel import Encode
from retriever.index.protocol import VectorIndex

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

_RESCORED = (200, 300, 400, 500, 600, 800, 1000, 2000, 4000)  # candidates
_RANKS = 100  # recall is measured at this depth
_AIMED = 0.8  # of the misses allowed: people's questions miss a little more than those made from documents
_TIMED = 21  # queries; their median is the latency
_BLOCK = 4096
_TIE = 1e-4  # cosine; closer than this to the last one wanted is as good, twice the error of 16 bits
_SENTENCE = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a vector index reached.

    :param recall: share of the exact 100 nearest passages that were found.
    :param latency_ms: median time of one search for 100, in milliseconds.
    :param passages: how many there were.
    :param sampled: how many of them the exact search was done over.
    :param queries: how many were asked.
    """

    recall: float
    latency_ms: float
    passages: int
    sampled: int
    queries: int


def pseudo_queries(documents: Sequence[tuple[str, str]]) -> list[str]:
    """Make queries from documents: titles, first sentences and leading words, in turn.

    Not passages: queries are short, and lie where passages do not; an index tuned with passages promises more
    than it keeps.

    :param documents: titles and texts.
    """
    queries = []
    for place, (title, text) in enumerate(documents):
        sentence = _SENTENCE.split(text.strip(), maxsplit=1)[0][:200]
        kinds = [title.strip(), sentence, " ".join(text.split()[:8])]
        queries.append(next((kinds[(place + i) % 3] for i in range(3) if kinds[(place + i) % 3]), ""))
    return [query for query in queries if query]


def tune(
    index: VectorIndex, queries: FloatArray, sample: IntArray, encode: Encode, *, passages: int, target: float
) -> Measured:
    """Set an index's knob to the cheapest value that reaches a recall, and measure that.

    Over a sample of the passages, a share f of all, the search is restricted to it and asked for the nearest
    100 f with f times the candidates: a passage among the first 100 of all is among the first 100 f of the
    sample as often as it is in the sample.

    :param index: the index; its setting is changed.
    :param queries: query vectors, shape (m, d).
    :param sample: ids of the passages searched exactly; all of them for engines that find their way.
    :param encode: gives the exact vectors of passages.
    :param passages: how many there are.
    :param target: the recall to reach.
    """
    if index.name == "flat":
        return Measured(1.0, _latency(index, queries), passages, passages, len(queries))
    share = len(sample) / max(1, passages)
    ranks = max(1, min(len(sample), round(_RANKS * share)))
    least = _exact(queries, sample, encode, ranks)
    allowed = sample if len(sample) < passages else None
    recall, setting, aim = 0.0, index.settings(), 1.0 - _AIMED * (1.0 - target)
    for setting in _settings(index):
        index.tune(_scaled(setting, share, ranks))
        recall = _recall(index, queries, ranks, allowed, least, encode)
        if recall >= aim:
            break
    index.tune(setting)
    return Measured(round(recall, 4), _latency(index, queries), passages, len(sample), len(queries))


def _settings(index: VectorIndex) -> list[dict[str, int]]:
    """Return the settings worth trying, cheapest first."""
    now = index.settings()
    if "nprobe" in now:
        return [{"nprobe": 1 << power} for power in range(13)]
    if "efSearch" in now:
        return [{"efSearch": ef} for ef in (100, 200, 400, 800, 1600)]
    if "rescored" in now:
        return [now | {"rescored": count} for count in _RESCORED]
    return [now]


def _scaled(setting: dict[str, int], share: float, ranks: int) -> dict[str, int]:
    """Ask as many candidates of the sample as would come from it."""
    if "rescored" not in setting:
        return setting
    return setting | {"rescored": max(ranks, math.ceil(setting["rescored"] * share))}


def _exact(queries: FloatArray, sample: IntArray, encode: Encode, ranks: int) -> FloatArray:
    """Return the similarity of the last passage wanted for each query."""
    best = np.full((len(queries), ranks), -np.inf, dtype=np.float32)
    for start in range(0, len(sample), _BLOCK):
        block = queries @ encode(sample[start : start + _BLOCK]).T
        joined = np.concatenate([best, block], axis=1)
        best = np.partition(joined, joined.shape[1] - ranks, axis=1)[:, -ranks:]
    least: FloatArray = best.min(axis=1)
    return least


def _recall(
    index: VectorIndex,
    queries: FloatArray,
    ranks: int,
    allowed: IntArray | None,
    least: FloatArray,
    encode: Encode,
) -> float:
    """Return the share of wanted passages found; one as near as the last wanted is as good."""
    # All at once, which FAISS and the encoder spread over their threads: that takes a third of the time.
    nearest = [found for found, _ in index.search(queries, ranks, allowed=allowed)]
    pids = np.unique(np.concatenate(nearest))
    vectors = encode(pids)
    hits = 0
    for query, bound, found in zip(queries, least, nearest, strict=True):
        similarities = vectors[np.searchsorted(pids, found)] @ query
        hits += min(ranks, int((similarities >= bound - _TIE).sum()))
    return hits / (ranks * len(queries))


def _latency(index: VectorIndex, queries: FloatArray) -> float:
    """Return the median time of one search, in milliseconds."""
    times = []
    for query in queries[:_TIMED]:
        started = time.perf_counter()
        index.search(query[None], _RANKS)
        times.append(time.perf_counter() - started)
    return round(float(np.median(times)) * 1e3, 3)
