"""The same texts in LanceDB, with our vectors: what a store of its own kind takes for the same hybrid search.

Texts and vectors in one table, an IVF-PQ index over the vectors and a stemmed full-text index, each with its
defaults. `eval.bench.scale --peers` runs this in a process of its own.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.bench.first_stage_measures import RANKS, latency, least_similarities, recall, text_blocks
from eval.bench.varied_text import documents, questions
from retriever.encoder import StaticEncoder

FloatArray = NDArray[np.float32]

_QUERIES = 200
_WANTED = 200  # candidates of each half, as many as our own default
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
    least = least_similarities(encoder, vectors, size)
    stream = documents(size)
    first = next(stream)  # reading and cutting the source is not what is measured, as in `eval.bench.scale`

    def batches() -> Iterator[Any]:
        for texts in text_blocks(chain([first], stream)):
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

    def texts(nprobes: int, refined: int, vector: FloatArray) -> Any:
        return near(vector, RANKS, nprobes, refined)["text"].to_pylist()

    reached, nprobes, refined = 0.0, _PROBED[0], _REFINED[0]
    for nprobes, refined in ((cells, times) for cells in _PROBED for times in _REFINED):
        reached = recall(encoder, vectors, least, partial(texts, nprobes, refined))
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
        "dense_ms": latency(lambda query: near(encoder.encode([query])[0], RANKS, nprobes, refined), asked),
        "both_halves_ms": latency(both, asked),
        "recall_at_100": reached,
        "nprobes": nprobes,
        "refine_factor": refined,
    }
