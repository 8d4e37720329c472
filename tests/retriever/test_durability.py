"""Kills, damage and full recovery, with seeds; the benchmark does more of each."""

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from retriever import Retriever
from retriever.errors import CollectionError, CorruptCollectionError
from retriever.lexical.bm25_index import BM25Index
from tests.factories import CORPUS, OverlapReranker, tiny_encoder

PROGRAM = textwrap.dedent(
    """
    import random, sys
    from retriever import Retriever
    from tests.factories import OverlapReranker, tiny_encoder
    retriever = Retriever.open(sys.argv[1], encoder=tiny_encoder(), reranker=OverlapReranker())
    rng = random.Random(int(sys.argv[2]))
    print("ready", flush=True)
    while True:
        number, turn = rng.randrange(40), rng.random()
        if turn < 0.6:
            version = rng.randrange(1000)
            print("try", number, version, flush=True)
            retriever.upsert([{"id": f"n{number}", "text": f"zebra storm n{number} version {version}"}])
            print("done", number, version, flush=True)
        elif turn < 0.9:
            print("try", number, -1, flush=True)
            retriever.delete([f"n{number}"])
            print("done", number, -1, flush=True)
        else:
            retriever.compact()
    """
)


def opened(path):
    return Retriever.open(path, encoder=tiny_encoder(), reranker=OverlapReranker())


def test_a_kill_at_any_instant_loses_nothing_committed_and_shows_nothing_else(make, tmp_path):
    path = tmp_path / "collection"
    make(path=True).close()
    rng = random.Random(7)
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(turn)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(rng.randrange(2, 60)):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with opened(path) as again:
            # The store is the source of truth; both indexes have to agree with it.
            there = {doc.id: doc.text for doc in again}
            found = again.search("zebra storm version", k=100, rerank=False)
            assert {result.id: result.text for result in found} == there
            lexical = {
                r.id for r in again.search("version", k=100, rerank=False) if r.stages.lexical.score > 0
            }
            assert lexical == {id for id in there if id.startswith("n")}


def test_what_was_reported_as_done_is_there_after_a_kill(make, tmp_path):
    path = tmp_path / "collection"
    make(path=True).close()
    expected = {doc["id"]: doc["text"] for doc in CORPUS}
    rng = random.Random(11)
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(100 + turn)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randrange(3, 80))]
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        tried = None
        for line in lines:
            kind, *rest = line.split()
            if kind == "try" and len(rest) == 2:
                tried = (f"n{rest[0]}", int(rest[1]))
            elif kind == "done" and tried is not None:
                apply(expected, tried)
                tried = None
        with opened(path) as again:
            there = {doc.id: doc.text for doc in again}
        if there != expected and tried is not None:
            apply(expected, tried)  # the change that was under way may be there whole
        assert there == expected


def apply(expected, change):
    id, version = change
    if version < 0:
        expected.pop(id, None)
    else:
        expected[id] = f"zebra storm {id} version {version}"


@pytest.mark.parametrize("seed", range(30))
def test_damage_is_noticed_or_harmless(make, tmp_path, seed):
    path = tmp_path / "collection"
    retriever = make(path=True)
    wanted = [(r.id, r.text, round(r.score, 4)) for r in retriever.search("zebra over the sea", k=5)]
    retriever.close()
    rng = random.Random(seed)
    victim = rng.choice(sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size))
    content = bytearray(victim.read_bytes())
    if rng.random() < 0.3:
        del content[rng.randrange(len(content)) :]
    else:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    victim.write_bytes(content)
    try:
        again = opened(path)
    except CollectionError as error:
        noticed = str(error)
    else:
        noticed = ""
    if noticed:
        assert str(path) in noticed
        return
    with again:
        found = again.search("zebra over the sea", k=5)
        assert [(r.id, r.text, round(r.score, 4)) for r in found] == wanted


@pytest.mark.parametrize(
    "lost", ["documents.sqlite", "collection.json", "vectors-1.faiss", "lexical/meta.json"]
)
def test_a_half_copied_collection_is_refused_by_name(make, tmp_path, lost):
    make(path=True).close()
    shutil.copytree(tmp_path / "collection", tmp_path / "copy")
    (tmp_path / "copy" / lost).unlink()
    with pytest.raises(CollectionError, match=lost):
        opened(tmp_path / "copy")


