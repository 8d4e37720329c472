"""JSONL, CSV and Parquet, record by record: a file larger than memory is no matter."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retriever.errors import MissingExtraError, SourceError
from retriever.ingest.records import USUAL_FIELDS, RecordFields, picked

_LEAVE_OUT = "correct it, or leave such lines out with --skip-unreadable, in Python skip_unreadable=True"

# Without leading zeros and exponents, which codes and version numbers have and quantities do not.
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d+)?")
_ROWS = 1_024  # read from Parquet at a time
_DELIMITERS = ",;\t|"


def read_jsonl(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of each line that is not blank.

    :raises SourceError: if the file cannot be read.
    """
    with _reported(path), _open_binary(path) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            yield number, line


def parse_json_line(line: bytes, where: str) -> dict[str, Any]:
    """Return the object in a line of JSONL.

    :param line: UTF-8, with a byte order mark or without.
    :param where: file and line, for errors.
    :raises SourceError: if it is no JSON object.
    """
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(
            f"{where} is no JSON ({error}); JSONL has one object a line; {_LEAVE_OUT}"
        ) from error
    if not isinstance(record, dict):
        raise SourceError(f"{where} is a {type(record).__name__}; JSONL has one object a line; {_LEAVE_OUT}")
    return record


def read_csv(path: Path, fields: RecordFields = USUAL_FIELDS) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and cells of each row, by the names in the first row.

    A column in which every cell is a number, as in a first pass over the file, holds numbers, unless it is
    the id, the text or the title; empty cells are None. The delimiter is a tab in `.tsv`, else the one of
    comma, semicolon, tab and bar that the header has most.

    :param fields: which columns are id, text and title.
    :raises SourceError: if the file cannot be read, has no header, or a row has too many cells.
    """
    header, kinds = _column_kinds(path)
    kinds |= {name: str for name in picked(header, fields) if name is not None}
    for number, row in _rows(path):
        if len(row) > len(header):
            raise SourceError(
                f"{path} line {number} has {len(row)} cells, its header {len(header)}; quote cells that hold "
                "the delimiter"
            )
        yield (
            number,
            {name: kinds[name](cell) if cell else None for name, cell in zip(header, row, strict=False)},
        )


def read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the row number and values of each row.

    :raises MissingExtraError: if pyarrow is not installed.
    :raises SourceError: if the file is no Parquet.
    """
    number = 0
    with _parquet(path) as table:
        for batch in table.iter_batches(batch_size=_ROWS):
            for record in batch.to_pylist():
                number += 1
                yield number, record


def count_parquet(path: Path) -> int:
    """Return the number of rows, which the file's footer tells."""
    with _parquet(path) as table:
        return int(table.metadata.num_rows)


def count_lines(path: Path) -> int:
    """Return the number of lines of a JSONL file, compressed or not."""
    total, last = 0, b"\n"
    with _reported(path), _open_binary(path) as stream:
        while block := stream.read(1 << 20):
            total += block.count(b"\n")
            last = block
    return total + (not last.endswith(b"\n"))


def require_parquet_reader() -> None:
    """Check that the Parquet library is there.

    :raises MissingExtraError: if not, with the line that installs it.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "reading Parquet needs pyarrow; install it with: pip install 'two-stage-retriever[ingest]'"
        ) from error


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    require_parquet_reader()
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield table
    except (pyarrow.ArrowException, OSError) as error:
        raise SourceError(f"{path} is no Parquet file that can be read ({error}); write it again") from error


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn what the system says into an error that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path} is damaged ({error}); compress it again") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror or error}); check the file") from error


def _open_binary(path: Path) -> Any:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and cells of each row after the header, blank rows left out."""
    for number, row in _all_rows(path):
        if number > 0:
            yield number, row


def _all_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the header under the number 0, then each row under the number of its last line."""
    # The library's limit of 128 kB a cell is one for the whole process, and texts are longer.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _reported(path), _open_binary(path) as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        try:
            first = stream.readline()
            stream.seek(0)
            rows = csv.reader(stream, delimiter=_delimiter(path, first), strict=True)
            header = next(rows, None)
            if header is None or not any(header):
                raise SourceError(f"{path} has no header; its first line must name the columns")
            yield 0, header
            for row in rows:
                if row:
                    yield rows.line_num, row
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{path} is not UTF-8 ({error}); convert it first, for example with iconv"
            ) from error
        except csv.Error as error:
            raise SourceError(f"{path} is no CSV that can be read ({error}); check its quotes") from error


def _delimiter(path: Path, header: str) -> str:
    if ".tsv" in [suffix.lower() for suffix in path.suffixes]:
        return "\t"
    return max(_DELIMITERS, key=header.count)


def _column_kinds(path: Path) -> tuple[list[str], dict[str, Callable[[str], Any]]]:
    """Read the file once to learn which columns hold numbers throughout."""
    rows = _all_rows(path)
    _, header = next(rows)
    if len(set(header)) < len(header):
        raise SourceError(f"{path} has two columns of the same name; rename one in its first line")
    kinds: list[Callable[[str], Any]] = [int] * len(header)
    for _, row in rows:
        for column, cell in enumerate(row[: len(header)]):
            if cell and kinds[column] is int and not _INTEGER.fullmatch(cell):
                kinds[column] = float
            if cell and kinds[column] is float and not _DECIMAL.fullmatch(cell):
                kinds[column] = str
    return header, dict(zip(header, kinds, strict=True))
