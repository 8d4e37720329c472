"""Tuning a table to one corpus without labels: its frequencies, its spread, and a teacher if there is one.

Documents ask and answer for themselves: a title asks for its text, a sentence for the rest of its document.
Some of these pairs are held back, and no change is kept that does not find more of them than before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillation.bags import TokenBags, tokenize
from distillation.held_back import HeldBack, hold_back, own_pairs
from distillation.tables import token_rows, with_rows
from distillation.whitening import unit_vectors, whitening
from rerank.protocol import Reranker
from retriever.documents import DocumentLike, to_documents
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from retriever.types import Document

if TYPE_CHECKING:
    from distillation.teacher import Teacher

FEWEST_DOCUMENTS = 50  # below, nothing can be learned and nothing checked
_SAMPLE = 20_000  # documents that spread and frequencies are learned from
_WHITENING = (0.05, 0.1)  # stronger ones gained on some corpora and lost on others
_RARITY = (0.15, 0.25)
_CONFIDENCE = 1.28  # standard errors: one-sided 90 %
_STEPS = (50, 400)  # batches of training with a teacher, at least and at most
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What came of an adaptation.

    :param encoder: the adapted encoder, or the one given where nothing was better.
    :param before: score of the encoder given on the held-back pairs, 0 to 1.
    :param after: score of the result.
    :param changes: what was changed, in words; empty where nothing was.
    :param held_back: how many pairs decided.
    """

    encoder: StaticEncoder
    before: float
    after: float
    changes: tuple[str, ...]
    held_back: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A table with its scores on the held-back pairs."""

    encoder: StaticEncoder
    scores: NDArray[np.float64]
    changes: tuple[str, ...] = field(default=())


def adapt(
    encoder: StaticEncoder,
    corpus: Iterable[DocumentLike],
    *,
    teacher: Reranker | Teacher | str | Path | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Adaptation:
    """Tune a table to an unlabelled corpus.

    Tokens weigh more the rarer they are in this corpus, and its vectors are spread more evenly (partial
    whitening); how much of both is chosen on the held-back pairs. A sentence-transformers teacher also trains
    the table on the corpus's own pairs. A teacher or reranker judges, too: what is kept agrees with it more.

    :param encoder: the table to start from.
    :param corpus: documents, as `Retriever.from_corpus` takes them.
    :param teacher: a reranker, a sentence-transformers model (folder, hub id or loaded), or None.
    :param seed: decides which pairs are held back.
    :param progress: called with what is being done.
    :return: the better encoder and the scores that decided.
    :raises InvalidInputError: if there are fewer than `FEWEST_DOCUMENTS` documents.
    """
    say = progress or _nothing
    documents = _sample(list(to_documents(corpus)), seed)
    model = _loaded(teacher)
    say("holding questions back")
    held = hold_back(documents, encoder, judge=model, seed=seed)
    start = best = _Candidate(encoder, held.scores(encoder))
    if model is not None and not isinstance(model, Reranker):
        say(f"training with {model.name}")
        trained = _trained(encoder, documents, held, model, seed)
        best = _better(best, _Candidate(trained, held.scores(trained), (f"trained with {model.name}",)))
    say("whitening and weighting")
    bags = tokenize(encoder, [_text(document) for document in documents])
    for reshaped in (_whitened, _reweighted):
        # One at a time, so that the second must be worth something beside the first.
        candidates = reshaped(best, bags, held)
        best = _better(best, max(candidates, key=lambda candidate: float(candidate.scores.mean())))
    return Adaptation(
        encoder=best.encoder,
        before=float(start.scores.mean()),
        after=float(best.scores.mean()),
        changes=best.changes,
        held_back=len(start.scores),
    )


def rarity(bags: TokenBags, tokens: int) -> NDArray[np.float32]:
    """Return how rare each token is among texts: log((n + 1) / (df + 1/2)) / log(n + 1), at least 0.

    Robertson and Spärck Jones's inverse document frequency, scaled so that an unseen token counts about 1.

    :param bags: the texts.
    :param tokens: rows of the table.
    :return: float32 (tokens,).
    """
    count = len(bags)
    text = np.repeat(np.arange(count, dtype=np.int64), np.diff(bags.offsets))
    seen = np.unique(text * tokens + bags.ids) % tokens
    frequency = np.bincount(seen, minlength=tokens)
    inverse = np.log((count + 1) / (frequency + 0.5)) / np.log(count + 1)
    rare: NDArray[np.float32] = np.maximum(inverse, 0).astype(np.float32)
    return rare


def _whitened(start: _Candidate, bags: TokenBags, held: HeldBack) -> Iterator[_Candidate]:
    """Yield the table whitened more and more, scored."""
    rows = token_rows(start.encoder)
    vectors = unit_vectors(rows, bags)
    for strength in _WHITENING:
        encoder = with_rows(start.encoder, rows @ whitening(vectors, strength))
        yield _Candidate(encoder, held.scores(encoder), (*start.changes, f"whitened by {strength}"))


def _reweighted(start: _Candidate, bags: TokenBags, held: HeldBack) -> Iterator[_Candidate]:
    """Yield the table with rare tokens weighted more and more, scored."""
    rows = token_rows(start.encoder)
    rare = rarity(bags, len(rows))
    for power in _RARITY:
        encoder = with_rows(start.encoder, rows * rare[:, None] ** power)
        change = f"rare tokens weighted by idf^{power}"
        yield _Candidate(encoder, held.scores(encoder), (*start.changes, change))


def _better(old: _Candidate, new: _Candidate) -> _Candidate:
    """Return the new table if it gains by more than chance gives one time in ten (paired, one-sided)."""
    gains = new.scores - old.scores
    error = gains.std() / max(len(gains), 1) ** 0.5
    return new if gains.mean() > _CONFIDENCE * error else old


def _trained(
    encoder: StaticEncoder, documents: Sequence[Document], held: HeldBack, teacher: Teacher, seed: int
) -> StaticEncoder:
    """Train on the pairs of all documents that are not held back, after the teacher."""
    from distillation.training import TeacherVectors, TrainingConfig, train

    kept = [document for row, document in enumerate(documents) if row not in held.documents]
    pairs = own_pairs(kept, seed=seed)
    vectors = TeacherVectors(
        teacher.encode([pair.query for pair in pairs]), teacher.encode([pair.positive for pair in pairs])
    )
    steps = int(np.clip(10 * len(pairs) // _BATCH, *_STEPS))
    config = TrainingConfig(
        steps=steps, batch_size=_BATCH, learning_rate=0.01, weight_learning_rate=0.003, seed=seed
    )
    return train(encoder, pairs, teachers=[vectors], config=config)


def _loaded(teacher: Reranker | Teacher | str | Path | None) -> Reranker | Teacher | None:
    """Load a teacher that is given by name."""
    if not isinstance(teacher, str | Path):
        return teacher
    from distillation.teacher import Teacher

    return Teacher(teacher)


def _sample(documents: list[Document], seed: int) -> list[Document]:
    """Return at most `_SAMPLE` documents, drawn evenly."""
    if len(documents) < FEWEST_DOCUMENTS:
        raise InvalidInputError(
            f"adapting needs {FEWEST_DOCUMENTS} documents or more, not {len(documents)}: "
            "with fewer, nothing can be learned that could be checked"
        )
    if len(documents) <= _SAMPLE:
        return documents
    chosen = np.random.default_rng(seed).choice(len(documents), _SAMPLE, replace=False)
    return [documents[row] for row in np.sort(chosen)]


def _text(document: Document) -> str:
    return f"{document.title}\n{document.text}" if document.title else document.text


def _nothing(_: str) -> None:
    return None
