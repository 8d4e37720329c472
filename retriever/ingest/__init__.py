"""From files to documents: readers for the formats people have, and the splitting of long texts."""

from retriever.ingest.discovery import SourceFile, find_files
from retriever.ingest.reading import count_documents, read_files, read_sources
from retriever.ingest.records import RecordFields
from retriever.ingest.report import ReadReport

__all__ = [
    "ReadReport",
    "RecordFields",
    "SourceFile",
    "count_documents",
    "find_files",
    "read_files",
    "read_sources",
]