def test_a_store_older_than_its_indexes_is_refused(make, tmp_path):
    path = tmp_path / "collection"
    make(path=True).close()
    shutil.copy(path / "documents.sqlite", tmp_path / "old")
    again = opened(path)
    again.add([("new", "green")])
    again.close()
    shutil.copy(tmp_path / "old", path / "documents.sqlite")
    (path / "seal.json").unlink()
    with pytest.raises(CorruptCollectionError, match=r"the copy is incomplete; .*rebuild"):
        opened(path)
    rebuilt = Retriever.rebuild(path, encoder=tiny_encoder(), reranker=OverlapReranker())
    assert len(rebuilt) == len(CORPUS)
    assert rebuilt.search("zebra", k=1)[0].id == "zebra"
    rebuilt.close()


def test_what_a_killed_writer_left_is_sealed_once_it_was_looked_over(make, reopen, tmp_path):
    make(path=True).close()
    folder = tmp_path / "collection"
    (folder / "seal.json").unlink()
    reopen(folder).close()
    assert (folder / "seal.json").exists()
    database = bytearray((folder / "documents.sqlite").read_bytes())
    database[-1] ^= 1
    (folder / "documents.sqlite").write_bytes(database)
    with pytest.raises(CorruptCollectionError, match="documents.sqlite is truncated or damaged"):
        opened(folder)


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("damage", ["empty", "missing"])
def test_without_documents_nothing_is_made_again(make, tmp_path, sealed, damage):
    make(path=True).close()
    folder = tmp_path / "collection"
    documents = folder / "documents.sqlite"
    documents.unlink()
    if damage == "empty":
        documents.touch()
    if not sealed:
        (folder / "seal.json").unlink()
    before = sorted(path.name for path in folder.rglob("*"))
    with pytest.raises(CorruptCollectionError, match=r"documents\.sqlite .*into a new folder"):
        opened(folder)
    with pytest.raises(CorruptCollectionError, match=rf"documents\.sqlite is {damage}; .*into a new folder"):
        Retriever.rebuild(folder, encoder=tiny_encoder())
    assert sorted(path.name for path in folder.rglob("*")) == before
    assert documents.exists() == (damage == "empty")


def test_what_a_writer_is_at_work_on_is_not_sealed(make, tmp_path):
    retriever = make(path=True)
    retriever.add([("new", "green")])
    opened(tmp_path / "collection").close()
    assert not (tmp_path / "collection" / "seal.json").exists()
    retriever.close()
    assert (tmp_path / "collection" / "seal.json").exists()


def test_compacting_changes_nothing_that_is_found(make, reopen, tmp_path):
    retriever = make(path=True)
    retriever.add([(f"n{i}", f"zebra number {i}") for i in range(50)])
    retriever.delete([f"n{i}" for i in range(0, 50, 2)])
    before = retriever.search("zebra number", k=60, rerank=False)
    retriever.compact()
    after = retriever.search("zebra number", k=60, rerank=False)
    assert {r.id for r in after} == {r.id for r in before} and len(after) == len(CORPUS) + 25
    retriever.add([("late", "zebra comes late")])
    retriever.close()
    again = reopen(tmp_path / "collection")
    assert again.collection.recovered == 0
    assert "late" in {r.id for r in again.search("zebra", k=60, rerank=False)}


def test_deleting_by_filter(make):
    retriever = make()
    assert retriever.delete(filter={"lang": "en"}) == 3
    assert {doc.id for doc in retriever} == {"storm", "zebra"}
    assert retriever.delete(filter={"lang": "en"}) == 0
    for wrong in ({}, {"filter": {}}, {"ids": ["a"], "filter": {"lang": "en"}}):
        with pytest.raises(ValueError, match="either ids or filter|empty filter"):
            retriever.delete(**wrong)


def test_filters_follow_changes(make):
    retriever = make()

    def english():
        return {r.id for r in retriever.search("the", k=10, filter={"lang": "en"}, rerank=False)}

    assert english() == {"cat", "dog", "stocks"}
    retriever.upsert([{"id": "storm", "text": "Wind.", "metadata": {"lang": "en"}}])
    retriever.upsert([{"id": "dog", "text": "A dog.", "metadata": {"lang": "fr"}}])
    assert english() == {"cat", "stocks", "storm"}
    retriever.delete(["cat"])
    retriever.add([{"id": "new", "text": "Sea.", "metadata": {"lang": "en"}}])
    assert english() == {"stocks", "storm", "new"}


def test_passages_that_a_killed_writer_left_in_bm25_are_gone_after_opening(make, reopen, tmp_path):
    make([("a", "a zebra"), ("b", "a horse"), ("c", "a fox")], path=True).close()
    folder = tmp_path / "collection"
    index = BM25Index(folder / "lexical")
    index.add(np.array([10**6]), ["zebra zebra"])
    index.commit()
    index.close()
    (folder / "seal.json").unlink()
    again = reopen(folder)
    assert len(again.collection.lexical) == 3
    assert again.search("zebra", k=3, rerank=False)[0].id == "a"
