"""A tiny reranker for all tests of this package."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank import OnnxReranker
from tests.rerank.factories import reranker_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return reranker_folder(tmp_path_factory.mktemp("tiny") / "reranker")


@pytest.fixture(scope="session")
def reranker(folder: Path) -> OnnxReranker:
    return OnnxReranker(folder)
