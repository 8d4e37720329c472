"""The first stage: vectors and BM25 side by side, fused into one list of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retriever.collection import Collection
from retriever.config import RetrieverConfig
from retriever.fusion import Ranked, fuse_rrf, fuse_zscore
from retriever.types import Candidate, Filter, StageScore

IntArray = NDArray[np.int64]

_NOTHING: Ranked = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class _Lists:
    """What one query got from the indexes, best passage first."""

    dense: Ranked
    lexical: Ranked
    fused: Ranked

    @property
    def pids(self) -> IntArray:
        return self.fused[0]


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
    allowed = None if filter is None else collection.store.matching(filter)
    reachable = collection.store.count_passages() if allowed is None else len(allowed)
    wide = max(collection.config.candidates, limit)
    while True:
        lists = _search(collection, queries, min(wide, reachable), allowed)
        spans = collection.store.spans(np.unique(np.concatenate([found.pids for found in lists])).tolist())
        ranked = [_documents(found.fused[0], spans) for found in lists]
        # Long documents can fill a list with many passages each; then more are asked for.
        if wide >= reachable or all(len(documents) >= limit for documents in ranked):
            break
        wide *= 4
    return [
        _candidates(collection, found, documents, spans, limit)
        for found, documents in zip(lists, ranked, strict=True)
    ]


def _search(collection: Collection, queries: Sequence[str], k: int, allowed: IntArray | None) -> list[_Lists]:
    """Ask both indexes and fuse what they say."""
    dense = lexical = [_NOTHING] * len(queries)
    if collection.vectors is not None:
        dense = collection.vectors.search(collection.encoder.encode(queries), k, allowed=allowed)
    if collection.lexical is not None:
        lexical = [collection.lexical.search(query, k, allowed=allowed) for query in queries]
    pairs = zip(dense, lexical, strict=True)
    return [_Lists(one, other, _fuse(collection.config, one, other)) for one, other in pairs]


def _fuse(config: RetrieverConfig, dense: Ranked, lexical: Ranked) -> Ranked:
    """Fuse two lists; where only one half is on, its own scores stay."""
    if not config.lexical:
        return dense
    if not config.dense:
        return lexical
    fuse = fuse_zscore if config.fusion == "zscore" else fuse_rrf
    return fuse(dense, lexical, config.dense_weight)


def _documents(pids: IntArray, spans: dict[int, tuple[int, int, int]]) -> dict[int, int]:
    """Map documents' rows to the place of their best passage, in order."""
    places: dict[int, int] = {}
    for place, pid in enumerate(pids.tolist()):
        if pid in spans:
            places.setdefault(spans[pid][0], place)
    return places


def _candidates(
    collection: Collection,
    found: _Lists,
    documents: dict[int, int],
    spans: dict[int, tuple[int, int, int]],
    limit: int,
) -> list[Candidate]:
    """Read the texts of the first `limit` documents and note where each stage put them."""
    rows = list(documents)[:limit]
    contents = collection.store.documents(rows)
    dense = _stage_scores(found.dense, spans)
    lexical = _stage_scores(found.lexical, spans)
    candidates = []
    for rank, row in enumerate((row for row in rows if row in contents), start=1):
        place = documents[row]
        _, start, stop = spans[int(found.pids[place])]
        id, title, text, _ = contents[row]
        candidates.append(
            Candidate(
                id=id,
                row=row,
                title=title,
                passage=text[start:stop],
                span=(start, stop),
                fused=StageScore(rank, float(found.fused[1][place])),
                dense=dense.get(row),
                lexical=lexical.get(row),
            )
        )
    return candidates


def _stage_scores(ranked: Ranked, spans: dict[int, tuple[int, int, int]]) -> dict[int, StageScore]:
    """Give every document its rank among documents and its best passage's score in one list."""
    scores: dict[int, StageScore] = {}
    pairs: Iterable[tuple[int, float]] = zip(ranked[0].tolist(), ranked[1].tolist(), strict=True)
    for pid, score in pairs:
        row = spans[pid][0] if pid in spans else None
        if row is not None and row not in scores:
            scores[row] = StageScore(len(scores) + 1, score)
    return scores
