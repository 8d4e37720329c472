"""Text and Markdown keep their characters; what is no text is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from retriever.errors import SourceError
from retriever.ingest.text_files import decode, front_matter, markdown_title, title_from_name

HERE = Path("notes.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_decodes_what_announces_itself(encoding):
    assert decode("Größe, 日本".encode(encoding), HERE) == "Größe, 日本"


def test_another_encoding_is_an_error_with_the_remedy():
    with pytest.raises(SourceError, match=r"notes\.txt is not UTF-8 .*iconv"):
        decode("Größe".encode("latin-1"), HERE)


def test_a_binary_file_is_no_text():
    with pytest.raises(SourceError, match=r"notes\.txt holds NUL characters"):
        decode(b"GIF\0\0\1", HERE)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Install *it* `now`\n\nText", "Install it now"),
        ("Set up\n======\n\nText", "Set up"),
        ("```sh\n# a comment\n```\n\n## The heading\n", "The heading"),
        ('---\ntitle: "From the front"\ntags: [a]\n---\n# Heading\n', "From the front"),
        ("---\ntags: [a]\n---\n# Heading\n", "Heading"),
        ("---\ntitle: 'It''s here' # a comment\n---\n# Heading\n", "It's here"),
        ("---\nTitle: >-\n  Folded\n  twice\n---\n", "Folded twice"),
        ("---\ntitle: 1984\n---\n", "1984"),
        ("---\ntitle:\n---\n# Heading\n", "Heading"),
        ("---\ntitle: [unclosed\n---\n# Heading\n", "Heading"),
        ("No heading at all", ""),
        ("", ""),
    ],
)
def test_markdown_title(text, title):
    declared, rest = front_matter(text)
    assert markdown_title(rest, declared) == title


def test_title_from_name():
    assert title_from_name(Path("docs/setup_guide-v2.txt")) == "setup guide v2"


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("---\ntags: [a, b]\nyear: 2020\n---\n# Heading", {"tags": ["a", "b"], "year": 2020}),
        ("\ufeff---\ndate: 2024-05-01\n---\n", {"date": "2024-05-01"}),
        ("---\nonly a ruled line\n---\n", {}),
        ("---\na: [unclosed\n---\n", None),
        ("---\nratio: .nan\n---\n", None),
        ("# Heading\n---\ntags: [a]\n---\n", {}),
    ],
)
def test_front_matter_becomes_metadata_and_leaves_the_text_where_it_was(text, declared):
    found, rest = front_matter(text)
    assert found == declared
    assert len(rest) == len(text)
    assert rest.split() == (
        ["#", "Heading"] if "# Heading" in text and declared else [] if declared else text.split()
    )


@pytest.mark.parametrize(
    "declared",
    [
        "2024-01-01: released",
        "a: !!timestamp x",
        'a: !!int ""',
        "a: " + "[" * 2000,
        "a: " + "[" * 150 + "]" * 150,
        "n: 123456789012345678901234567890",
        'a: "\\ud800"',
    ],
    ids=["date as key", "no date", "no number", "never closed", "deep", "many digits", "half a character"],
)
def test_front_matter_that_metadata_cannot_hold_stays_text(declared):
    text = f"---\n{declared}\n---\nBody"
    assert front_matter(text) == (None, text)
