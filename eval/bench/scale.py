"""How a collection behaves as it grows: build time, memory, disk, latency, recall.

python -m eval.bench.scale --sizes 10000 100000 1000000 --peers --out eval/results/scale.json
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from eval.bench import scale_lancedb, scale_peers
from eval.bench.first_stage_measures import RANKS, latency, least_similarities, recall
from eval.bench.varied_text import documents, questions
from eval.environment import environment
from eval.evaluation import Latency
from retriever import Retriever, RetrieverConfig
from retriever.encoder import StaticEncoder

_QUERIES = 200
_RECALL_QUERIES = 100
_CLIENTS = 16
_FILTERS: dict[str, dict[str, Any]] = {
    "50 %": {"half": 1},
    "1 %": {"percent": 7},
    "0.01 %": {"rare": 77},
}


def main() -> None:
    """Measure each size in a process of its own, so that peak memory is that of the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, default=None, help="where collections are written")
    parser.add_argument("--out", type=Path, default=Path("eval/results/scale.json"))
    parser.add_argument("--index", default="auto", help="vector index, as in RetrieverConfig")
    parser.add_argument(
        "--peers",
        action="store_true",
        help="build the same from model2vec, FAISS and bm25s, and in LanceDB, too, in turn",
    )
    parser.add_argument("--part", choices=[*_PARTS, *_PEERS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is not None:
        parts = _PARTS | _PEERS
        print(json.dumps(parts[arguments.part](arguments.sizes[0], arguments.folder, arguments.index)))
        return
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="scale-"))
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"sizes": {}}
    results["environment"] = environment()
    for size in arguments.sizes:
        measured: dict[str, Any] = {"index": arguments.index}
        for part in [*_PARTS, *(_PEERS if arguments.peers else ())]:
            measured[part] = _in_process(part, size, folder / str(size), arguments.index)
            print(json.dumps({size: measured[part]}, indent=1), flush=True)
        results["sizes"][str(size)] = measured
        shutil.rmtree(folder / str(size), ignore_errors=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n")
    if arguments.folder is None:
        shutil.rmtree(folder, ignore_errors=True)


def _in_process(part: str, size: int, folder: Path, index: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "eval.bench.scale", "--part", part, "--sizes", str(size)]
    command += ["--folder", str(folder), "--index", index]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _build(size: int, folder: Path, index: str) -> dict[str, Any]:
    """Load a stream of documents into a durable hybrid collection."""
    encoder = StaticEncoder.load()
    encoder.compile()
    stream = documents(size)
    first = next(stream)  # reading and cutting the source is not what is measured
    started = time.perf_counter()
    with Retriever.from_corpus(
        chain([first], stream),
        path=folder,
        config=RetrieverConfig.model_validate({"index": index, "reranker": None}),
        encoder=encoder,
    ) as retriever:
        searchable = time.perf_counter() - started
        count = len(retriever)
    closed = time.perf_counter() - started
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "documents": count,
        "seconds": round(searchable, 2),
        "seconds_closed": round(closed, 2),
        "documents_a_second": round(count / searchable),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "disk_mb": round(disk / 1e6, 1),
        "disk_bytes_a_passage": round(disk / count),
    }


def _peers(size: int, folder: Path, index: str) -> dict[str, Any]:
    """What others need for the same texts; the kind of index is theirs."""
    return scale_peers.build_and_search(size, folder / "peers")


def _lancedb(size: int, folder: Path, index: str) -> dict[str, Any]:
    """What LanceDB needs for the same texts and vectors; the kind of index is its own."""
    return scale_lancedb.build_and_search(size, folder / "lancedb")


def _search(size: int, folder: Path, index: str) -> dict[str, Any]:
    """Open the collection and ask it."""
    started = time.perf_counter()
    with Retriever.open(folder, encoder=StaticEncoder.load()) as retriever:
        opened = time.perf_counter() - started
        asked = questions(_QUERIES)
        for query in asked[:20]:
            retriever.search(query, rerank=False)
        collection = retriever.collection
        vectors = collection.vectors
        if vectors is None:
            raise SystemExit("the collection has no vectors")

        def dense(query: str) -> None:
            vectors.search(collection.encoder.encode([query]), RANKS)

        result: dict[str, Any] = {
            "info": retriever.info().to_dict(),
            "open_seconds": round(opened, 2),
            "hybrid_ms": latency(lambda query: retriever.search(query, rerank=False), asked),
            "dense_ms": latency(dense, asked),
            f"hybrid_ms_{_CLIENTS}_clients": _concurrent(
                lambda query: retriever.search(query, rerank=False), asked
            ),
            "filtered_ms": {},
        }
        for name, filter in _FILTERS.items():
            result["filtered_ms"][name] = _filtered(retriever, asked, filter)
        result["recall_at_100"] = _recall(retriever, asked[:_RECALL_QUERIES], size)
        result["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return result


def _concurrent(ask: Callable[[str], object], queries: Sequence[str]) -> dict[str, float]:
    """Let clients ask at the same time, each its share of the questions."""
    times: list[float] = []
    began = time.perf_counter()

    def client(number: int) -> None:
        for query in queries[number::_CLIENTS]:
            started = time.perf_counter()
            ask(query)
            times.append((time.perf_counter() - started) * 1e3)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        **Latency.of(times).to_dict(),
        "queries_a_second": round(len(times) / (time.perf_counter() - began), 1),
    }


def _filtered(retriever: Retriever, queries: Sequence[str], filter: dict[str, Any]) -> dict[str, float]:
    """Ask under a filter: the first time, when it is not known yet, and then again and again."""
    started = time.perf_counter()
    found = retriever.search(queries[0], k=10, filter=filter, rerank=False)
    first = (time.perf_counter() - started) * 1e3
    times = latency(lambda query: retriever.search(query, k=10, filter=filter, rerank=False), queries)
    return {"first": round(first, 2), **times, "results": len(found)}


def _recall(retriever: Retriever, queries: Sequence[str], size: int) -> float:
    """Return recall@100 of the vector index against exact search over all texts at full width."""
    collection = retriever.collection
    encoder, vectors = collection.encoder, collection.vectors
    if vectors is None:
        return 0.0
    encoded = encoder.encode(list(queries))
    return recall(
        encoder,
        encoded,
        least_similarities(encoder, encoded, size),
        lambda query: collection.store.passage_texts(vectors.search(query[None], RANKS)[0][0]),
    )


Part = Callable[[int, Path, str], dict[str, Any]]
_PARTS: dict[str, Part] = {"build": _build, "search": _search}
_PEERS: dict[str, Part] = {"peers": _peers, "lancedb": _lancedb}


if __name__ == "__main__":
    main()
