"""HTML becomes what a reader of the page sees, however broken the page is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.errors import SourceError
from retriever.ingest.html_pages import read_html

HERE = Path("page.html")


def read(page: str) -> tuple[str, str]:
    return read_html(page.encode(), HERE)


def test_title_and_blocks():
    head = "<title>A  page</title><nav>Home</nav><h1>Head</h1>"
    body = "<p>One <b>bold</b> word.<p>Two &amp; three<br>four"
    assert read(head + body) == ("A page", "Head\nOne bold word.\nTwo & three\nfour")


def test_the_first_heading_is_the_title_where_the_head_has_none():
    assert read("<h1>Head <i>line</i></h1><h1>Other</h1>")[0] == "Head line"


def test_what_a_reader_does_not_see_is_left_out():
    unseen = "<script>var a = '</p>';</script><style>p{}</style><template>t</template>"
    assert read(unseen + "<p>seen")[1] == "seen"


def test_a_row_of_a_table_is_one_line():
    table = "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>"
    assert read(table)[1] == "a b\nc"


def test_preformatted_text_keeps_its_indent():
    assert read("<pre>if x:\n    y</pre>")[1] == "if x:\n    y"


def test_an_unclosed_navigation_does_not_swallow_the_page():
    assert read("<nav>Home<p>Text")[1] == "Home\nText"


def test_the_declared_encoding_is_used():
    page = '<meta charset="iso-8859-1"><p>Größe'.encode("latin-1")
    assert read_html(page, HERE)[1] == "Größe"


def test_an_undeclared_encoding_is_an_error():
    with pytest.raises(SourceError, match=r"page\.html is not UTF-8"):
        read_html("<p>Größe".encode("latin-1"), HERE)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<",
                "<!",
                "<![",
                "[",
                "if",
                "cdata",
                "foo",
                "]>",
                ">",
                "--",
                "<p>",
                "</",
                "<script",
                "&#",
                "a",
                "<?",
                '"',
            ]
        ),
        max_size=14,
    )
)
def test_no_page_breaks_the_reader(pieces):
    read("".join(pieces))
