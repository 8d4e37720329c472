"""Searching while documents change: `python -m eval.bench.upserts`.

Eight threads search a collection, first by themselves and then beside a writer that upserts so many documents
a second in small transactions; once as fast as they can, once with pauses that leave the processors some
room. Every answer is looked at: a document's title, text and metadata must be of one version, no document may
come twice, and a change that was reported done must be found.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from eval.bench.varied_text import documents, questions
from eval.cli.console import out, write_json
from eval.environment import environment
from eval.evaluation import Latency
from retriever import Retriever, RetrieverConfig
from retriever.errors import RetrieverError
from retriever.types import Document, SearchResult

READERS = 8
ASKED_AGAIN = 0.1  # share of searches that look for a document just changed
VERSION = re.compile(r"\bv(\d+)$")


@dataclass
class Seen:
    """What readers saw and how long the writer's transactions took, in milliseconds."""

    latencies: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    written: list[float] = field(default_factory=list)


class Changes:
    """Documents, what becomes of them, and what each was last reported to be.

    :param texts: what they are made from; a document's number is its place.
    """

    def __init__(self, texts: Sequence[dict[str, Any]]) -> None:
        self._texts = texts
        self._drawn = random.Random(0)
        self._version = 0
        self._done: dict[str, int] = {}
        self._latest: deque[str] = deque(maxlen=1000)

    def original(self, number: int) -> Document:
        """Return a document as it was at the start."""
        return self._document(number, 0)

    def batch(self, size: int) -> list[Document]:
        """Return drawn documents, no two the same, in their next version; versions only grow."""
        self._version += 1
        return [
            self._document(number, self._version)
            for number in self._drawn.sample(range(len(self._texts)), size)
        ]

    def report(self, written: Sequence[Document]) -> None:
        """Take note of documents that were reported to be written."""
        self._done |= {document.id: document.metadata["version"] for document in written}
        self._latest.extend(document.id for document in written)

    def draw(self, rng: random.Random) -> tuple[str, int] | None:
        """Return one of the last documents changed, and its version; None before the first change."""
        try:
            id = self._latest[rng.randrange(len(self._latest))]
        except (IndexError, ValueError):  # none yet
            return None
        return id, self._done[id]

    def _document(self, number: int, version: int) -> Document:
        """Text, title and metadata all say which version it is."""
        one = self._texts[number]
        return Document(
            id=one["id"],
            title=f"{one['title']} v{version}",
            text=f"mark{one['id']} {one['text']} v{version}",
            metadata={**one["metadata"], "version": version},
        )


def wrong_with(results: list[SearchResult]) -> str | None:
    """Return what is wrong with an answer; None if it is whole.

    :param results: of one search.
    """
    if len({result.id for result in results}) != len(results):
        return "a document twice"
    for result in results:
        said = [VERSION.search(text) for text in (result.title, result.text)]
        versions = {match and int(match.group(1)) for match in said} | {result.metadata.get("version")}
        if len(versions) != 1:
            return "two versions in one document"
        start, stop = result.span
        if result.text[start:stop] != result.passage:
            return "a passage that is not in its text"
    return None


def _found(results: list[SearchResult], id: str, version: int) -> bool:
    """Whether a document is among the results, at least in this version."""
    return any(result.id == id and result.metadata["version"] >= version for result in results)


