import os

import pytest

from retriever import Retriever, RetrieverConfig
from tests.factories import CORPUS, tiny_encoder

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when haystack is imported


@pytest.fixture
def saved(tmp_path):
    """The folder of a collection that opens without anything being handed in."""
    tiny_encoder().save(tmp_path / "encoder")
    config = RetrieverConfig(encoder=str(tmp_path / "encoder"), reranker=None, passage_overlap=0)
    Retriever.from_corpus(CORPUS, path=tmp_path / "notes", config=config).close()
    return tmp_path / "notes"
