"""One word on the command line to judged queries and the collection they are about."""

from __future__ import annotations

from pathlib import Path

from eval.datasets import (
    IR_DATASETS_PREFIX,
    Dataset,
    load_beir,
    load_ir_datasets,
    load_questions,
    load_topics,
)
from retriever import Retriever
from retriever.errors import CollectionNotFoundError, InvalidInputError, SourceError
from retriever.loading import load_named_reranker


def open_source(
    source: str,
    *,
    questions: Path | None = None,
    queries: Path | None = None,
    qrels: Path | None = None,
    split: str = "test",
    reranker: str | None = None,
) -> tuple[Dataset, Retriever | None]:
    """Find out what a source is and load its queries.

    :param source: a BEIR folder, a collection's folder, or "irds:" and an ir_datasets id.
    :param questions: one's own questions as CSV, for a collection.
    :param queries: queries, for a collection, together with `qrels`.
    :param qrels: judgments of `queries`.
    :param split: which judgments of a BEIR folder.
    :param reranker: a reranker for an existing collection in place of its own; "none" leaves its own.
    :return: the judged queries, and the opened collection where the source is one.
    :raises SourceError: if the source is nothing of these, or a file is malformed.
    :raises InvalidInputError: if the options do not fit the source or each other.
    """
    if source.startswith(IR_DATASETS_PREFIX):
        return load_ir_datasets(source), None
    folder = Path(source)
    own = questions is not None or queries is not None or qrels is not None
    if not folder.is_dir():
        raise SourceError(
            f"{source} is no folder; give a BEIR folder, a collection's folder, or {IR_DATASETS_PREFIX}ID"
        )
    if (folder / "corpus.jsonl").is_file() and not own:
        return load_beir(folder, split=split), None
    other = None if reranker is None or reranker == "none" else load_named_reranker(reranker)
    try:
        retriever = Retriever.open(folder, reranker=other)
    except CollectionNotFoundError:
        raise SourceError(
            f"{source} is neither a BEIR folder (corpus.jsonl, queries.jsonl, qrels/) nor a collection; "
            "make a collection with: retriever index SOURCE --out DIR"
        ) from None
    try:
        return _own_queries(folder, questions, queries, qrels), retriever
    except BaseException:
        retriever.close()
        raise


def _own_queries(folder: Path, questions: Path | None, queries: Path | None, qrels: Path | None) -> Dataset:
    """Load the queries that are asked of an existing collection."""
    if questions is not None:
        if queries is not None or qrels is not None:
            raise InvalidInputError("give either --questions or --queries with --qrels, not both")
        return load_questions(questions)
    if queries is None or qrels is None:
        raise InvalidInputError(
            f"{folder} is a collection, which has no questions of its own: give --questions FILE.csv, "
            f"or --queries with --qrels, or make some with: retriever questions {folder} --out DIR"
        )
    return load_topics(queries, qrels)
