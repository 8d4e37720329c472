"""Where an answer was lost: never found, found too deep to be reranked, or put down by the reranker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from eval.metrics import Judge
from eval.runs import Qrels, Rankings
from retriever.errors import InvalidInputError
from retriever.types import Document

Fate = Literal["answered", "never found", "too deep", "demoted", "not lifted"]

FATES: dict[Fate, str] = {
    "answered": "a relevant document is among the first k",
    "never found": "stage one: no relevant document among the candidates",
    "too deep": "depth: a relevant document was found, but below what is reranked",
    "demoted": "stage two: the first stage had it among the first k, the reranker moved it out",
    "not lifted": "stage two: it was reranked, and stayed below the first k",
}


@dataclass(frozen=True, slots=True)
class QueryFate:
    """What became of one query's best relevant document.

    :param query: the query's id.
    :param fate: one of FATES.
    :param document: the relevant document that ended highest; where none was found, the one graded highest.
    :param first_rank: its rank in the first stage, 1 for the best; None where it was not found.
    :param final_rank: its rank in the end; None where it was not found.
    """

    query: str
    fate: Fate
    document: str
    first_rank: int | None
    final_rank: int | None


@dataclass(frozen=True, slots=True)
class Attribution:
    """The fate of every query that has a relevant document.

    :param k: an answer among the first k counts as answered.
    :param depth: how many candidates were reranked; 0 for none.
    :param fates: one a query.
    :param rescued: queries answered only thanks to the reranker.
    """

    k: int
    depth: int
    fates: tuple[QueryFate, ...]
    rescued: int

    def counts(self) -> dict[Fate, int]:
        """Return how many queries met each fate; the counts add up to the number of queries."""
        return {fate: sum(query.fate == fate for query in self.fates) for fate in FATES}

    def shares(self) -> dict[Fate, float]:
        """Return the share of queries that met each fate; the shares add up to one."""
        return {fate: count / len(self.fates) for fate, count in self.counts().items()}

    def worst(self, fate: Fate, limit: int = 5) -> list[QueryFate]:
        """Return the queries hit hardest by one fate.

        :param fate: one of FATES.
        :param limit: at most this many.
        :return: those whose document fell furthest, or was found deepest, first.
        """
        hit = [query for query in self.fates if query.fate == fate]
        if fate == "demoted":
            hit.sort(key=lambda query: (query.first_rank or 0) - (query.final_rank or 0))
        else:
            hit.sort(key=lambda query: -(query.first_rank or 0))
        return hit[:limit]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {
            "k": self.k,
            "depth": self.depth,
            "queries": len(self.fates),
            "counts": self.counts(),
            "shares": self.shares(),
            "rescued_by_reranker": self.rescued,
            "fates": [asdict(query) for query in self.fates],
        }


@dataclass(frozen=True, slots=True)
class LostQuery:
    """A lost query with its texts, for people to read.

    :param query: the query's text.
    :param fate: what became of it.
    :param document: the relevant document, or None where the corpus does not hold it.
    """

    query: str
    fate: QueryFate
    document: Document | None


def attribute(first: Rankings, final: Rankings, qrels: Qrels, *, depth: int, k: int = 10) -> Attribution:
    """Say for each query where its relevant documents were lost, if they were.

    A query is judged by the relevant document that ended highest: it is answered if that one is among the
    first k. Otherwise its relevant document that the first stage ranked highest decides who lost it.

    :param first: document ids by query as the first stage ranked them.
    :param final: the same documents after reranking.
    :param qrels: the judgments; queries without a relevant document are left out.
    :param depth: how many of the first stage's documents were reranked.
    :param k: how far down a reader looks.
    :return: every query's fate.
    :raises InvalidInputError: if no query has a relevant document.

    >>> attribute({"q": ["a", "b"]}, {"q": ["b", "a"]}, {"q": {"b": 1}}, depth=2, k=1).counts()["answered"]
    1
    """
    fates = []
    rescued = 0
    for query, grades in qrels.items():
        relevant = {document: grade for document, grade in grades.items() if grade > 0}
        if not relevant:
            continue
        found = _fate(query, relevant, _ranks(first.get(query, ())), _ranks(final.get(query, ())), depth, k)
        fates.append(found)
        rescued += found.fate == "answered" and not any(
            document in relevant for document in list(first.get(query, ()))[:k]
        )
    if not fates:
        raise InvalidInputError("no query has a relevant document: there is nothing to attribute")
    return Attribution(k, depth, tuple(fates), rescued)


def perfect_reranking(
    first: Rankings, qrels: Qrels, depths: Sequence[int], *, measure: str = "nDCG@10"
) -> dict[int, float]:
    """Say what a perfect reranker would reach at each depth: the first stage's upper bound.

    :param first: document ids by query as the first stage ranked them.
    :param qrels: the judgments.
    :param depths: how many documents it may reorder.
    :param measure: a name that ir_measures parses.
    :return: depth to the mean of the measure.
    """
    judge = Judge(qrels, [measure])
    bounds = {}
    for depth in depths:
        ideal = {
            query: sorted(documents[:depth], key=lambda document, q=query: -qrels.get(q, {}).get(document, 0))  # type: ignore[misc]
            + list(documents[depth:])
            for query, documents in first.items()
        }
        bounds[depth] = judge.score(ideal).mean(measure)
    return bounds


def with_texts(
    fates: Sequence[QueryFate], queries: Mapping[str, str], documents: Iterable[Document]
) -> list[LostQuery]:
    """Add the texts of queries and documents.

    :param fates: whose texts are wanted.
    :param queries: query id to text.
    :param documents: the corpus.
    :return: one a fate, in its order.
    """
    wanted = {fate.document for fate in fates}
    texts = {document.id: document for document in documents if document.id in wanted} if wanted else {}
    return [LostQuery(queries.get(fate.query, fate.query), fate, texts.get(fate.document)) for fate in fates]


def _ranks(documents: Sequence[str]) -> dict[str, int]:
    return {document: rank for rank, document in enumerate(documents, 1)}


def _fate(
    query: str,
    relevant: dict[str, int],
    first: dict[str, int],
    final: dict[str, int],
    depth: int,
    k: int,
) -> QueryFate:
    """Decide one query's fate."""
    found = [document for document in relevant if document in first]
    if not found:
        return QueryFate(
            query, "never found", max(relevant, key=lambda document: relevant[document]), None, None
        )
    last = len(final) + 1
    ended = min(found, key=lambda document: final.get(document, last))
    if final.get(ended, last) <= k:
        return QueryFate(query, "answered", ended, first[ended], final.get(ended))
    began = min(found, key=lambda document: first[document])
    if first[began] <= k:
        fate: Fate = "demoted"
    elif first[began] <= depth:
        fate = "not lifted"
    else:
        fate = "too deep"
    return QueryFate(query, fate, began, first[began], final.get(began))
