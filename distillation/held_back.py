"""Questions that a corpus asks itself, and how well a table answers them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillation.sources import Pair, cloze_pairs
from rerank.pair_vectors import pair_vectors
from rerank.protocol import PairReranker, ReadingReranker, Reranker, TextReader
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from retriever.types import Document

if TYPE_CHECKING:
    from distillation.teacher import Teacher

_QUESTIONS = 600  # held back at most; more decide no better and cost time
_SHARE = 0.25  # of the documents
_JUDGED = 200  # questions whose candidates a judge scores,
_JUDGED_SLOWLY = 60  # where it reads each of them anew for every question
_CANDIDATES = 16
_CUTOFF = 10
_PASSAGE = 2000  # characters of a document that a judge reads


def own_pairs(documents: Sequence[Document], *, seed: int) -> list[Pair]:
    """Make pairs out of documents: titles and headings ask for what is under them, sentences for the rest.

    :param documents: the corpus.
    :param seed: chooses the sentences.
    :return: the pairs; the source says which kind.
    """
    titled = [Pair(d.title, d.text, "title") for d in documents if d.title.strip() and d.text.strip()]
    headed = [Pair(head, body, "heading") for d in documents for head, body in _sections(d.text)]
    return titled + headed + cloze_pairs(((d.title, d.text) for d in documents), source="cloze", seed=seed)


class HeldBack:
    """Questions with the one document that answers each, in a pool where its text lacks the question.

    :param questions: the texts.
    :param answers: int64 (n,), the pool's row that answers each question.
    :param pool: texts of the documents.
    :param documents: rows of the documents that were asked about.
    :param judged: scores of a teacher or reranker, or None.
    """

    def __init__(
        self,
        questions: list[str],
        answers: NDArray[np.int64],
        pool: list[str],
        documents: frozenset[int],
        judged: _Judged | None,
    ) -> None:
        self.questions, self.answers, self.pool = questions, answers, pool
        self.documents = documents
        self._judged = judged

    def scores(self, encoder: StaticEncoder) -> NDArray[np.float64]:
        """Score a table on each question.

        :param encoder: the table.
        :return: float64 (n,): nDCG@10 of the question's own document; where a judge scored the question's
            candidates, the mean of that and the correlation with the judge.
        """
        similarities = encoder.encode(self.questions) @ encoder.encode(self.pool).T
        own = similarities[np.arange(len(similarities)), self.answers]
        rank = 1 + (similarities > own[:, None]).sum(axis=1)
        gains: NDArray[np.float64] = np.where(rank <= _CUTOFF, 1 / np.log2(rank + 1.0), 0.0)
        if self._judged is not None:
            for row, (columns, wanted) in self._judged.items():
                gains[row] = (gains[row] + _correlation(similarities[row, columns], wanted)) / 2
        return gains


_Judged = dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]]


def hold_back(
    documents: Sequence[Document],
    encoder: StaticEncoder,
    *,
    judge: Reranker | Teacher | None = None,
    seed: int = 0,
) -> HeldBack:
    """Take questions out of a quarter of the documents.

    :param documents: the corpus.
    :param encoder: finds the candidates that the judge scores.
    :param judge: a reranker or teacher, or None.
    :param seed: chooses documents and sentences.
    :return: the questions.
    :raises InvalidInputError: if the documents have neither titles nor two sentences.
    """
    generator = np.random.default_rng(seed)
    pool = [f"{d.title}\n{d.text}" if d.title else d.text for d in documents]
    questions: list[str] = []
    answers: list[int] = []
    for turn, row in enumerate(generator.permutation(len(documents))[: _held(len(documents))].tolist()):
        found = _question(documents[row], by_title=turn % 2 == 0, seed=seed + row)
        if found is not None:
            questions.append(found.query)
            answers.append(row)
            pool[row] = found.positive
    if not questions:
        raise InvalidInputError(
            "no document has a title or two sentences, so nothing can be held back to check with"
        )
    judged = None if judge is None else _judge(judge, encoder, questions, answers, pool)
    return HeldBack(questions, np.array(answers, dtype=np.int64), pool, frozenset(answers), judged)


def _held(count: int) -> int:
    return min(_QUESTIONS, max(1, round(_SHARE * count)))


def _question(document: Document, *, by_title: bool, seed: int) -> Pair | None:
    """Ask for a document by its title or one of its sentences, whichever it has."""
    by_sentence = cloze_pairs([(document.title, document.text)], source="cloze", seed=seed)
    titled = bool(document.title.strip() and document.text.strip())
    if titled and (by_title or not by_sentence):
        return Pair(document.title, document.text, "title")
    return by_sentence[0] if by_sentence else None


def reader_of(model: Reranker | Teacher) -> TextReader | None:
    """Return what turns single texts into vectors, where the model does."""
    if isinstance(model, ReadingReranker):
        return model.reader
    return None if isinstance(model, Reranker) else model


def _judge(
    judge: Reranker | Teacher,
    encoder: StaticEncoder,
    questions: list[str],
    answers: list[int],
    pool: list[str],
) -> _Judged:
    """Have each of the first questions' best candidates, and its own document, scored."""
    judged = questions[: _JUDGED_SLOWLY if reader_of(judge) is None else _JUDGED]
    similarities = encoder.encode(judged) @ encoder.encode(pool).T
    best = np.argsort(-similarities, axis=1)[:, :_CANDIDATES]
    columns = [np.unique(np.append(row, answer)) for row, answer in zip(best, answers, strict=False)]
    pairs = [
        (question, pool[column][:_PASSAGE])
        for question, row in zip(judged, columns, strict=True)
        for column in row.tolist()
    ]
    wanted = np.split(_scored(judge, pairs), np.cumsum([len(row) for row in columns])[:-1])
    return dict(enumerate(zip(columns, wanted, strict=True)))


def _scored(judge: Reranker | Teacher, pairs: list[tuple[str, str]]) -> NDArray[np.float32]:
    """Have pairs scored; a text that a judge can read by itself is read once."""
    if isinstance(judge, PairReranker):
        return judge.score_pairs(pairs)
    if isinstance(judge, Reranker):
        by_question = groupby(pairs, key=lambda pair: pair[0])
        return np.concatenate(
            [judge.score(asked, [text for _, text in group]) for asked, group in by_question]
        )
    left, right = pair_vectors(judge.encode, pairs)
    return np.asarray((left * right).sum(axis=1), dtype=np.float32)


def _correlation(given: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return Pearson's correlation; 0 where one side is constant."""
    left, right = given - given.mean(), wanted - wanted.mean()
    length = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / length if length > 0 else 0.0


def _sections(text: str) -> list[tuple[str, str]]:
    """Return Markdown headings with the text under them, up to the next one."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("#") and line.lstrip("#").startswith(" "):
            found.append((line.lstrip("#").strip(), []))
        elif found:
            found[-1][1].append(line)
    pairs = [(heading, "\n".join(lines).strip()) for heading, lines in found]
    return [(heading, body) for heading, body in pairs if heading and body]
