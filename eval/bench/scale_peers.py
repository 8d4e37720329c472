"""The same texts in the libraries people would otherwise put together: model2vec, FAISS and bm25s.

All that a hybrid search needs is built and kept: vectors in a flat FAISS index and its file, BM25 postings
and their files, and the texts, since results show them. `eval.bench.scale --peers` runs this in a process of
its own.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from eval.bench.first_stage_measures import latency, text_blocks
from eval.bench.varied_text import documents, questions
from retriever.encoder import StaticEncoder

_QUERIES = 200
_WANTED = 200  # candidates of each half, as many as our own default


def build_and_search(size: int, folder: Path) -> dict[str, Any]:
    """Build both indexes over `size` texts, write them, then ask both for each question.

    :param folder: where they are written; made if absent.
    :return: seconds, memory, disk and latency.
    """
    import bm25s
    import faiss
    import Stemmer  # type: ignore[import-not-found, unused-ignore]
    from model2vec import StaticModel

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as table:
        StaticEncoder.load().quantize("float32").save(table)
        model = StaticModel.from_pretrained(table)
    stream = documents(size)
    first = next(stream)  # reading and cutting the source is not what is measured, as in `eval.bench.scale`
    stemmer = Stemmer.Stemmer("english")

    def tokens(some: Sequence[str]) -> Any:
        return bm25s.tokenize(list(some), stopwords="en", stemmer=stemmer, show_progress=False)

    started = time.perf_counter()
    texts = list(chain.from_iterable(text_blocks(chain([first], stream))))
    vectors = np.ascontiguousarray(model.encode(texts), dtype=np.float32)
    faiss.normalize_L2(vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "vectors.faiss"))
    encoded = time.perf_counter() - started
    del vectors
    lexical = bm25s.BM25()
    lexical.index(tokens(texts), show_progress=False)
    lexical.save(str(folder / "bm25"))
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    wanted = min(_WANTED, size)

    def both(query: str) -> None:
        asked = np.ascontiguousarray(model.encode([query]), dtype=np.float32)
        faiss.normalize_L2(asked)
        index.search(asked, wanted)
        lexical.retrieve(tokens([query]), k=wanted, show_progress=False)

    return {
        "seconds": round(seconds, 2),
        "seconds_dense": round(encoded, 2),
        "documents_a_second": round(size / seconds),
        "peak_memory_mb": round(peak),
        "disk_mb": round(disk / 1e6, 1),
        "both_halves_ms": latency(both, questions(_QUERIES)),
    }
