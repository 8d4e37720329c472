"""PDF: the text layer, page starts for citations, and errors for what cannot be read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from retriever.errors import MissingExtraError, SourceError
from retriever.ingest.pdf_files import read_pdf

pypdf = pytest.importorskip("pypdf")
HERE = Path("paper.pdf")


def make_pdf(*pages: str, title: str = "", password: str = "") -> bytes:
    """A PDF with one line of text a page, written with pypdf's own objects."""
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pages_are_joined_and_their_starts_kept():
    title, text, starts = read_pdf(make_pdf("First page", "Second page", title="A paper"), HERE)
    assert title == "A paper"
    assert text == "First page\n\nSecond page"
    assert [text[start : start + 6] for start in starts] == ["First ", "Second"]


def test_a_scan_has_no_text():
    assert read_pdf(make_pdf(""), HERE)[1].strip() == ""


def test_a_password_is_an_error():
    with pytest.raises(SourceError, match=r"paper\.pdf is protected by a password"):
        read_pdf(make_pdf("secret", password="x"), HERE)


@pytest.mark.parametrize("content", [b"", b"no pdf", b"%PDF-1.7\n garbage", make_pdf("whole")[:200]])
def test_a_damaged_file_is_an_error(content):
    with pytest.raises(SourceError, match=r"paper\.pdf is no PDF that can be read"):
        read_pdf(content, HERE)


def test_without_the_library_the_error_has_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'two-stage-retriever\[ingest\]'"):
        read_pdf(b"", HERE)
