"""`retriever index`: builds, brings up to date, and survives being stopped at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from rerank.loading import load_reranker
from retriever import Retriever

# Each transaction takes a tenth of a second more: a signal finds the run in the middle on any machine.
# A suite started in the background inherits an ignored Ctrl-C, so the handler is set again.
PROGRAM = """
import signal
import time

signal.signal(signal.SIGINT, signal.default_int_handler)
from retriever.cli.main import main
from retriever.store.document_store import DocumentStore

apply = DocumentStore.apply

def slowly(self, **change):
    done = apply(self, **change)
    time.sleep(0.1)
    return done

DocumentStore.apply = slowly
main()
"""


def facts(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_folder_becomes_searchable(collection):
    with Retriever.open(collection) as retriever:
        assert sorted(document.id for document in retriever) == ["cat.md", "storm.html", "sub/stocks.txt"]
        assert retriever.get("storm.html").title == "Weather"


def test_again_changes_only_what_changed(run, notes, collection):
    (notes / "cat.md").write_text("# Pets\n\nThe dog ran over the mat.\n")
    (notes / "new.txt").write_text("Zebra, zebra.")
    answer = facts(run("index", notes, "--out", collection, "--json"))
    assert (answer["added"], answer["updated"], answer["unchanged"]) == (1, 1, 2)
    assert answer["documents"] == 4


def test_again_says_what_it_does(run, notes, collection):
    (notes / "cat.md").unlink()
    result = run("index", notes, "--out", collection)
    assert "holds 3 documents already; adding what is new or changed" in result.stderr
    assert "0 added, 0 updated, 2 unchanged, 1 of the collection not in these sources, kept" in result.stdout


def test_what_is_left_out_is_said(run, notes, tmp_path, encoder_folder):
    (notes / "photo.jpg").write_bytes(b"\xff\xd8")
    (notes / "empty.md").write_text("")
    result = run("index", notes, "--out", tmp_path / "c", "--encoder", encoder_folder)
    assert result.exit_code == 0
    assert "1 skipped, of a format that is not read" in result.stderr
    assert "1 skipped, empty" in result.stderr


def test_a_collection_inside_its_source_is_not_indexed(run, notes, encoder_folder):
    for _ in range(2):
        answer = facts(run("index", notes, "--out", notes / "c", "--encoder", encoder_folder, "--json"))
        assert answer["documents"] == 3
        assert answer["skipped"] == {}


def test_settings_reach_the_collection(run, notes, tmp_path, encoder_folder):
    options = ["--dimensions", 8, "--no-lexical", "--passage-tokens", 0, "--reranker", "none"]
    facts(run("index", notes, "--out", tmp_path / "c", "--encoder", encoder_folder, "--json", *options))
    with Retriever.open(tmp_path / "c") as retriever:
        assert retriever.encoder.dimensions == 8
        assert not retriever.config.lexical
        assert retriever.config.passage_tokens is None
        assert retriever.config.reranker is None


def test_a_reranker_that_is_not_there_is_named_before_anything_is_read(
    run, notes, tmp_path, encoder_folder, monkeypatch
):
    monkeypatch.setattr("rerank.load_reranker", load_reranker)
    missing = tmp_path / "no-such-model"
    options = ["--encoder", encoder_folder, "--reranker", missing]
    result = run("index", notes, "--out", tmp_path / "c", *options)
    assert result.exit_code == 1
    assert str(missing) in result.stderr and not (tmp_path / "c").exists()


def test_settings_cannot_change_afterwards(run, notes, collection):
    result = run("index", notes, "--out", collection, "--dimensions", 8)
    assert result.exit_code == 1
    assert "was built with dimensions=None, not 8" in result.stderr


def test_long_documents_are_split_with_spans_into_the_file(run, notes, tmp_path, encoder_folder):
    text = "The cat sat on the mat. " * 30 + "Zebra storm.\n" + "The dog ran over the sea. " * 30
    (notes / "long.txt").write_text(text)
    options = ["--passage-tokens", 32, "--passage-overlap", 0, "--encoder", encoder_folder]
    assert run("index", notes, "--out", tmp_path / "c", *options).exit_code == 0
    found = json.loads(run("search", tmp_path / "c", "zebra storm", "--json").stdout)["results"]
    best = next(result for result in found if result["id"] == "long.txt")
    start, end = best["span"]
    assert text[start:end] == best["passage"]
    assert "Zebra storm." in best["passage"]


def test_records_with_named_fields(run, tmp_path, encoder_folder):
    (tmp_path / "faq.csv").write_text("question,answer,key\nWhere is the cat?,On the mat.,q1\n")
    options = ["--text-field", "answer", "--title-field", "question", "--id-field", "key"]
    facts(
        run(
            "index",
            tmp_path / "faq.csv",
            "-o",
            tmp_path / "c",
            "--encoder",
            encoder_folder,
            "--json",
            *options,
        )
    )
    with Retriever.open(tmp_path / "c") as retriever:
        assert retriever.get("q1").text == "On the mat."


def test_records_that_say_the_same_are_one_document(run, tmp_path, encoder_folder):
    (tmp_path / "a.jsonl").write_text('{"text": "cat"}\n{"text": "dog"}\n{"text": "cat"}\n')
    answer = facts(
        run("index", tmp_path / "a.jsonl", "-o", tmp_path / "c", "--encoder", encoder_folder, "--json")
    )
    assert (answer["documents"], answer["added"], answer["unchanged"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"caf\xe9", "bad.txt is not UTF-8"),
        ("bad.jsonl", b"nonsense\n", "bad.jsonl line 1 is no JSON"),
        ("bad.csv", b"a,b\n1,2\n", "has no text field"),
    ],
)
def test_an_unreadable_file_is_a_message_or_left_out(
    run, notes, tmp_path, encoder_folder, name, content, message
):
    (notes / name).write_bytes(content)
    command = ["index", notes, "--out", tmp_path / "c", "--encoder", encoder_folder]
    result = run(*command)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert facts(run(*command, "--skip-unreadable", "--json"))["documents"] == 3


def test_a_missing_source_leaves_no_collection(run, tmp_path):
    result = run("index", tmp_path / "gone", "--out", tmp_path / "c")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert not (tmp_path / "c").exists()


def test_a_folder_with_something_else_in_it_is_refused(run, notes):
    result = run("index", notes, "--out", notes.parent)
    assert result.exit_code == 1
    assert (
        "is a folder with other files in it and no collection; choose another --out"
        in result.stderr.replace("\n", " ")
    )


COUNT = 30_000


@pytest.fixture
def many(tmp_path):
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for i in range(COUNT):
            file.write(json.dumps({"id": str(i), "text": f"The cat sat on mat {i}. Stocks fell."}) + "\n")
    return path


def started(many, folder, encoder_folder):
    """Start indexing in another process and wait until something is committed."""
    command = [sys.executable, "-c", PROGRAM, "index", many, "--out", folder, "--encoder", encoder_folder]
    process = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    wal = folder / "documents.sqlite-wal"
    while time.monotonic() < deadline and process.poll() is None:
        if wal.exists() and wal.stat().st_size > 1_000_000:
            break
        time.sleep(0.005)
    return process


def test_a_killed_run_loses_nothing_and_goes_on(run, many, tmp_path, encoder_folder):
    folder = tmp_path / "collection"
    process = started(many, folder, encoder_folder)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with Retriever.open(folder) as retriever:
        committed = len(retriever)
        assert 0 < committed < COUNT
        assert retriever.search("cat", k=1, rerank=False)
    answer = facts(run("index", many, "--out", folder, "--json"))
    assert (answer["documents"], answer["unchanged"], answer["updated"]) == (COUNT, committed, 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_says_what_is_safe_and_exits_130(run, many, tmp_path, encoder_folder):
    folder = tmp_path / "collection"
    process = started(many, folder, encoder_folder)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "documents of this run are safe in" in stderr
    assert "Traceback" not in stderr
    assert facts(run("index", many, "--out", folder, "--json"))["documents"] == COUNT


def test_documents_that_come_slowly_are_safe_soon(run, notes, tmp_path, encoder_folder, monkeypatch):
    monkeypatch.setattr("retriever.preparation._BATCH_SECONDS", 0.0)
    monkeypatch.setattr("retriever.ingest.reading.read_html", stop)
    folder = tmp_path / "collection"
    result = run("index", notes, "--out", folder, "--encoder", encoder_folder)
    assert result.exit_code == 130
    assert "1 documents of this run are safe" in result.stderr
    with Retriever.open(folder) as retriever:
        assert [document.id for document in retriever] == ["cat.md"]
    (notes / "cat.md").unlink()
    (notes / "storm.html").unlink(missing_ok=True)
    assert facts(run("sync", notes, "--to", folder, "--skip-unreadable", "--json"))["deleted"] == 1


def stop(*_):
    raise KeyboardInterrupt


def test_an_empty_file_is_named_where_nothing_is_left(run, tmp_path, encoder_folder):
    (tmp_path / "nothing.txt").write_text(" \n")
    answer = run("index", tmp_path / "nothing.txt", "--out", tmp_path / "index", "--encoder", encoder_folder)
    assert answer.exit_code == 1
    assert "1 skipped, empty" in answer.output and "nothing.txt" in answer.output


def test_scores_are_kept_where_that_is_asked_for(run, notes, tmp_path):
    facts(run("index", notes, "--out", tmp_path / "kept", "--pair-cache", "1MB", "--json"))
    with Retriever.open(tmp_path / "kept") as retriever:
        assert retriever.config.pair_cache == 1_000_000
    result = run("index", notes, "--out", tmp_path / "other", "--pair-cache", "lots")
    assert result.exit_code == 1
    assert "pair_cache: give a size such as '32MB'" in result.stderr
