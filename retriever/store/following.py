"""One change of the store and of what is derived from it, in threads of their own where it is a large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from retriever.store.document_store import DocumentStore
from retriever.store.records import Change, StoredDocument

Follower = Callable[[Change], None]
"""Brings something derived up to a change."""

_BESIDE_FROM = 1000  # documents a change, from which on threads are worth their start


def change_with_followers(
    store: DocumentStore,
    followers: Sequence[Follower],
    *,
    insert: Sequence[StoredDocument] = (),
    remove: Sequence[str] = (),
    undo: Callable[[], None],
) -> None:
    """Change the store, and what follows it at the same time.

    SQLite, FAISS and tantivy compute without the interpreter, so they need not wait for each other.

    :param followers: told of the change; while the store writes it, where it is a large one.
    :param insert: new documents, see `DocumentStore.apply`.
    :param remove: ids of documents to remove.
    :param undo: makes the followers forget a change that the store could not make.
    :raises StorageFullError: if the disk is full; nothing was changed then.
    """
    if len(insert) < _BESIDE_FROM:
        change = store.apply(insert=insert, remove=remove)
        for follow in followers:
            follow(change)
        return
    with ThreadPoolExecutor(max(1, len(followers))) as beside:
        begun: list[Future[None]] = []

        def begin(change: Change) -> None:
            begun.extend(beside.submit(follow, change) for follow in followers)

        try:
            store.apply(insert=insert, remove=remove, foreseen=begin)
        except BaseException:
            wait(begun)
            undo()
            raise
    for follower in begun:
        follower.result()
