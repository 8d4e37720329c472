import pytest

from retriever.ingest.syncing import SyncSummary, sync


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
