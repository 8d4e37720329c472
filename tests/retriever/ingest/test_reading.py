"""Mixed sources as one stream of documents."""

from __future__ import annotations

import json
import sys

import pytest

from retriever.errors import MissingExtraError, SourceError
from retriever.ingest import ReadReport, count_documents, find_files, read_sources


def test_a_folder_of_several_formats(tmp_path):
    (tmp_path / "a.txt").write_text("Plain words.")
    (tmp_path / "b.md").write_text("# Head\r\n\nMarkdown words.", newline="")
    (tmp_path / "c.html").write_text("<title>Page</title><p>HTML words.")
    (tmp_path / "d.jsonl").write_text(json.dumps({"id": 5, "text": "JSON words.", "year": 2020}))
    (tmp_path / "e.csv").write_text("text,title\nCSV words.,Row\n")
    documents = {document.title: document for document in read_sources([tmp_path])}
    assert set(documents) == {"a", "Head", "Page", "", "Row"}
    assert documents["Head"].id == "b.md"
    assert documents["Head"].text == "# Head\r\n\nMarkdown words."
    assert documents["Head"].metadata == {"path": "b.md", "format": "markdown"}
    assert documents[""].id == "5"
    assert documents[""].metadata == {"year": 2020}


def test_empty_files_and_records_are_counted_not_errors(tmp_path):
    (tmp_path / "a.txt").write_text(" \n")
    (tmp_path / "b.md").write_text("words")
    (tmp_path / "c.jsonl").write_text('{"text": ""}\n{"text": "x"}\n')
    report = ReadReport()
    assert len(list(read_sources([tmp_path], report=report))) == 2
    assert (report.files, report.documents) == (3, 2)
    assert report.skipped == {"empty": 2}


def test_broken_front_matter_is_kept_as_text_and_named(tmp_path):
    (tmp_path / "a.md").write_text("---\ntags: [open\n---\n# Heading\n")
    report = ReadReport()
    (document,) = read_sources([tmp_path], report=report)
    assert "tags: [open" in document.text
    assert document.metadata == {"path": "a.md", "format": "markdown"}
    (line,) = report.lines()
    assert line.startswith("1 skipped, front matter that is no YAML") and line.endswith("a.md")


def test_an_unreadable_file_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfeX")
    (tmp_path / "c.txt").write_bytes(b"caf\xe9")
    with pytest.raises(SourceError, match=r"b\.txt"):
        list(read_sources([tmp_path]))


def test_or_is_left_out_on_request_with_the_rest_of_the_folder_read(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\nnonsense\n{"text": "y"}\n')
    report = ReadReport()
    documents = list(read_sources([tmp_path], skip_unreadable=True, report=report))
    assert [document.text for document in documents] == ["x", "y"]
    assert report.skipped == {"not readable": 1, "not usable": 1}
    assert any("b.jsonl line 2 is no JSON" in line for line in report.lines())


def test_paths_and_extras_are_checked_before_anything_is_read(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="does not exist"):
        read_sources([tmp_path / "gone"])
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtraError, match="pypdf"):
        read_sources([tmp_path])


def test_one_path_may_be_given_without_a_list(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    assert [document.id for document in read_sources(str(tmp_path))] == ["a.txt"]


def test_a_stream_is_not_read_ahead(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\nnonsense\n')
    assert next(read_sources([tmp_path])).text == "x"


def test_documents_are_counted_for_a_progress_bar(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "b.jsonl").write_text('{"text": "x"}\n{"text": "y"}\n')
    assert count_documents(find_files([tmp_path])) == 3
    (tmp_path / "c.csv").write_text("text\nx\n")
    assert count_documents(find_files([tmp_path])) is None
