from pathlib import Path

import pytest

from retriever.errors import SourceError
from retriever.ingest.discovery import find_files
from retriever.ingest.records import RecordFields
from retriever.ingest.report import ReadReport
from retriever.ingest.syncing import NotedFiles, SyncSummary, sync
from tests.factories import CORPUS


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "notes"
    (made / "deep").mkdir(parents=True)
    (made / "cat.md").write_text("# Cat\n\nThe cat sat on the mat.")
    (made / "deep" / "storm.txt").write_text("Wind and storm over the sea.")
    (made / "birds.jsonl").write_text(
        '{"id": "b1", "text": "zebra bird"}\n{"id": "b2", "text": "blue bird"}\n'
    )
    return made


def test_only_what_changed_is_read_and_what_is_gone_is_deleted(make, folder):
    retriever = make(path=True)
    own = {doc.id for doc in retriever}
    assert sync(retriever, [folder]) == SyncSummary(read=3, added=4)
    assert sync(retriever, [folder]) == SyncSummary(unchanged=3)
    (folder / "cat.md").write_text("# Cat\n\nThe cat ran.")
    (folder / "deep" / "storm.txt").unlink()
    (folder / "birds.jsonl").write_text(
        '{"id": "b2", "text": "blue bird"}\n{"id": "b3", "text": "red bird"}\n'
    )
    assert sync(retriever, [folder]) == SyncSummary(read=2, gone=1, added=1, updated=1, deleted=2)
    assert {doc.id for doc in retriever} == own | {"cat.md", "b2", "b3"}
    assert retriever.get("cat.md").text.endswith("The cat ran.")


def test_what_was_deleted_by_hand_comes_back_with_its_file(make, folder):
    retriever = make(path=True)
    sync(retriever, [folder])
    retriever.delete(["b1", "cat.md"])
    assert sync(retriever, [folder]) == SyncSummary(read=2, unchanged=1, added=2)
    assert "b1" in retriever and "cat.md" in retriever


def test_an_id_of_another_file_is_refused_and_nothing_is_lost(make, folder):
    retriever = make(path=True)
    sync(retriever, [folder])
    (folder / "more.jsonl").write_text('{"id": "b1", "text": "another bird"}\n')
    with pytest.raises(SourceError, match=r"'b1' is in birds.jsonl and in more.jsonl.*--id-field"):
        sync(retriever, [folder])
    assert retriever.get("b1").text == "zebra bird"
    (folder / "more.jsonl").unlink()
    sync(retriever, [folder])
    assert retriever.get("b1").text == "zebra bird"


def test_an_id_that_moved_to_another_file_stays(make, folder):
    retriever = make(path=True)
    sync(retriever, [folder])
    (folder / "birds.jsonl").write_text('{"id": "b2", "text": "blue bird"}\n')
    (folder / "a.jsonl").write_text('{"id": "b1", "text": "a zebra bird"}\n')
    sync(retriever, [folder])
    assert retriever.get("b1").text == "a zebra bird"
    assert sync(retriever, [folder]) == SyncSummary(unchanged=4)


def test_what_two_files_say_is_there_as_long_as_one_says_it(make, folder):
    retriever = make(path=True)
    same = '{"text": "said twice"}\n'
    (folder / "one.jsonl").write_text(same)
    (folder / "two.jsonl").write_text(same)
    sync(retriever, [folder])
    (folder / "two.jsonl").unlink()
    sync(retriever, [folder])
    assert "said twice" in {doc.text for doc in retriever}
    (folder / "one.jsonl").unlink()
    sync(retriever, [folder])
    assert "said twice" not in {doc.text for doc in retriever}


@pytest.mark.parametrize("second", ["birds.jsonl", "more.jsonl"])
def test_an_id_given_twice_in_one_run_names_the_files(folder, second):
    with (folder / second).open("a") as file:
        file.write('{"id": "b1", "text": "another bird"}\n')
    where = "twice in birds.jsonl" if second == "birds.jsonl" else "in birds.jsonl and in more.jsonl"
    with pytest.raises(SourceError, match=f"the id 'b1' is {where}"):
        list(NotedFiles(find_files([folder])).read())


def test_a_stopped_sync_leaves_nothing_that_no_file_accounts_for(make, folder, monkeypatch):
    retriever = make(path=True)
    own = {doc.id for doc in retriever}
    with monkeypatch.context() as patch:
        patch.setattr(type(retriever), "delete", stopped)
        with pytest.raises(KeyboardInterrupt):
            sync(retriever, [folder])
    for file in list(folder.rglob("*.*")):
        file.unlink()
    (folder / "new.txt").write_text("zebra")
    sync(retriever, [folder])
    assert {doc.id for doc in retriever} == own | {"new.txt"}


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_records_are_read_with_the_fields_they_were_indexed_with(make, tmp_path):
    table = tmp_path / "rec.csv"
    table.write_text("nr,body,head\n1,apple pie,T1\n")
    retriever = make(path=True)
    noted = NotedFiles(find_files([table]), fields=RecordFields(id="nr", text="body", title="head"))
    retriever.upsert(noted.read())
    noted.note(retriever)
    assert sync(retriever, [table]) == SyncSummary(unchanged=1)
    table.write_text(table.read_text() + "2,banana bread,T2\n")
    (tmp_path / "more.csv").write_text("nr,body,head\n3,cherry tart,T3\n")
    both = [table, tmp_path / "more.csv"]
    assert sync(retriever, both) == SyncSummary(read=2, added=2)
    assert [(id, retriever.get(id).title) for id in "123"] == [("1", "T1"), ("2", "T2"), ("3", "T3")]
    assert sync(retriever, both) == SyncSummary(unchanged=2)
    # Other fields are other documents.
    renamed = sync(retriever, both, fields=RecordFields(id="head", text="body"))
    assert (renamed.read, renamed.added, renamed.deleted) == (2, 3, 3)
    assert retriever.get("T1").text == "apple pie"


