"""What HTTP costs: `python -m eval.bench.serve`.

A server process with one worker, and clients in this process on the same processors:

1. one client, its requests and in-process calls in turn: the cost of HTTP by itself;
2. 32 clients as fast as they can, beside 32 threads calling in-process: throughput under full load;
3. 32 clients at a steady rate that leaves the processors some room: what a client of a healthy server sees.

No reranking: the cross-encoder takes as long over HTTP as it does without.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eval.datasets import load_beir
from eval.environment import environment
from retriever import Retriever, RetrieverConfig

_ROOM = 0.4  # share of the full-load throughput that the steady rate asks for
_K = 10


@dataclass
class Tally:
    """What clients saw: latencies in milliseconds, statuses, and requests that got no answer."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return counts, percentiles and the rate."""
        p50, p95, p99 = np.percentile(self.latencies or [0.0], [50, 95, 99]).round(2).tolist()
        return {
            "requests": sum(self.statuses.values()) + self.lost,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "lost": self.lost,
            "a_second": round(sum(self.statuses.values()) / seconds, 1),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
        }


class Client:
    """A keep-alive HTTP/1.1 connection that costs next to nothing, so that the server is what is measured.

    :param port: the server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def search(self, query: str, tally: Tally) -> None:
        """Ask, read the whole answer, and note both."""
        started = time.perf_counter()
        try:
            status = await self._ask(query)
        except (OSError, asyncio.IncompleteReadError):
            tally.lost += 1
            self._streams = None
            return
        tally.statuses[status] += 1
        if status == 200:
            tally.latencies.append((time.perf_counter() - started) * 1e3)

    async def _ask(self, query: str) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        body = json.dumps({"query": query, "k": _K, "rerank": False}).encode()
        writer.write(
            b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        await reader.readexactly(length)
        return int(head.split(b" ", 2)[1])


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a server process; yield its port and process id."""
    command = [sys.executable, "-c", "from retriever.cli.main import main; main()", "serve", str(folder)]
    options = ["--port", "0", "--no-rerank", "--log-level", "warning"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            stderr = process.stderr
            line = next((line for line in stderr or () if line.startswith("serving at ")), None)
            if line is None:
                raise SystemExit("the server did not start")
            threading.Thread(target=lambda: list(stderr or ()), daemon=True).start()
            yield int(line.split()[2].rsplit(":", 1)[1]), process.pid
        finally:
            process.terminate()


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB; NaN where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float("nan")
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


async def in_turn(port: int, retriever: Retriever, queries: list[str]) -> dict[str, Any]:
    """Ask each query over HTTP and in-process, the order of the two drawn anew each time."""
    client, over_http, direct = Client(port), Tally(), Tally()
    drawn = random.Random(0)

    def call(query: str) -> None:
        started = time.perf_counter()
        retriever.search(query, k=_K, rerank=False)
        direct.latencies.append((time.perf_counter() - started) * 1e3)

    for query in queries:
        http_first = drawn.random() < 0.5
        if not http_first:
            call(query)
        await client.search(query, over_http)
        if http_first:
            call(query)
    http_p50, direct_p50 = (float(np.median(tally.latencies)) for tally in (over_http, direct))
    return {
        "queries": len(queries),
        "statuses": {str(status): count for status, count in over_http.statuses.items()},
        "http_p50_ms": round(http_p50, 2),
        "in_process_p50_ms": round(direct_p50, 2),
        "difference_ms": round(http_p50 - direct_p50, 2),
    }


async def load(
    port: int, pid: int, queries: list[str], *, clients: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    """Let clients ask for a time, each as fast as it can or all together at a steady rate."""
    tally, memory, begin = Tally(), list[float](), time.perf_counter()

    async def one(number: int) -> None:
        client, drawn = Client(port), random.Random(number)
        pause = 0.0 if rate is None else clients / rate
        due = begin + drawn.random() * pause
        while (now := time.perf_counter()) < begin + seconds:
            if due > now:
                await asyncio.sleep(due - now)
            await client.search(drawn.choice(queries), tally)
            due = max(due + pause, time.perf_counter()) if rate is not None else 0.0

    async def watch() -> None:
        while time.perf_counter() < begin + seconds:
            await asyncio.sleep(seconds / 10)
            memory.append(resident_mb(pid))

    await asyncio.gather(watch(), *(one(number) for number in range(clients)))
    summary = tally.summary(time.perf_counter() - begin)
    return summary | {"clients": clients, "seconds": seconds, "server_memory_mb": memory}


def threads_in_process(
    retriever: Retriever, queries: list[str], threads: int, seconds: float
) -> dict[str, Any]:
    """Let threads call in-process as fast as they can: what full load is without HTTP."""
    tally, begin = Tally(), time.perf_counter()

    def one(number: int) -> None:
        drawn = random.Random(number)
        while time.perf_counter() < begin + seconds:
            started = time.perf_counter()
            retriever.search(drawn.choice(queries), k=_K, rerank=False)
            tally.latencies.append((time.perf_counter() - started) * 1e3)

    running = [threading.Thread(target=one, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    tally.statuses[200] = len(tally.latencies)
    return tally.summary(time.perf_counter() - begin) | {"threads": threads}


def measure(dataset: Path, *, clients: int, seconds: float, pairs: int) -> dict[str, Any]:
    """Run all three parts.

    :param dataset: BEIR folder whose corpus is served and whose queries are asked.
    :param clients: how many at once.
    :param seconds: how long full load lasts; the other loads last a third of it.
    :param pairs: queries asked in turn by one client.
    :return: plain JSON-ready figures.
    """
    judged = load_beir(dataset)
    if judged.documents is None:
        raise SystemExit(f"{dataset} has no corpus")
    queries = list(judged.queries.values())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bench"
        Retriever.from_corpus(judged.documents, path=folder, config=RetrieverConfig(reranker=None)).close()
        with Retriever.open(folder) as retriever, served(folder) as (port, pid):
            warm = [queries[i % len(queries)] for i in range(200)]
            asyncio.run(in_turn(port, retriever, warm))
            asked = [queries[i % len(queries)] for i in range(pairs)]
            one = asyncio.run(in_turn(port, retriever, asked))
            full = asyncio.run(load(port, pid, queries, clients=clients, seconds=seconds, rate=None))
            direct = threads_in_process(retriever, queries, clients, seconds / 3)
            rate = full["a_second"] * _ROOM
            steady = asyncio.run(load(port, pid, queries, clients=clients, seconds=seconds / 3, rate=rate))
            documents = len(retriever)
    return {
        "command": f"python -m eval.bench.serve {dataset.name} --clients {clients} --seconds {seconds:g} "
        f"--pairs {pairs}",
        "environment": environment(),
        "documents": documents,
        "one_client_in_turn": one,
        "full_load": full,
        "full_load_in_process": direct,
        "steady_load": steady | {"asked_a_second": round(rate, 1)},
    }


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path, help="BEIR folder whose corpus is served")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    figures = measure(
        arguments.dataset, clients=arguments.clients, seconds=arguments.seconds, pairs=arguments.pairs
    )
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
