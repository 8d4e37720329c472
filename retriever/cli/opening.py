"""Opens a collection and says what had to be made good."""

from __future__ import annotations

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
