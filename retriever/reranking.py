"""What `retriever rerank-train` takes from this floor: the bundled reranker and hard negatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from retriever.config import RetrieverConfig
from retriever.loading import BUNDLED_RERANKER
from retriever.pipeline import Retriever
from retriever.types import Document


def bundled_model() -> Path:
    """Return the folder of the bundled reranker."""
    return BUNDLED_RERANKER


def first_stage(documents: Sequence[str]) -> Callable[[str, int], list[int]]:
    """Search documents by this project's first stage, vectors and BM25.

    :param documents: the texts; the same text given twice is one document.
    :return: takes a query and k, and returns the rows of the k best documents, best first.
    """
    rows = [Document(id=str(row), text=text) for row, text in enumerate(documents)]
    retriever = Retriever.from_corpus(rows, config=RetrieverConfig(reranker=None))

    def search(query: str, k: int) -> list[int]:
        return [int(one.id) for one in retriever.first_stage([query], limit=k)[0]]

    return search
