"""Reads sources of any mixture of formats as one stream of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retriever.errors import SourceError
from retriever.ingest.discovery import Format, SourceFile, find_files
from retriever.ingest.html_pages import read_html
from retriever.ingest.pdf_files import read_pdf, require_pdf_reader
from retriever.ingest.records import RecordFields, record_document
from retriever.ingest.report import NOT_READABLE, NOT_USABLE, ReadReport
from retriever.ingest.tables import (
    count_lines,
    count_parquet,
    parse_json_line,
    read_csv,
    read_jsonl,
    read_parquet,
    require_parquet_reader,
)
from retriever.ingest.text_files import decode, front_matter, markdown_title, read_bytes, title_from_name
from retriever.types import Document

# Where reading a file and parsing a record are two steps, a bad record can be left out alone.
RECORDS: dict[Format, Callable[[Path, RecordFields], Iterator[tuple[int, Any]]]] = {
    "jsonl": lambda path, _: read_jsonl(path),
    "csv": read_csv,
    "parquet": lambda path, _: read_parquet(path),
}


def read_sources(
    sources: Sequence[str | Path],
    *,
    fields: RecordFields | None = None,
    skip_unreadable: bool = False,
    report: ReadReport | None = None,
) -> Iterator[Document]:
    """Read files and folders as a stream of documents, in bounded memory.

    Text, Markdown, HTML and PDF files are one document each, with the relative path as id; lines of JSONL and
    rows of CSV and Parquet are one document each, with their `id` or `_id`, else an id made from the content.
    Of a BEIR folder the corpus is read.

    >>> docs = list(read_sources(["docs"]))  # doctest: +SKIP

    :param sources: files and folders.
    :param fields: which fields of a record are id, text and title; the usual names by default.
    :param skip_unreadable: leave out files that cannot be read and records that cannot be used, and note
        them in the report; by default they are errors.
    :param report: filled in while the documents are read.
    :return: the documents. Paths and installed extras are checked at once, contents as they are reached.
    :raises SourceError: if a source does not exist, or something in it cannot be read.
    :raises MissingExtraError: if a format needs a library that is not installed.
    """
    report = report if report is not None else ReadReport()
    return read_files(
        find_files(sources, report=report), fields=fields, skip_unreadable=skip_unreadable, report=report
    )


def read_files(
    files: Sequence[SourceFile],
    *,
    fields: RecordFields | None = None,
    skip_unreadable: bool = False,
    report: ReadReport | None = None,
) -> Iterator[Document]:
    """Read the files that `find_files` found; see `read_sources`."""
    require_readers(files)
    reader = _Reader(
        fields if fields is not None else RecordFields(),
        skip_unreadable,
        report if report is not None else ReadReport(),
    )
    return reader.read(files)


def require_readers(files: Sequence[SourceFile]) -> None:
    """Check that what it takes to read the files is installed.

    :raises MissingExtraError: if a format needs a library that is not.
    """
    formats = {file.format for file in files}
    if "pdf" in formats:
        require_pdf_reader()
    if "parquet" in formats:
        require_parquet_reader()


def count_documents(files: Sequence[SourceFile]) -> int | None:
    """Return how many documents the files hold at most, for a progress bar; None where only reading tells."""
    total = 0
    for file in files:
        if file.format == "csv":
            return None
        if file.format == "jsonl":
            total += count_lines(file.path)
        elif file.format == "parquet":
            total += count_parquet(file.path)
        else:
            total += 1
    return total


class _Reader:
    """One pass over the files."""

    def __init__(self, fields: RecordFields, skip_unreadable: bool, report: ReadReport) -> None:
        self._fields = fields
        self._skip_unreadable = skip_unreadable
        self._report = report

    def read(self, files: Sequence[SourceFile]) -> Iterator[Document]:
        for file in files:
            try:
                for document in self._documents(file):
                    self._report.documents += 1
                    yield document
                self._report.files += 1
            except SourceError as error:
                if not self._skip_unreadable:
                    raise
                self._report.skip(str(error), NOT_READABLE)

    def _documents(self, file: SourceFile) -> Iterator[Document]:
        records = RECORDS.get(file.format)
        if records is not None:
            yield from self._from_records(file, records(file.path, self._fields))
            return
        document = _read_whole(file, self._report)
        if document is None:
            reason = "without a text layer (scanned pages need OCR)" if file.format == "pdf" else "empty"
            self._report.skip(str(file.path), reason)
        else:
            yield document

    def _from_records(self, file: SourceFile, records: Iterator[tuple[int, Any]]) -> Iterator[Document]:
        unit = "row" if file.format == "parquet" else "line"
        for number, record in records:
            where = f"{file.path} {unit} {number}"
            try:
                fields = parse_json_line(record, where) if isinstance(record, bytes) else record
                document = record_document(fields, self._fields, where)
            except SourceError as error:
                if not self._skip_unreadable:
                    raise
                self._report.skip(str(error), NOT_USABLE)
                continue
            if document is None:
                self._report.skip(where, "empty")
            else:
                yield document


def _read_whole(file: SourceFile, report: ReadReport) -> Document | None:
    """Read a file that is one document; None if there is no text in it."""
    content = read_bytes(file.path)
    metadata: dict[str, object] = {"path": file.id, "format": file.format}
    title = ""
    if file.format == "pdf":
        title, text, starts = read_pdf(content, file.path) if content else ("", "", [])
        metadata["page_starts"] = starts
    elif file.format == "html":
        title, text = read_html(content, file.path)
    else:
        text = decode(content, file.path)
        if file.format == "markdown":
            declared, text = front_matter(text)
            title = markdown_title(text, declared)
            if declared is None:
                reason = "front matter that is no YAML, or more than metadata can hold; it was kept as text"
                report.skip(str(file.path), reason)
            metadata = (declared or {}) | metadata  # the file's path and format are not the author's to say
    if not text.strip():
        return None
    return Document(id=file.id, text=text, title=title or title_from_name(file.path), metadata=metadata)
