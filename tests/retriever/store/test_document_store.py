import sqlite3

import numpy as np
import pytest

from retriever.errors import ClosedError, CollectionVersionError, CorruptCollectionError
from retriever.store.content_id import content_digest
from retriever.store.document_store import DocumentStore
from retriever.store.records import StoredDocument


def doc(id, text="some text", spans=None):
    digest = content_digest("title", text, '{"n": 1}')
    return StoredDocument(id, "title", text, '{"n": 1}', digest, tuple(spans or [(0, len(text))]))


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    made = DocumentStore(None if request.param == "memory" else tmp_path / "documents.sqlite")
    yield made
    made.close()


def test_sequence_numbers_and_passage_ids_only_grow(store):
    first = store.apply(insert=[doc("a"), doc("b", spans=[(0, 4), (5, 9)])])
    assert (first.seq, first.added.tolist()) == (1, [1, 2, 3])
    second = store.apply(remove=["b"])
    assert (second.seq, second.removed.tolist()) == (2, [2, 3])
    third = store.apply(insert=[doc("c")])
    assert third.added.tolist() == [4]
    assert store.seq == 3
    assert (store.count_documents(), store.count_passages()) == (2, 2)


def test_a_replaced_document_keeps_its_place(store):
    store.apply(insert=[doc("a"), doc("b")])
    change = store.apply(insert=[doc("a", "new text")], remove=["a"])
    assert (change.added.tolist(), change.removed.tolist()) == ([3], [1])
    assert [row[0] for row in store.rows()] == ["a", "b"]
    assert store.get("a") == ("title", "new text", '{"n": 1}')


def test_history_is_what_an_index_has_to_replay(store):
    store.apply(insert=[doc("a"), doc("b")])
    store.apply(insert=[doc("c", "one two", [(0, 3), (4, 7)])], remove=["a"])
    assert [p.pid for batch in store.passages_since(0, batch=2) for p in batch] == [2, 3, 4]
    assert [(p.text, p.start, p.stop) for batch in store.passages_since(1, batch=9) for p in batch] == [
        ("one", 0, 3),
        ("two", 4, 7),
    ]
    assert store.removed_since(0).tolist() == [1]
    assert store.removed_since(2).tolist() == []


def test_a_failed_change_leaves_nothing(store):
    store.apply(insert=[doc("a")])
    with pytest.raises(CorruptCollectionError):
        store.apply(insert=[doc("b"), doc("a")])
    assert store.seq == 1
    assert store.count_documents() == 1
    assert store.digests(["a", "b"]) == {"a": doc("a").digest}


def test_removing_what_is_not_there(store):
    assert store.apply(remove=["nobody"]).removed.tolist() == []


def test_lookups_of_any_length(store):
    store.apply(insert=[doc(str(i)) for i in range(25_000)])
    assert len(store.documents(list(range(1, 25_001)))) == 25_000
    assert store.passages.rows_of(np.arange(0, 25_002)).tolist() == [-1, *range(1, 25_001), -1]
    assert len(store.digests([str(i) for i in range(30_000)])) == 25_000
    sample = store.sample(100, seed=3)
    assert len(sample) == 100 and sample.tolist() == store.sample(100, seed=3).tolist()


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(ClosedError):
        store.get("a")
    with pytest.raises(ClosedError):
        store.apply(insert=[doc("a")])


def test_a_newer_database_is_refused(tmp_path):
    path = tmp_path / "documents.sqlite"
    DocumentStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CollectionVersionError, match="has format 99"):
        DocumentStore(path)


def test_passages_are_read_from_documents_that_are_larger_together_than_a_value_may_be(store):
    long = doc("split", "one two " * 300, [(0, 7), (8, 15)])
    store.apply(insert=[*(doc(str(number), f"{number} " * 300) for number in range(6)), long])
    with store._database.reading() as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 3000)
    pids = store.passages.pids
    texts = store.passage_texts(pids[::-1])
    assert texts[:2] == ["title one two", "title one two"]
    assert texts[2:] == [("title " + f"{number} " * 300).strip() for number in range(5, -1, -1)]
    store.apply(remove=["split"])
    assert store.passage_texts(pids[-2:]) == ["", ""]
