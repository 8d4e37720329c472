"""Several processes share a collection: readers follow what the one writer does."""

import time

import pytest

from retriever.errors import CollectionLockedError


def ids(retriever, query="zebra"):
    return [result.id for result in retriever.search(query, k=1)]


def test_a_reader_sees_what_another_process_wrote_and_handed_over(make, reopen, tmp_path):
    writer = make(path=True)
    writer.collection.hand_over()
    reader = reopen(tmp_path / "collection")
    assert ids(reader, "bird flew over paper") != ["bird"]
    writer.add([{"id": "bird", "text": "The bird flew over paper."}])
    writer.collection.hand_over()
    assert ids(reader, "bird flew over paper") == ["bird"]
    writer.delete(["bird"])
    writer.collection.hand_over()
    assert ids(reader, "bird flew over paper") != ["bird"]
    assert len(reader) == len(writer)


def test_the_last_change_of_a_quiet_writer_is_seen_by_others(make, reopen, tmp_path):
    writer = make(path=True)
    writer.collection.hand_over()
    reader = reopen(tmp_path / "collection")
    for turn in range(2):  # the first is committed at once, the second waits
        writer.add([{"id": f"bird{turn}", "text": "The bird flew over paper."}])
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = reader.search("bird paper", k=2)
        if [result.stages.lexical.score > 0 for result in found] == [True, True]:
            break
        time.sleep(0.1)
    assert {result.id for result in found if result.stages.lexical.score > 0} == {"bird0", "bird1"}


def test_who_opens_while_another_writes_is_not_told_of_an_interrupted_write(make, reopen, tmp_path):
    writer = make(path=True)
    writer.add([{"id": "bird", "text": "The bird flew over paper."}])
    assert reopen(tmp_path / "collection").collection.recovered == 0


def test_two_processes_write_in_turn_and_neither_loses_the_other_s_documents(make, reopen, tmp_path):
    first = make(path=True)
    first.collection.hand_over()
    second = reopen(tmp_path / "collection")
    for turn, retriever in enumerate([first, second, first, second]):
        retriever.add([{"id": f"n{turn}", "text": f"seven eight nine ten {turn}"}])
        retriever.collection.hand_over()
    wanted = {f"n{turn}" for turn in range(4)}
    for retriever in (first, second):
        found = retriever.search("seven eight nine ten", k=4)
        assert {result.id for result in found} == wanted
        assert all(result.stages.dense and result.stages.lexical.score > 0 for result in found)
    first.close()
    second.close()
    third = reopen(tmp_path / "collection")
    assert {result.id for result in third.search("seven eight nine ten", k=4)} == wanted


def test_while_one_writes_another_is_refused_and_may_later(make, reopen, tmp_path):
    first = make(path=True)
    second = reopen(tmp_path / "collection")
    with pytest.raises(CollectionLockedError, match="another process is writing"):
        second.add(["one two three"])
    first.collection.hand_over()
    second.add(["one two three"])
    assert len(second) == 6


def test_a_reader_repairs_what_a_killed_writer_left_and_does_not_keep_the_lock(make, reopen, tmp_path):
    writer = make(path=True)
    reader = reopen(tmp_path / "collection")
    writer.add([{"id": "bird", "text": "The bird flew over paper."}])
    writer.collection.stop_writing()  # as a kill would: the change is in the store alone
    assert ids(reader, "bird flew over paper") == ["bird"]
    writer.add(["one two three"])


def test_mapped_vectors_can_be_changed(make, reopen, tmp_path):
    make(path=True).close()
    again = reopen(tmp_path / "collection")
    again.delete(["zebra"])
    again.add([{"id": "bird", "text": "The bird flew over paper."}])
    assert ids(again, "bird flew over paper") == ["bird"]
    again.close()
    assert ids(reopen(tmp_path / "collection"), "bird flew over paper") == ["bird"]
