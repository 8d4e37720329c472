"""Finds the files behind the sources a user names, and says what format each has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from retriever.errors import SourceError
from retriever.ingest.report import ReadReport

Format = Literal["text", "markdown", "html", "pdf", "jsonl", "csv", "parquet"]

FORMATS: dict[str, Format] = {
    ".txt": "text",
    ".text": "text",
    ".rst": "text",
    ".adoc": "text",
    ".org": "text",
    ".tex": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}

_COMPRESSED: frozenset[Format] = frozenset({"jsonl", "csv"})
_BEIR_CORPUS = ("corpus.jsonl", "corpus.jsonl.gz")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to be read.

    :param path: where it is.
    :param id: its path relative to the folder that holds all sources, with forward slashes.
    :param format: how it is read.
    """

    path: Path
    id: str
    format: Format


def find_files(
    sources: Sequence[str | Path], *, exclude: Path | None = None, report: ReadReport | None = None
) -> list[SourceFile]:
    """List the files of all sources, in a fixed order.

    A folder is searched to its leaves, hidden files and folders left out. One with a `corpus.jsonl` and
    queries or qrels beside it is a BEIR folder, of which only the corpus is read. Files of other formats
    inside a folder are noted in the report; named directly they are an error.

    :param sources: files and folders.
    :param exclude: a folder to leave out, such as the collection that is being written.
    :param report: takes the names of what was left out.
    :return: the files, sorted by path within each source, none twice.
    :raises SourceError: if a source does not exist, cannot be listed or has no readable format.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    if not sources:
        raise SourceError("no source given; name at least one file or folder")
    report = report if report is not None else ReadReport()
    roots = [Path(source) for source in sources]
    for root in roots:
        if not root.exists():
            raise SourceError(f"{root} does not exist; check the path")
    base = _common_folder(roots)
    excluded = exclude.resolve() if exclude is not None else None
    found: dict[Path, SourceFile] = {}
    for root in roots:
        for path in _files_of(root, excluded, report):
            absolute = path.resolve()
            if absolute not in found:
                found[absolute] = _source_file(path, base)
    if not found:
        named = ", ".join(str(root) for root in roots)
        raise SourceError(f"{named} holds no file that can be read; the formats are {_known_suffixes()}")
    return list(found.values())


def format_of(path: Path) -> Format | None:
    """Return the format that a file's name tells, or None for one that is not read."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        inner = FORMATS.get(path.with_suffix("").suffix.lower())
        return inner if inner in _COMPRESSED else None
    return FORMATS.get(suffix)


def _common_folder(roots: Sequence[Path]) -> Path:
    """Return the folder that ids are relative to."""
    folders = [root.absolute() if root.is_dir() else root.absolute().parent for root in roots]
    try:
        return Path(os.path.commonpath(folders))
    except ValueError as error:
        raise SourceError("the sources are on different drives; index them one after the other") from error


def _source_file(path: Path, base: Path) -> SourceFile:
    relative = Path(os.path.relpath(path.absolute(), base)).as_posix()
    try:
        relative.encode()
    except UnicodeEncodeError as error:
        raise SourceError(f"the name of {relative!r} is not valid UTF-8; rename the file") from error
    file_format = format_of(path)
    if file_format is None:
        raise SourceError(f"{path} has no format that can be read; the formats are {_known_suffixes()}")
    return SourceFile(path, relative, file_format)


def _files_of(root: Path, excluded: Path | None, report: ReadReport) -> Iterator[Path]:
    """Yield the files of one source; a file is its own only file."""
    if not root.is_dir():
        if not root.is_file():
            raise SourceError(f"{root} is neither a file nor a folder; name one of these")
        yield root
        return
    corpus = _beir_corpus(root)
    if corpus is not None:
        yield corpus
        return

    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename} cannot be listed ({error.strerror}); check its permissions")

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (Path(folder) / name).resolve() != excluded
        )
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith("."):
                continue
            if not path.is_file():
                report.skip(str(path), "not a regular file")
            elif format_of(path) is None:
                report.skip(str(path), "of a format that is not read")
            else:
                yield path


def _beir_corpus(folder: Path) -> Path | None:
    """Return the corpus of a BEIR folder, which queries or qrels beside it tell from other folders."""
    if not any((folder / name).exists() for name in ("qrels", "queries.jsonl", "queries.jsonl.gz")):
        return None
    return next((folder / name for name in _BEIR_CORPUS if (folder / name).is_file()), None)


def _known_suffixes() -> str:
    return ", ".join(sorted(FORMATS))
