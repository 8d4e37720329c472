"""Which files a source stands for, and what their ids are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retriever.errors import SourceError
from retriever.ingest import ReadReport, find_files


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.")


def test_a_folder_is_read_to_its_leaves_in_order(tmp_path):
    make_files(tmp_path, "b.md", "a.txt", "sub/deep/c.html", ".hidden.md", ".git/d.md")
    assert [file.id for file in find_files([tmp_path])] == ["a.txt", "b.md", "sub/deep/c.html"]


def test_ids_are_relative_to_the_folder_that_holds_all_sources(tmp_path):
    make_files(tmp_path, "docs/readme.md", "notes/readme.md")
    ids = [file.id for file in find_files([tmp_path / "notes", tmp_path / "docs"])]
    assert ids == ["notes/readme.md", "docs/readme.md"]


def test_a_single_file_has_its_name_as_id(tmp_path, monkeypatch):
    make_files(tmp_path, "docs/a.md")
    monkeypatch.chdir(tmp_path / "docs")
    assert [file.id for file in find_files(["a.md"])] == ["a.md"]


def test_a_file_named_twice_is_read_once(tmp_path):
    make_files(tmp_path, "docs/a.md")
    assert len(find_files([tmp_path / "docs", tmp_path / "docs" / "a.md"])) == 1


def test_other_formats_in_a_folder_are_reported(tmp_path):
    make_files(tmp_path, "a.md", "photo.jpg", "archive.gz")
    report = ReadReport()
    assert len(find_files([tmp_path], report=report)) == 1
    assert "2 skipped, of a format that is not read" in report.lines()[0]
    assert "photo.jpg" in report.lines()[0]


def test_a_beir_folder_gives_its_corpus_alone(tmp_path):
    make_files(tmp_path, "corpus.jsonl", "queries.jsonl", "notes.md")
    assert [file.id for file in find_files([tmp_path])] == ["corpus.jsonl"]


def test_a_corpus_without_queries_is_a_file_among_others(tmp_path):
    make_files(tmp_path, "corpus.jsonl", "notes.md")
    assert [file.id for file in find_files([tmp_path])] == ["corpus.jsonl", "notes.md"]


def test_the_excluded_folder_is_left_out(tmp_path):
    make_files(tmp_path, "a.md", "index/b.md")
    assert [file.id for file in find_files([tmp_path], exclude=tmp_path / "index")] == ["a.md"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_folder_does_not_block(tmp_path):
    make_files(tmp_path, "a.md")
    os.mkfifo(tmp_path / "pipe.txt")
    report = ReadReport()
    assert len(find_files([tmp_path], report=report)) == 1
    assert "not a regular file" in report.lines()[0]


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere does not exist; check the path"):
        find_files([tmp_path / "nowhere"])


def test_an_unknown_format_named_directly_is_an_error(tmp_path):
    make_files(tmp_path, "photo.jpg")
    with pytest.raises(SourceError, match=r"photo\.jpg has no format that can be read; .*\.md"):
        find_files([tmp_path / "photo.jpg"])


def test_a_folder_without_readable_files_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"holds no file that can be read"):
        find_files([tmp_path])


def test_no_source_is_an_error():
    with pytest.raises(SourceError, match="no source given"):
        find_files([])
