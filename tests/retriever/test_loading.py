"""What the names in a configuration stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from retriever.config import RetrieverConfig
from retriever.errors import RetrieverError
from retriever.loading import BUNDLED_RERANKER, load_named_reranker, load_reranker

LARGEST = 24_500_000  # bytes of the bundled reranker's folder


def test_the_bundled_reranker_finds_the_answer() -> None:
    reranker = load_reranker(RetrieverConfig())
    assert reranker is not None
    scores = reranker.score(
        "who discovered penicillin", ["Mould grows on bread.", "Fleming found penicillin in 1928."]
    )
    assert scores[1] > scores[0]


def test_the_bundled_reranker_is_small() -> None:
    assert sum(file.stat().st_size for file in BUNDLED_RERANKER.iterdir()) < LARGEST


def test_no_name_is_no_reranker() -> None:
    assert load_reranker(RetrieverConfig(reranker=None)) is None


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RetrieverError, match=str(tmp_path)):
        load_named_reranker(tmp_path)
