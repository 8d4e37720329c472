import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from retriever import Retriever
from retriever.collection import Collection
from retriever.collection_lexical import CollectionLexical
from retriever.collection_vectors import CollectionVectors
from retriever.config import RetrieverConfig
from retriever.errors import (
    CollectionExistsError,
    CollectionLockedError,
    CollectionNotFoundError,
    CollectionVersionError,
    CorruptCollectionError,
    InvalidTypeError,
    RetrieverError,
    StorageFullError,
)
from retriever.store.format_version import FORMAT_VERSION
from tests.factories import CORPUS, OverlapReranker, tiny_encoder


def folder(tmp_path):
    return tmp_path / "collection"


def test_a_durable_collection_opens_with_everything(make, reopen, tmp_path):
    retriever = make(path=True)
    before = retriever.search("zebra", k=3)
    retriever.close()
    again = reopen(folder(tmp_path))
    assert again.collection.recovered == 0
    assert len(again) == len(CORPUS)
    assert again.search("zebra", k=3) == before


def test_a_folder_with_something_in_it_is_not_overwritten(make, tmp_path):
    (tmp_path / "collection").mkdir()
    (tmp_path / "collection" / "precious.txt").write_text("mine")
    with pytest.raises(CollectionExistsError, match="not empty"):
        make(path=True)
    assert (tmp_path / "collection" / "precious.txt").read_text() == "mine"


def test_there_is_no_collection(reopen, tmp_path):
    with pytest.raises(CollectionNotFoundError, match="make one with"):
        reopen(tmp_path)


def test_a_second_writer_is_told(make, reopen, tmp_path):
    make(path=True)
    second = reopen(folder(tmp_path))
    assert second.search("zebra", k=1)[0].id == "zebra"
    with pytest.raises(CollectionLockedError, match="another process is writing"):
        second.add([("new", "green")])


@pytest.mark.parametrize("lost", ["vectors.json", "lexical.json"])
def test_an_index_that_is_behind_is_replayed(make, reopen, tmp_path, lost):
    make(path=True).close()
    (folder(tmp_path) / lost).unlink()
    again = reopen(folder(tmp_path))
    assert again.collection.recovered == len(CORPUS)
    assert again.search("zebra", k=1)[0].id == "zebra"
    assert len(again.search("the", k=10)) == len(CORPUS)
    again.close()
    assert reopen(folder(tmp_path)).collection.recovered == 0


def test_a_failure_between_store_and_index_is_made_good(make, monkeypatch):
    retriever = make()

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(retriever.collection.vectors, "add", fail)
        with pytest.raises(MemoryError):
            retriever.add([("new", "green")])
    assert retriever.search("green", k=1)[0].id == "new"
    assert len(retriever.search("green", k=100)) == len(CORPUS) + 1


def test_truncated_vectors_are_noticed(make, reopen, tmp_path):
    make(path=True).close()
    (vectors,) = folder(tmp_path).glob("vectors-*.faiss")
    content = vectors.read_bytes()
    vectors.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptCollectionError, match=r"truncated or damaged; .*retriever rebuild"):
        reopen(folder(tmp_path))
    rebuilt = Retriever.rebuild(folder(tmp_path), encoder=tiny_encoder(), reranker=OverlapReranker())
    assert rebuilt.search("zebra", k=1)[0].id == "zebra"
    rebuilt.close()
    assert reopen(folder(tmp_path)).collection.recovered == 0


def test_a_flipped_bit_is_noticed(make, reopen, tmp_path):
    make(path=True).close()
    (vectors,) = folder(tmp_path).glob("vectors-*.faiss")
    content = bytearray(vectors.read_bytes())
    content[-9] ^= 4
    vectors.write_bytes(content)
    with pytest.raises(CorruptCollectionError, match="truncated or damaged"):
        reopen(folder(tmp_path))


@pytest.mark.parametrize(("version", "remedy"), [(99, "upgrade"), (2, "index the documents again")])
def test_a_collection_of_another_version_is_refused(make, reopen, tmp_path, version, remedy):
    make(path=True).close()
    manifest = folder(tmp_path) / "collection.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": version}))
    with pytest.raises(CollectionVersionError, match=f"format {version}.*{remedy}"):
        reopen(folder(tmp_path))


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", f'{{"format": {FORMAT_VERSION}, "config": {{"depht": 3}}, "encoder": "x"}}']
)
def test_a_damaged_manifest_is_named(make, reopen, tmp_path, content):
    make(path=True).close()
    (folder(tmp_path) / "collection.json").write_text(content)
    with pytest.raises(CorruptCollectionError, match="collection.json is damaged"):
        reopen(folder(tmp_path))


@pytest.mark.parametrize("content", ["{", "{}", None], ids=["cut", "empty", "missing"])
def test_what_a_collection_was_built_with_is_made_again_once_its_encoder_is_named(make, tmp_path, content):
    make(path=True).close()
    manifest = folder(tmp_path) / "collection.json"
    if content is None:
        manifest.unlink()
    else:
        manifest.write_text(content)
    with pytest.raises(CorruptCollectionError, match="collection.json is .*retriever rebuild .* --encoder"):
        Retriever.rebuild(folder(tmp_path), reranker=OverlapReranker())
    with Retriever.rebuild(folder(tmp_path), encoder=tiny_encoder(), reranker=OverlapReranker()) as rebuilt:
        assert rebuilt.search("zebra", k=1)[0].id == "zebra"
        assert rebuilt.config == RetrieverConfig()


