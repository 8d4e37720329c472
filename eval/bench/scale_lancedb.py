"""The same texts in LanceDB, with our vectors: what a store of its own kind takes for the same hybrid search.

Texts and vectors in one table, an IVF-PQ index over the vectors and a stemmed full-text index, each with its
defaults. `eval.bench.scale --peers` runs this in a process of its own.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.varied_text import documents, questions
from eval.evaluation import Latency
from retriever.encoder import StaticEncoder

FloatArray = NDArray[np.float32]

_QUERIES = 200
_WANTED = 200  # candidates of each half, as many as our own default
_RANKS = 100
_BATCH = 8192
_REFINED = (1, 5, 20, 50)  # candidates compared exactly, in multiples of those wanted
_PROBED = (20, 100, 400)  # of its cells; 20 is the default
_RECALL = 0.98  # wanted, of exact search; the cheapest setting that reaches it is timed


def build_and_search(size: int, folder: Path) -> dict[str, Any]:
    """Build a table of `size` texts with both indexes, then ask both for each question.

    :param folder: where it is written; made if absent.
    :return: seconds, memory, disk, latency and the recall of its vectors.
    """
    import lancedb
    import pyarrow as pa

    encoder = StaticEncoder.load()
    encoder.compile()
    kinds = {"text": pa.string(), "vector": pa.list_(pa.float32(), encoder.dimensions)}
    schema = pa.schema(list(kinds.items()))
    asked = questions(_QUERIES)
    vectors = encoder.encode(asked)
    least = _least(vectors, encoder, size)
    stream = documents(size)
    first = next(stream)  # reading and cutting the source is not what is measured, as in `eval.bench.scale`

    def batches() -> Iterator[Any]:
        for texts in _blocks(chain([first], stream)):
            flat = pa.array(encoder.encode(texts).ravel(), type=pa.float32())
            columns = [pa.array(texts), pa.FixedSizeListArray.from_arrays(flat, encoder.dimensions)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    started = time.perf_counter()
    table = lancedb.connect(folder).create_table("passages", data=batches(), schema=schema)
    table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_PQ")
    table.create_fts_index("text", use_tantivy=False, stem=True, remove_stop_words=True)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def near(vector: FloatArray, wanted: int, nprobes: int, refined: int) -> Any:
        asking: Any = table.search(vector)
        search = asking.distance_type("cosine").nprobes(nprobes).refine_factor(refined)
        return search.limit(wanted).select(["text", "_distance"]).to_arrow()

    def recall(nprobes: int, refined: int) -> float:
        hits = 0
        for vector, bound in zip(vectors, least, strict=True):
            exact = encoder.encode(near(vector, _RANKS, nprobes, refined)["text"].to_pylist()) @ vector
            hits += min(_RANKS, int((exact >= bound - 1e-5).sum()))
        return hits / (_RANKS * _QUERIES)

    reached, nprobes, refined = 0.0, _PROBED[0], _REFINED[0]
    for nprobes, refined in ((cells, times) for cells in _PROBED for times in _REFINED):
        reached = recall(nprobes, refined)
        if reached >= _RECALL:
            break

    def both(query: str) -> None:
        near(encoder.encode([query])[0], _WANTED, nprobes, refined)
        table.search(query, query_type="fts").limit(_WANTED).select(["text", "_score"]).to_arrow()

    return {
        "seconds": round(seconds, 2),
        "documents_a_second": round(size / seconds),
        "peak_memory_mb": round(peak),
        "disk_mb": round(disk / 1e6, 1),
        "dense_ms": _timed(
            lambda query: near(encoder.encode([query])[0], _RANKS, nprobes, refined), asked
        ).to_dict(),
        "both_halves_ms": _timed(both, asked).to_dict(),
        "recall_at_100": round(reached, 4),
        "nprobes": nprobes,
        "refine_factor": refined,
    }


def _blocks(stream: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield the texts of documents, many at a time."""
    texts = (f"{one['title']} {one['text']}".strip() for one in stream)
    while block := list(islice(texts, _BATCH)):
        yield block


def _least(queries: FloatArray, encoder: StaticEncoder, size: int) -> FloatArray:
    """Return each question's similarity to the last of its exact nearest passages."""
    best = np.full((len(queries), _RANKS), -np.inf, dtype=np.float32)
    for texts in _blocks(documents(size)):
        joined = np.concatenate([best, queries @ encoder.encode(texts).T], axis=1)
        best = np.partition(joined, joined.shape[1] - _RANKS, axis=1)[:, -_RANKS:]
    least: FloatArray = best.min(axis=1)
    return least


def _timed(ask: Callable[[str], object], queries: Sequence[str]) -> Latency:
    times = []
    for query in queries:
        began = time.perf_counter()
        ask(query)
        times.append((time.perf_counter() - began) * 1e3)
    return Latency.of(times)
