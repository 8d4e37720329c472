"""JSONL, CSV and Parquet, whole and broken."""

from __future__ import annotations

import gzip
import sys

import pytest

from retriever.errors import MissingExtraError, SourceError
from retriever.ingest.reading import read_sources
from retriever.ingest.records import RecordFields
from retriever.ingest.tables import (
    count_lines,
    count_parquet,
    parse_json_line,
    read_csv,
    read_jsonl,
    read_parquet,
)


def test_jsonl_numbers_lines_and_passes_over_blank_ones(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}', encoding="utf-8-sig")
    assert [(n, parse_json_line(line, "x")) for n, line in read_jsonl(path)] == [(1, {"a": 1}), (3, {"a": 2})]
    assert count_lines(path) == 3


def test_jsonl_may_be_compressed(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert [number for number, _ in read_jsonl(path)] == [1]
    assert count_lines(path) == 1


def test_half_a_compressed_file_is_an_error(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 5000)[:-20])
    with pytest.raises(SourceError, match=r"a\.jsonl\.gz is damaged"):
        list(read_jsonl(path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": ', r"a line 3 is no JSON"),
        (b"[1]", r"a line 3 is a list; JSONL has one object a line"),
        (b'{"a": "\xff"}', r"a line 3 is no JSON .*utf-8"),
        (b"[" * 200_000, r"a line 3 is no JSON"),
    ],
)
def test_a_bad_line_is_named(line, message):
    with pytest.raises(SourceError, match=message):
        parse_json_line(line, "a line 3")


def write(path, text):
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_csv_numbers_columns_that_hold_nothing_else(tmp_path):
    path = write(tmp_path / "a.csv", 'text,year,zip,price\n"a, ""b""\nc",2020,01234,1\nd,,98765,1.5\n')
    assert list(read_csv(path)) == [
        (3, {"text": 'a, "b"\nc', "year": 2020, "zip": "01234", "price": 1.0}),
        (4, {"text": "d", "year": None, "zip": "98765", "price": 1.5}),
    ]


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ";"), ("a.tsv", "\t"), ("a.csv", "|")])
def test_csv_delimiters(tmp_path, name, delimiter):
    path = write(tmp_path / name, f"text{delimiter}b\nx, y{delimiter}1\n")
    assert list(read_csv(path)) == [(2, {"text": "x, y", "b": 1})]


def test_csv_cells_may_be_longer_than_the_librarys_limit(tmp_path):
    path = write(tmp_path / "a.csv", "text\n" + "x" * 200_000 + "\n")
    assert len(next(read_csv(path))[1]["text"]) == 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header"),
        (b"a,b\n1,2,3\n", r"line 2 has 3 cells, its header 2"),
        (b"a,a\n1,2\n", "two columns of the same name"),
        (b"a\n\xff\n", "is not UTF-8"),
        (b'a\n"open\n', "is no CSV that can be read"),
    ],
)
def test_broken_csv_is_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"a\.csv.*{message}"):
        list(read_csv(path))


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"t{i}" for i in range(3000)], "n": range(3000)}), path)
    records = list(read_parquet(path))
    assert records[0] == (1, {"text": "t0", "n": 0})
    assert records[-1] == (3000, {"text": "t2999", "n": 2999})
    assert count_parquet(path) == 3000


def test_a_parquet_file_that_is_none(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(SourceError, match=r"a\.parquet is no Parquet file"):
        list(read_parquet(path))


def test_without_pyarrow_the_error_has_the_pip_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'two-stage-retriever\[ingest\]'"):
        list(read_parquet(tmp_path / "a.parquet"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.jsonl cannot be read \(No such file"):
        list(read_jsonl(tmp_path / "gone.jsonl"))


def test_csv_columns_of_numbers_may_be_ids_titles_and_texts(tmp_path):
    (tmp_path / "books.csv").write_text("id,title,text,pages\n1.10,1984,33,300\n2,2001,44,200\n")
    first, second = read_sources([tmp_path / "books.csv"])
    assert (first.id, first.title, first.text, first.metadata) == ("1.10", "1984", "33", {"pages": 300})
    assert second.id == "2"
    (named,) = read_sources(
        [tmp_path / "one.csv"] if (tmp_path / "one.csv").write_text("nr,n\n7,8\n") else [],
        fields=RecordFields(id="nr", text="n"),
    )
    assert (named.id, named.text, named.metadata) == ("7", "8", {})
