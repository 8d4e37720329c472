"""A tiny reranker for all tests of this package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rerank import OnnxReranker
from tests.rerank.factories import plain, reranker_folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx")
    return reranker_folder(tmp_path_factory.mktemp("tiny") / "reranker")


@pytest.fixture(scope="session")
def reranker(folder: Path) -> OnnxReranker:
    return OnnxReranker(folder)


@pytest.fixture(scope="session")
def probe_sentences() -> set[str]:
    probe = (Path(__file__).parent / "data" / "probe.jsonl").read_text(encoding="utf-8")
    pairs = [json.loads(line) for line in probe.splitlines()]
    return {plain(pair[side]) for pair in pairs for side in ("query", "right", "wrong")}
