"""The demo's corpus: what people look for is in it, under the name they know, once."""

from __future__ import annotations

import sys

import pytest

from retriever.cli import stdlib_corpus
from retriever.cli.stdlib_corpus import documents_of, stdlib_documents
from retriever.errors import RetrieverError


@pytest.fixture(scope="module")
def documents():
    return {document.id: document for document in stdlib_documents()}


def test_the_whole_library_is_there(documents):
    assert len(documents) > 5_000
    assert {document.metadata["kind"] for document in documents.values()} == {
        "module",
        "class",
        "function",
        "method",
        "property",
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("subprocess", "module"),
        ("open", "function"),
        ("random.choice", "function"),
        ("os.listdir", "function"),
        ("os.path.basename", "function"),
        ("asyncio.gather", "function"),
        ("str.split", "method"),
        ("collections.Counter", "class"),
        ("pathlib.PurePath.suffix", "property"),
    ],
)
def test_known_names(documents, name, kind):
    assert documents[name].metadata["kind"] == kind
    assert documents[name].title == name


def test_signatures_are_kept(documents):
    assert documents["textwrap.shorten"].metadata["signature"].startswith("(text, width")


def test_no_text_comes_twice(documents):
    texts = [document.text for document in documents.values()]
    assert len(set(texts)) == len(texts)


def test_what_acts_when_imported_is_left_out(documents):
    roots = {document.metadata["module"].split(".")[0] for document in documents.values()}
    assert roots.isdisjoint({"antigravity", "this", "idlelib", "turtledemo", "test"})


def test_some_modules_alone():
    assert {document.metadata["module"].split(".")[0] for document in documents_of(["json"])} == {"json"}
    assert list(documents_of(["no_such_module_at_all"])) == []


def test_a_failing_process_is_an_error_that_says_how_to_look(monkeypatch, tmp_path):
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setattr(stdlib_corpus.sys, "executable", str(failing))
    with pytest.raises(RetrieverError, match=r"failed \(exit status 3\); run .* to see why"):
        list(stdlib_documents())
    assert sys.executable == str(failing)
