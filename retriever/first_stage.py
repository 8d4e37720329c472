"""The first stage: vectors and BM25 side by side, fused into one list of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rerank.feedback import with_feedback
from retriever.collection import Collection
from retriever.config import RetrieverConfig
from retriever.fusion import Ranked, fuse_rrf, fuse_zscore
from retriever.index.protocol import VectorIndex
from retriever.lexical.bm25_index import BM25Index
from retriever.types import Candidate, Filter, StageScore

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
T = TypeVar("T")

_AT_ONCE = 200_000  # passages; below, both halves together take less than what threads cost each other
_FIRST = 2  # times the documents wanted: under a filter of 1 % nine in ten of BM25's lists need be no longer
_REORDERED = 200  # documents that feedback puts in order; with 100 no other comes among the first hundred
_NOTHING: Ranked = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class _Documents:
    """Documents in their final order: row, place of the best passage in the lists, score, and its vector."""

    rows: list[int]
    places: list[int]
    fused: list[float]
    vectors: FloatArray | None


@dataclass(frozen=True, slots=True)
class _Lists:
    """What one query got from each index, and all of its passages with every score, best fused first."""

    dense: Ranked
    lexical: Ranked
    pids: IntArray
    fused: FloatArray
    similarities: FloatArray
    scores: FloatArray


def first_stage(
    collection: Collection, queries: Sequence[str], *, limit: int, filter: Filter | None = None
) -> list[list[Candidate]]:
    """Find the documents that may answer each query.

    Passages are searched and fused; a document stands where its best passage stands.

    :param collection: what is searched; the caller holds `collection.reading()`.
    :param queries: n questions.
    :param limit: at most this many documents a query.
    :param filter: only documents whose metadata passes.
    :return: n lists of candidates, best first; as many as `limit` where that many documents exist.
    :raises FilterError: if the filter is malformed.
    """
    if not queries:
        return []
    # The order of the first few must not hang on how many are wanted.
    ordered = (
        limit if collection.vectors is None or not collection.config.feedback else max(limit, _REORDERED)
    )
    allowed = None if filter is None else collection.store.matching(filter)
    reachable = collection.store.count_passages() if allowed is None else len(allowed)
    wide = max(collection.config.candidates, limit)
    while True:
        lists = _search(collection, queries, min(wide, reachable), ordered, allowed)
        rows = [collection.store.passages.rows_of(found.pids) for found in lists]
        ranked = [_documents(found_rows) for found_rows in rows]
        # Long documents can fill a list with many passages each; then more are asked for.
        if wide >= reachable or all(len(documents) >= limit for documents in ranked):
            break
        wide *= 4
    return [
        _candidates(collection, found, _ordered(collection, found, documents, ordered), limit)
        for found, documents in zip(lists, ranked, strict=True)
    ]


def _search(
    collection: Collection, queries: Sequence[str], k: int, limit: int, allowed: IntArray | None
) -> list[_Lists]:
    """Ask both indexes and fuse what they say."""
    config, vectors, lexical = collection.config, collection.vectors, collection.lexical
    if vectors is None and lexical is not None:
        return [_alone(_NOTHING, lexical.search(query, k, allowed=allowed)) for query in queries]
    if vectors is None:
        return [_alone(_NOTHING, _NOTHING) for _ in queries]
    encoded = collection.encoder.encode(list(queries))
    if lexical is None:
        return [_alone(found, _NOTHING) for found in vectors.search(encoded, k, allowed=allowed)]
    # Ranks alone tell nothing of what a longer list would bring.
    widening = config.fusion == "zscore" and allowed is not None and k < len(allowed)
    nearest, matches = _both(
        lambda: vectors.search(encoded, k, allowed=allowed),
        lambda: [
            _beginning(lexical, query, k, allowed, first=_FIRST * limit if widening else k)
            for query in queries
        ],
        at_once=len(vectors) >= _AT_ONCE,
    )
    spreads = collection.dense_spread(encoded) if config.fusion == "zscore" else np.zeros(len(queries))
    lists = []
    for query, vector, dense, (matched, longer), spread in zip(
        queries, encoded, nearest, matches, spreads, strict=True
    ):
        mix = partial(
            fuse_zscore,
            dense_spread=float(spread),
            lexical_spread=lexical.spread(query),
            dense_weight=config.dense_weight,
        )
        fuse = partial(
            _fused, mix, partial(_similarity, vectors, vector), partial(lexical.score, query), config, dense
        )
        found = fuse(_there(collection, matched))
        while widening and not _settled(collection, mix, found, limit):
            following = next(longer, None)
            if following is None:
                break
            found = fuse(_there(collection, following))
        lists.append(found)
    return lists


def _similarity(index: VectorIndex, query: FloatArray, pids: IntArray) -> FloatArray:
    """Return the cosine similarity of one query, shape (d,), to passages of the index."""
    similarities: FloatArray = index.vectors_of(pids) @ query
    return similarities


def _beginning(
    lexical: BM25Index, query: str, k: int, allowed: IntArray | None, *, first: int
) -> tuple[Ranked, Iterator[Ranked]]:
    """Return BM25's first list, and the longer ones that it has yet to look for."""
    if allowed is None or first >= k:
        return lexical.search(query, k, allowed=allowed), iter(())
    lists = lexical.search_widening(query, k, allowed=allowed, first=first)
    return next(lists), lists


