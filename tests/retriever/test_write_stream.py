import threading
from concurrent.futures import Future

import numpy as np
import pytest

from retriever.preparation import BATCH, Prepared
from retriever.store.records import StoredDocument
from retriever.types import WriteSummary
from retriever.write_stream import write_stream


def documents(count):
    return (StoredDocument(str(i), "", "text", "{}", b"", ((0, 4),)) for i in range(count))


def prepared(batch, unwritten):
    return Prepared(list(batch), [], np.empty((0, 0), dtype=np.float32), len(batch))


def test_batches_are_written_in_order_and_counted():
    written, counts = [], []

    def write(batch):
        written.extend(document.id for document in batch.documents)
        return WriteSummary(added=batch.given)

    summary = write_stream(documents(2 * BATCH + 5), prepare=prepared, write=write, done=counts.append)
    assert summary == WriteSummary(added=2 * BATCH + 5)
    assert written == [str(i) for i in range(2 * BATCH + 5)]
    assert counts == [BATCH, 2 * BATCH, 2 * BATCH + 5]


def test_a_batch_that_is_waited_for_when_ctrl_c_comes_is_counted(monkeypatch):
    counts, waited = [], threading.Event()
    result = Future.result

    def interrupted(future, timeout=None):
        if threading.current_thread() is threading.main_thread() and not waited.is_set():
            waited.set()
            raise KeyboardInterrupt
        return result(future, timeout)

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_stream(
            documents(6 * BATCH),
            prepare=prepared,
            write=lambda batch: WriteSummary(added=batch.given),
            done=counts.append,
        )
    assert counts == [BATCH, 2 * BATCH, 3 * BATCH, 4 * BATCH]


@pytest.mark.parametrize("stage", ["prepare", "write"])
def test_after_a_failure_nothing_more_is_written(stage):
    written = []

    def failing(batch):
        if batch.documents[0].id == str(BATCH):
            raise OSError("full")
        return batch

    def write(batch):
        if stage == "write":
            failing(batch)
        written.append(batch.documents[0].id)
        return WriteSummary(added=batch.given)

    def prepare(batch, unwritten):
        made = prepared(batch, unwritten)
        return failing(made) if stage == "prepare" else made

    with pytest.raises(OSError, match="full"):
        write_stream(documents(8 * BATCH), prepare=prepare, write=write, done=lambda _: None)
    assert written == ["0"]


def test_preparing_knows_the_ids_that_are_not_written_yet():
    seen, may_write = [], threading.Event()

    def prepare(batch, unwritten):
        seen.append([min(map(int, ids)) for ids in unwritten])
        if len(seen) == 3:
            may_write.set()
        return prepared(batch, unwritten)

    def write(batch):
        may_write.wait(10)
        return WriteSummary(added=batch.given)

    write_stream(documents(3 * BATCH), prepare=prepare, write=write, done=lambda count: None)
    assert seen == [[], [0], [0, BATCH]]