def test_what_a_stopped_run_wrote_is_known_to_the_next_sync(make, folder):
    retriever = make(path=True)
    own = {doc.id for doc in retriever}
    (folder / "z.txt").write_bytes(b"caf\xe9")
    noted = NotedFiles(find_files([folder]))
    with pytest.raises(SourceError, match=r"z\.txt"):
        retriever.upsert(noted.read())
    noted.note(retriever)
    assert "cat.md" in retriever
    for name in ("cat.md", "z.txt", "birds.jsonl"):
        (folder / name).unlink()
    sync(retriever, [folder])
    assert {doc.id for doc in retriever} == own | {"deep/storm.txt"}


def test_a_file_that_may_not_be_read_is_left_out_like_any_other(make, folder, monkeypatch):
    read = Path.read_bytes

    def forbidden(path):
        if folder in path.parents:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr("retriever.ingest.syncing.file_digest", forbidden)
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    retriever, report = make(path=True), ReadReport()
    with pytest.raises(SourceError, match="cannot be read .Permission denied"):
        sync(retriever, [folder])
    summary = sync(retriever, [folder], skip_unreadable=True, report=report)
    assert summary.read == 1 and "b1" in retriever and "cat.md" not in retriever
    assert report.skipped["not readable"] == 2


def test_a_sync_that_stops_after_its_first_note_leaves_an_intact_collection(
    make, reopen, folder, monkeypatch
):
    make(path=True).close()
    opened = reopen(folder.parent / "collection")
    monkeypatch.setattr(opened, "upsert", stopped)
    with pytest.raises(KeyboardInterrupt):
        sync(opened, [folder])
    opened.close()
    assert len(reopen(folder.parent / "collection")) == len(CORPUS)


def test_what_a_stopped_run_may_not_have_written_is_read_again(make, folder):
    retriever = make(path=True)
    sync(retriever, [folder])
    (folder / "cat.md").write_text("# Cat\n\nThe whale sings.")
    noted = NotedFiles(find_files([folder]))
    list(noted.read())  # and nothing of it is written
    noted.note(retriever, finished=False)
    assert sync(retriever, [folder]).updated == 1
    assert "whale" in retriever.get("cat.md").text


def test_what_a_file_holds_stays_while_it_may_not_be_read(make, folder, monkeypatch):
    retriever = make(path=True)
    sync(retriever, [folder])
    read = Path.read_bytes

    def forbidden(path):
        if path.name == "cat.md":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr("retriever.ingest.syncing.file_digest", forbidden)
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert sync(retriever, [folder], skip_unreadable=True).deleted == 0
    assert "cat.md" in retriever


@pytest.mark.parametrize(
    ("name", "whole", "broken"),
    [
        ("cat.md", b"# Cat\n\nThe cat purrs.", b"\xff\xfe\x00 no text \x80"),
        (
            "rows.jsonl",
            b'{"id": "r1", "text": "one"}\n{"id": "r2", "text": "two"}\n',
            b'{"id": "r1", "text": "uno"}\n{',
        ),
    ],
)
def test_what_no_longer_reads_stays_and_is_read_again(make, folder, name, whole, broken):
    (folder / name).write_bytes(whole)
    retriever = make(path=True)
    sync(retriever, [folder])
    held = {document.id for document in retriever}
    (folder / name).write_bytes(broken)
    for _ in range(2):  # the second says so again
        report = ReadReport()
        assert sync(retriever, [folder], skip_unreadable=True, report=report).deleted == 0
        assert report.unread == 1
        assert {document.id for document in retriever} == held
    (folder / name).write_bytes(whole)
    sync(retriever, [folder])
    assert "uno" not in {document.text for document in retriever}
    (folder / name).unlink()
    assert sync(retriever, [folder]).deleted >= 1


def test_new_files_are_read_as_all_others_were(make, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a", "body": "cat"}\n')
    (tmp_path / "b.jsonl").write_text('{"id": "b", "text": "dog"}\n')
    retriever = make(path=True)
    for name, fields in (("a.jsonl", RecordFields(text="body")), ("b.jsonl", None)):
        noted = NotedFiles(find_files([tmp_path / name]), fields=fields)
        retriever.upsert(noted.read())
        noted.note(retriever)
    (tmp_path / "c.jsonl").write_text('{"id": "c", "text": "zebra"}\n')
    sync(retriever, [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")])
    assert [retriever.get(id).text for id in "abc"] == ["cat", "dog", "zebra"]


def test_progress_counts_the_files_that_are_in_line(make, folder):
    retriever, steps = make(path=True), []
    sync(retriever, [folder], progress=lambda *step: steps.append(step))
    every = len(list(folder.rglob("*.*")))
    assert steps == [(done, every) for done in range(1, every + 1)]
    (folder / "new.txt").write_text("zebra")
    steps.clear()
    sync(retriever, [folder], progress=lambda *step: steps.append(step))
    assert steps == [(done, every + 1) for done in range(1, every + 2)]
