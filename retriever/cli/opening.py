"""Opens a collection, says what had to be made good, and gets it ready to be timed."""

from __future__ import annotations

import time
from pathlib import Path

from retriever.cli.console import say
from retriever.pipeline import Retriever


def open_collection(directory: Path) -> Retriever:
    """Open a collection; tell when an interrupted write was completed.

    :param directory: its folder.
    :return: the retriever.
    :raises CollectionError: if it is absent, damaged or newer than this version.
    """
    retriever = Retriever.open(directory)
    if retriever.collection.recovered:
        say(
            f"{directory}: an earlier write was interrupted; {retriever.collection.recovered:,} passages "
            "that were saved but not yet indexed have been indexed now"
        )
    return retriever


def warm_up(retriever: Retriever, *, rerank: bool = True) -> float:
    """Load the models, which a first search would do otherwise.

    :param retriever: an open collection.
    :param rerank: whether the reranker is needed.
    :return: how long it took, in seconds.
    """
    started = time.perf_counter()
    retriever.first_stage(["ready"], limit=1)
    if rerank:
        _ = retriever.reranker
    return time.perf_counter() - started