def _there(collection: Collection, ranked: Ranked) -> Ranked:
    """Leave out what was removed since BM25's last commit, which another process may still have to make."""
    pids, scores = ranked
    there = collection.store.passages.rows_of(pids) >= 0
    return ranked if there.all() else (pids[there], scores[there])


def _fused(
    mix: Callable[[FloatArray, FloatArray], FloatArray],
    similarity: Callable[[IntArray], FloatArray],
    score: Callable[[IntArray], FloatArray],
    config: RetrieverConfig,
    dense: Ranked,
    matched: Ranked,
) -> _Lists:
    """Put both lists together, each passage with both scores, best fused first."""
    pids = np.union1d(dense[0], matched[0])
    similarities, scores = _completed(pids, dense, similarity), _completed(pids, matched, score)
    if config.fusion == "zscore":
        fused = mix(similarities, scores)
    else:
        fused = fuse_rrf(pids, dense[0], matched[0], dense_weight=config.dense_weight)
    # Ties go to the older passage.
    order = np.lexsort((pids, -fused))
    return _Lists(dense, matched, pids[order], fused[order], similarities[order], scores[order])


def _settled(
    collection: Collection, mix: Callable[[FloatArray, FloatArray], FloatArray], found: _Lists, limit: int
) -> bool:
    """Tell whether no passage that is on neither list can come among the first `limit` documents.

    Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2003 (the threshold algorithm).
    """
    if not len(found.dense[0]) or not len(found.lexical[0]):
        return False
    most = mix(found.dense[1][-1:], found.lexical[1][-1:])
    rows = collection.store.passages.rows_of(found.pids[found.fused > most])
    return len(np.unique(rows[rows >= 0])) >= limit


def _both(
    dense: Callable[[], list[Ranked]], lexical: Callable[[], list[T]], *, at_once: bool
) -> tuple[list[Ranked], list[T]]:
    """Ask both indexes, each on a thread of its own where that is worth one."""
    if not at_once:
        return dense(), lexical()
    with ThreadPoolExecutor(1) as executor:
        matched = executor.submit(lexical)
        return dense(), matched.result()


def _alone(dense: Ranked, lexical: Ranked) -> _Lists:
    """One half is off: the other's own scores are the fused ones."""
    pids, scores = dense if len(dense[0]) else lexical
    return _Lists(dense, lexical, pids, scores, scores, scores)


def _completed(pids: IntArray, ranked: Ranked, score: Callable[[IntArray], FloatArray]) -> FloatArray:
    """Lay a list's scores out over all passages, and have those it lacks scored too."""
    scores = np.empty(len(pids), dtype=np.float32)
    places = np.searchsorted(pids, ranked[0])
    absent = np.ones(len(pids), dtype=bool)
    absent[places] = False
    scores[places] = ranked[1]
    scores[absent] = score(pids[absent])
    return scores


def _documents(rows: IntArray) -> dict[int, int]:
    """Map documents' rows to the place of their best passage, in order."""
    found, places = np.unique(rows, return_index=True)
    places = places[found >= 0]  # what was deleted meanwhile has no row
    places.sort()
    return dict(zip(rows[places].tolist(), places.tolist(), strict=True))


def _ordered(collection: Collection, found: _Lists, documents: dict[int, int], count: int) -> _Documents:
    """Put the first documents in order once more, by what is like the best of them; the others follow."""
    rows, places = list(documents)[:count], np.fromiter(documents.values(), np.int64)[:count]
    fused = found.fused[places]
    share = collection.config.feedback
    if collection.vectors is None or not share:
        return _Documents(rows, places.tolist(), fused.tolist(), None)
    vectors = collection.vectors.vectors_of(found.pids[places])
    first, others = fused[:_REORDERED], fused[_REORDERED:]
    moved = with_feedback(first, vectors[:_REORDERED], share)
    if len(others):
        moved = np.concatenate([moved, others - first[-1] + moved.min()])
    order = np.argsort(-moved, kind="stable")
    return _Documents([rows[i] for i in order], places[order].tolist(), moved[order].tolist(), vectors[order])


def _candidates(collection: Collection, found: _Lists, documents: _Documents, limit: int) -> list[Candidate]:
    """Read the texts of the first `limit` documents and note where each stage put them."""
    rows = documents.rows[:limit]
    contents = collection.store.documents(rows)
    dense_ranks, lexical_ranks = _ranks(collection, found.dense), _ranks(collection, found.lexical)
    candidates: list[Candidate] = []
    for at, row in enumerate(rows):
        content, place = contents.get(row), documents.places[at]
        passage = -1 if content is None else int(found.pids[place]) - content.first
        # Another process may have deleted a document meanwhile, or replaced it: its passages are new then.
        if content is None or not 0 <= passage < len(content.spans):
            continue
        dense = lexical = None
        if collection.vectors is not None:
            dense = StageScore(dense_ranks.get(row), float(found.similarities[place]))
        if collection.lexical is not None:
            lexical = StageScore(lexical_ranks.get(row), float(found.scores[place]))
        fused = StageScore(len(candidates) + 1, documents.fused[at])
        candidates.append(
            Candidate(
                content.id,
                content.title,
                content.text,
                content.metadata,
                content.spans[passage],
                fused,
                dense,
                lexical,
                None if documents.vectors is None else documents.vectors[at],
            )
        )
    return candidates


def _ranks(collection: Collection, ranked: Ranked) -> dict[int, int]:
    """Give every document on a list its rank among the documents."""
    documents = _documents(collection.store.passages.rows_of(ranked[0]))
    return {row: rank for rank, row in enumerate(documents, start=1)}