def test_a_damaged_database_is_named(make, reopen, tmp_path):
    make(path=True).close()
    (folder(tmp_path) / "documents.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(CorruptCollectionError, match=r"documents.sqlite is truncated or damaged"):
        reopen(folder(tmp_path))


@pytest.mark.parametrize("path", [True, None])
@pytest.mark.parametrize(
    "docs",
    [
        [("big", "green " * 100_000)],
        [("zebra", "cat green"), *((f"new {i}", "zebra " * (1 + i % 7)) for i in range(2500))],
    ],
    ids=["one large document", "many, which the indexes take in meanwhile"],
)
def test_a_full_disk_leaves_the_collection_as_it_was(make, docs, path):
    retriever = make(path=path)
    database = retriever.collection.store._database._writer
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages + 2}")
    before = [retriever.search(query) for query in ("zebra", "green cat")]
    with pytest.raises(StorageFullError, match="is full; the change was not made"):
        retriever.upsert(docs)
    assert docs[-1][0] not in retriever
    assert len(retriever) == len(CORPUS)
    assert [retriever.search(query) for query in ("zebra", "green cat")] == before
    database.execute("PRAGMA max_page_count = 100000")
    retriever.upsert(docs)
    assert docs[-1][0] in retriever
    assert len(retriever.search("zebra cat", k=2000)) == min(2000, len(retriever))


def test_an_index_that_fails_is_made_good_from_the_store(make, monkeypatch):
    retriever = make(path=True)
    index = retriever.collection.vectors
    with monkeypatch.context() as patch:
        patch.setattr(type(index), "add", _out_of_memory)
        with pytest.raises(MemoryError):
            retriever.add((f"new {i}", "zebra green") for i in range(1500))
    assert "new 1" in retriever
    assert len(retriever.search("zebra green", k=1400)) == 1400
    assert len(retriever.collection.vectors) == len(retriever)


def _out_of_memory(*_: object) -> None:
    raise MemoryError


def test_an_interrupted_build_keeps_what_was_committed(reopen, tmp_path):
    path = folder(tmp_path)
    program = textwrap.dedent(
        """
        import itertools, sys
        from retriever import Retriever
        from tests.factories import tiny_encoder
        docs = ((str(i), f"cat number {i} zebra") for i in itertools.count())
        tell = lambda done, total: print(done, flush=True)
        Retriever.from_corpus(docs, path=sys.argv[1], encoder=tiny_encoder(), progress=tell)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    committed = [int(process.stdout.readline()) for _ in range(3)][-1]
    time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = reopen(path)
    assert len(again) >= committed
    assert again.collection.recovered == len(again)
    assert len(again.search("zebra", k=len(again), rerank=False)) == len(again)
    again.add([("after", "still writable")])
    assert "after" in again


def test_persisting_drops_old_vector_files(make, tmp_path):
    retriever = make(path=True)
    retriever.add([("new", "green")])
    retriever.collection.persist()
    assert len(list(folder(tmp_path).glob("vectors-*"))) == 1


def test_a_collection_is_made_only_once_it_has_a_manifest(tmp_path):
    with pytest.raises(CollectionNotFoundError):
        Collection.open(tmp_path / "nowhere", lambda config: pytest.fail("not asked"))


@pytest.mark.parametrize("half", [CollectionVectors, CollectionLexical])
def test_a_large_change_that_half_of_the_indexes_missed_is_made_good(make, monkeypatch, half):
    retriever = make(path=True)
    documents = [(f"cat{number}", f"cat number {number}") for number in range(2000)]
    with monkeypatch.context() as patch:
        patch.setattr(half, "apply", lambda *_: (_ for _ in ()).throw(MemoryError("no room")))
        with pytest.raises(MemoryError, match="no room"):
            retriever.add(documents)
    assert len(retriever) == len(CORPUS) + len(documents)  # the store had it before
    collection = retriever.collection
    assert retriever.search("cat number 1234", k=1)[0].id == "cat1234"
    assert len(collection.vectors) == len(collection.lexical) == len(retriever)


def test_what_was_read_before_an_error_is_kept(reopen, tmp_path):
    def documents():
        yield from [("one", "a cat"), ("two", "a zebra")]
        yield ("three", 3)

    with pytest.raises(InvalidTypeError, match="document 2"):
        Retriever.from_corpus(documents(), path=folder(tmp_path), encoder=tiny_encoder())
    assert {document.id for document in reopen(folder(tmp_path))} == {"one", "two"}


def test_a_collection_is_where_it_was_opened_wherever_the_process_goes(make, monkeypatch, tmp_path):
    make(path=True).close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Retriever.open("collection", encoder=tiny_encoder(), reranker=OverlapReranker()) as opened:
        monkeypatch.chdir(tmp_path / "elsewhere")
        opened.upsert([("new", "green")])
    assert not any((tmp_path / "elsewhere").iterdir())
    with Retriever.open(folder(tmp_path), encoder=tiny_encoder(), reranker=OverlapReranker()) as again:
        assert "new" in again


def test_threads_that_write_first_at_once_are_one_writer(make, reopen, tmp_path):
    make(path=True).close()
    opened, start, failures = reopen(folder(tmp_path)), threading.Barrier(4), []

    def write(number):
        start.wait()
        try:
            opened.upsert([(f"new {number}", "green")])
        except RetrieverError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(opened) == len(CORPUS) + 4


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_threads_that_are_gone_leave_no_open_files(make):
    retriever = make(path=True)
    counts = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: retriever.search("zebra", k=1))
        thread.start()
        thread.join()
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[-1] <= counts[1]
