"""What the names in a configuration stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from retriever.config import RetrieverConfig
from retriever.errors import ModelError, RetrieverError
from retriever.loading import BUNDLED_RERANKERS, load_named_reranker, load_reranker

LARGEST = 24_000_000  # bytes of a bundled reranker's model


@pytest.mark.parametrize("name", BUNDLED_RERANKERS)
def test_the_bundled_rerankers_find_the_answer(name: str) -> None:
    reranker = load_reranker(RetrieverConfig(reranker=name))
    assert reranker is not None
    scores = reranker.score(
        "who discovered penicillin", ["Mould grows on bread.", "Fleming found penicillin in 1928."]
    )
    assert scores[1] > scores[0]


@pytest.mark.parametrize("folder", BUNDLED_RERANKERS.values(), ids=str)
def test_the_bundled_rerankers_are_small(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir() if file.suffix != ".md") < LARGEST


@pytest.mark.parametrize("folder", BUNDLED_RERANKERS.values(), ids=str)
def test_a_training_can_start_from_the_bundled_rerankers(folder: Path) -> None:
    pytest.importorskip("onnx")
    start = pytest.importorskip("rerank.train.start")
    model, tokenizer = start.start_from(folder)
    assert model.shape.vocabulary == tokenizer.get_vocab_size()


def test_a_folder_without_a_model_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ModelError, match="has no model in it"):
        load_named_reranker(tmp_path)


def test_an_unknown_name_is_told_which_there_are() -> None:
    with pytest.raises(
        RetrieverError, match="no reranker at 'Fast'.*'bundled' and 'fast' are in this package"
    ):
        load_named_reranker("Fast")


def test_a_bundled_name_goes_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fast").mkdir()
    monkeypatch.chdir(tmp_path)
    assert RetrieverConfig(reranker="fast").reranker == "fast"
    assert RetrieverConfig(reranker="./fast").reranker == str(tmp_path / "fast")


def test_no_name_is_no_reranker() -> None:
    assert load_reranker(RetrieverConfig(reranker=None)) is None


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RetrieverError, match=str(tmp_path)):
        load_named_reranker(tmp_path)
