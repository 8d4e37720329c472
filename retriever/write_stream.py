"""Writing a stream in parallel stages: one batch is read while another is encoded and a third is written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from retriever.bulk_loading import bulk_loading
from retriever.preparation import Prepared, batches
from retriever.store.records import StoredDocument
from retriever.types import WriteSummary

_AHEAD = 3  # batches read before the first of them is written; more would only take memory


def write_stream(
    docs: Iterable[StoredDocument],
    *,
    prepare: Callable[[Sequence[StoredDocument], Sequence[set[str]]], Prepared],
    write: Callable[[Prepared], WriteSummary],
    done: Callable[[int], None],
) -> WriteSummary:
    """Read in this thread, prepare in a second and write in a third.

    What was read before an error or Ctrl-C is still written; after a failure to write nothing more is.

    :param docs: may be larger than memory.
    :param prepare: splits and encodes a batch, told the ids in each of those that are not written yet.
    :param write: writes a batch, one transaction.
    :param done: told how many documents are written after each batch.
    :return: what was done.
    """
    waiting: deque[Future[WriteSummary]] = deque()
    summary = WriteSummary()
    stopped = threading.Event()
    unwritten: deque[set[str]] = deque()

    def prepare_next(batch: Sequence[StoredDocument]) -> Prepared:
        prepared = prepare(batch, [*unwritten])
        unwritten.append({document.id for document in prepared.documents})
        return prepared

    def write_when_ready(prepared: Future[Prepared]) -> WriteSummary:
        try:
            batch = prepared.result()
            summary = WriteSummary() if stopped.is_set() else write(batch)
            unwritten.popleft()
            return summary
        except BaseException:
            stopped.set()
            raise

    def take() -> None:
        nonlocal summary
        # It leaves the queue when it is counted: Ctrl-C may come while it is waited for.
        summary += waiting[0].result()
        waiting.popleft()
        done(summary.total)

    with ExitStack() as lasting:
        preparing, writing = (lasting.enter_context(ThreadPoolExecutor(1)) for _ in range(2))
        try:
            for number, batch in enumerate(batches(docs)):
                if number == 1:  # a single batch is too little to change anything for
                    lasting.enter_context(bulk_loading())
                waiting.append(writing.submit(write_when_ready, preparing.submit(prepare_next, batch)))
                if len(waiting) > _AHEAD:
                    take()
        finally:
            while waiting:
                try:
                    take()
                except BaseException:
                    stopped.set()
                    raise
    return summary