@dataclass(frozen=True)
class Run:
    """One measurement: readers, with or without a writer.

    :param retriever: asked and written to.
    :param asked: questions of the readers.
    :param changes: what the writer changes.
    :param pause: seconds between two searches of a reader.
    """

    retriever: Retriever
    asked: list[str]
    changes: Changes
    pause: float

    def measure(self, seconds: float, rate: int, batch: int) -> dict[str, Any]:
        """Let the readers search for so long, beside a writer if there is a rate.

        :param rate: upserts a second; 0 for none.
        :param batch: documents a transaction.
        """
        stop, seen = threading.Event(), Seen()
        work = [threading.Thread(target=self._read, args=(stop, seen, seed)) for seed in range(READERS)]
        if rate:
            work.append(threading.Thread(target=self._write, args=(stop, seen, rate, batch)))
        began = time.perf_counter()
        for thread in work:
            thread.start()
        time.sleep(seconds)
        stop.set()
        for thread in work:
            thread.join()
        lasted = time.perf_counter() - began
        p50, p95, p99 = np.percentile(seen.latencies, [50, 95, 99]).round(2).tolist()
        result = {
            "searches": len(seen.latencies),
            "searches_a_second": round(len(seen.latencies) / lasted, 1),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "wrong": dict(seen.wrong),
        }
        if rate:
            result["upserts_a_second"] = round(len(seen.written) * batch / lasted, 1)
            result["transaction_ms"] = Latency.of(seen.written).to_dict()
        return result

    def _read(self, stop: threading.Event, seen: Seen, seed: int) -> None:
        """Search and look at every answer; now and then look for a document that was just changed."""
        rng = random.Random(seed)
        while not stop.wait(self.pause):
            changed = self.changes.draw(rng) if rng.random() < ASKED_AGAIN else None
            query = f"mark{changed[0]}" if changed else rng.choice(self.asked)
            started = time.perf_counter()
            try:
                results = self.retriever.search(query, rerank=False)
            except RetrieverError as error:
                seen.wrong[f"error: {error}"] += 1
                continue
            seen.latencies.append((time.perf_counter() - started) * 1e3)
            wrong = wrong_with(results)
            if wrong is None and changed and not _found(results, *changed):
                wrong = "a change that was done is not found"
            if wrong is not None:
                seen.wrong[wrong] += 1

    def _write(self, stop: threading.Event, seen: Seen, rate: int, batch: int) -> None:
        """Upsert batches at a steady rate, late ones at once."""
        began = time.perf_counter()
        for number in itertools.count():
            if stop.wait(max(0.0, began + number * batch / rate - time.perf_counter())):
                return
            changed = self.changes.batch(batch)
            started = time.perf_counter()
            try:
                self.retriever.upsert(changed)
            except RetrieverError as error:
                seen.wrong[f"error: {error}"] += 1
                continue
            seen.written.append((time.perf_counter() - started) * 1e3)
            self.changes.report(changed)


def main(
    size: Annotated[int, typer.Option(help="Documents in the collection.")] = 100_000,
    rate: Annotated[int, typer.Option(help="Upserts a second.")] = 1000,
    batch: Annotated[int, typer.Option(help="Documents a transaction.")] = 20,
    seconds: Annotated[float, typer.Option(help="Of each measurement.")] = 30.0,
    pause_ms: Annotated[float, typer.Option(help="Between two searches of a reader that rests.")] = 200.0,
    out_file: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
) -> None:
    """Measure searches with and without a writer, in turn."""
    result: dict[str, Any] = {"command": " ".join(["python -m eval.bench.upserts", *sys.argv[1:]])}
    result |= {"documents": size, "readers": READERS, "rate": rate, "batch": batch}
    changes = Changes(list(documents(size)))
    asked = questions(500)
    with tempfile.TemporaryDirectory() as folder:
        started = (changes.original(number) for number in range(size))
        config = RetrieverConfig(reranker=None)
        with Retriever.from_corpus(started, path=Path(folder) / "collection", config=config) as retriever:
            for query in asked[:50]:
                retriever.search(query, rerank=False)
            for name, pause in (("resting", pause_ms / 1e3), ("full_load", 0.0)):
                run = Run(retriever, asked, changes, pause)
                quiet = run.measure(seconds, 0, batch)
                writing = run.measure(seconds, rate, batch)
                ratio = round(writing["p99_ms"] / quiet["p99_ms"], 2)
                result[name] = {"quiet": quiet, "writing": writing, "p99_ratio": ratio}
    result["environment"] = environment()
    if out_file is not None:
        write_json(out_file, result)
    out.print_json(data=result)


if __name__ == "__main__":
    typer.run(main)
