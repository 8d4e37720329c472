"""Tuning a table to one corpus without labels: trained on what it asks itself, after a teacher if there is.

Passages ask and answer for themselves: a title asks for its text, a sentence for the rest of its passage.
Some of these pairs are held back, and what was learnt from the others is kept only where it finds more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distillation.held_back import hold_back, own_pairs, reader_of
from distillation.sources import Pair
from distillation.tables import token_rows, with_rows
from rerank.checks import check_counts
from rerank.pair_vectors import pair_vectors
from rerank.protocol import Reranker, TextReader
from retriever.config import RetrieverConfig
from retriever.documents import DocumentLike, to_documents
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from retriever.loading import BUNDLED_RERANKERS, load_named_reranker
from retriever.preparation import PassageSplitter
from retriever.types import Document

if TYPE_CHECKING:
    from distillation.teacher import Teacher
    from distillation.training import TeacherVectors

FEWEST_PASSAGES = 50  # below, nothing can be learned and nothing checked
_SAMPLE = 20_000  # passages that are learned from
_CONFIDENCE = 1.28  # standard errors: one-sided 90 %
_PASSES = 15  # over the corpus's pairs
_STEPS = (100, 800)  # batches, at least and at most
_BATCH = 256  # pairs; all of one corpus, so that even chance neighbours are hard to tell apart
_RATE = 0.03  # after a teacher
_RATE_ALONE = 0.005  # questions of the corpus's own alone lead astray if followed far
_WAY = 0.5  # of the way to what was learnt: what the table knew before is not all forgotten

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What came of an adaptation.

    :param encoder: the adapted encoder, or the one given where nothing was better.
    :param before: score of the encoder given on the held-back pairs, 0 to 1.
    :param after: score of the result; of what was trained without them, where the result has seen them too.
    :param changes: what was changed, in words; empty where nothing was.
    :param held_back: how many pairs decided.
    """

    encoder: StaticEncoder
    before: float
    after: float
    changes: tuple[str, ...]
    held_back: int


def adapt(
    encoder: StaticEncoder | str | Path,
    corpus: Iterable[DocumentLike],
    *,
    teacher: Reranker | Teacher | str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Adaptation:
    """Tune a table to an unlabelled corpus.

    Its titles ask for their texts and its sentences for the rest of theirs, and the table is trained on that.
    A teacher makes much more of it: any sentence-transformers model, or a reranker that reads texts apart, as
    the bundled one does, reads the corpus, and the table learns to find alike what the teacher finds
    alike. The result is checked on questions that it did not see, then trained again with them. Teachers
    judge, too, and so do rerankers that cannot teach: what is kept agrees with them more.

    :param encoder: the table to start from, or its name; of an int8 one the result is int8, too.
    :param corpus: documents, as `Retriever.from_corpus` takes them.
    :param teacher: "bundled" or "fast" for a bundled reranker, any other reranker, a sentence-transformers
        model (folder, hub id or loaded), or None.
    :param seed: decides which pairs are held back.
    :param progress: called with what is being done, how much of it is done and how much there is to do.
    :return: the better encoder and the scores that decided.
    :raises InvalidInputError: if there are fewer than `FEWEST_PASSAGES` passages, or they ask nothing, or the
        seed is negative.
    """
    check_counts(0, seed=seed)
    say = progress or _nothing
    if isinstance(encoder, str | Path):
        encoder = StaticEncoder.load(encoder)
    documents = _sample(_passages(encoder, list(to_documents(corpus))), seed)
    model = _loaded(teacher)
    reader = None if model is None else reader_of(model)
    say("holding questions back", 0, 0)
    held = hold_back(documents, encoder, judge=model, seed=seed)
    own = [
        (row, pair)
        for row, document in enumerate(documents)
        for pair in own_pairs([document], seed=seed + row)
    ]
    pairs = [pair for _, pair in own]
    vectors = None if reader is None else _read(reader, pairs, say)
    shown = np.array([number for number, (row, _) in enumerate(own) if row not in held.documents], dtype=int)
    before = held.scores(encoder)
    checked = _trained(encoder, pairs, vectors, shown, seed, partial(say, "training"))
    after = held.scores(checked)
    if not _better(before, after):
        return Adaptation(encoder, float(before.mean()), float(before.mean()), (), len(before))
    change = "taught by its own questions" if reader is None else f"taught by {reader.name}"
    final = _trained(
        encoder, pairs, vectors, np.arange(len(pairs)), seed, partial(say, "training on everything")
    )
    if encoder._parts().table.dtype == np.int8:
        final = final.quantize("int8")
    return Adaptation(final, float(before.mean()), float(after.mean()), (change,), len(before))


def _better(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether scores gain by more than chance gives one time in ten (paired, one-sided)."""
    gains = after - before
    error = gains.std() / max(len(gains), 1) ** 0.5
    return bool(gains.mean() > _CONFIDENCE * error)


def _read(reader: TextReader, pairs: Sequence[Pair], say: Progress) -> TeacherVectors:
    """Have the texts of the pairs read, each once."""
    from distillation.training import TeacherVectors

    def encode(texts: list[str]) -> NDArray[np.float32]:
        done = 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            say(f"{reader.name} reads the corpus", done, len(texts))

        moved(0)
        return reader.encode(texts, progress=moved)

    return TeacherVectors(*pair_vectors(encode, [(pair.query, pair.positive) for pair in pairs]))


def _trained(
    encoder: StaticEncoder,
    pairs: Sequence[Pair],
    vectors: TeacherVectors | None,
    shown: NDArray[np.int64],
    seed: int,
    moved: Callable[[int, int], None],
) -> StaticEncoder:
    """Train on some of the pairs, after their teacher vectors where there are any, and go most of the way.

    Wortsman et al., "Robust fine-tuning of zero-shot models" (2022): between the weights before and after,
    what was learnt is nearly all there, and less of what was known is lost.
    """
    from distillation.training import TeacherVectors, TrainingConfig, train

    if len(shown) < 2:
        return encoder
    rate = _RATE_ALONE if vectors is None else _RATE
    config = TrainingConfig(
        steps=int(np.clip(_PASSES * len(shown) // _BATCH, *_STEPS)),
        batch_size=_BATCH,
        learning_rate=rate,
        weight_learning_rate=rate / 3,
        seed=seed,
    )
    learnt = train(
        encoder,
        [pairs[number] for number in shown.tolist()],
        teachers=[] if vectors is None else [TeacherVectors(vectors.queries[shown], vectors.passages[shown])],
        config=config,
        progress=lambda step, steps, _: moved(step, steps),
    )
    before, after = token_rows(encoder), token_rows(learnt)
    return with_rows(learnt, before + np.float32(_WAY) * (after - before))


def _loaded(teacher: Reranker | Teacher | str | Path | None) -> Reranker | Teacher | None:
    """Load a teacher that is given by name."""
    if not isinstance(teacher, str | Path):
        return teacher
    if teacher in BUNDLED_RERANKERS:
        return load_named_reranker(teacher)
    from distillation.teacher import Teacher

    return Teacher(teacher)


def _passages(encoder: StaticEncoder, documents: Sequence[Document]) -> list[Document]:
    """Split long documents as a collection does: a teacher reads so many tokens and no more."""
    splitter = PassageSplitter(encoder, passage_tokens=RetrieverConfig().passage_tokens, overlap=0)
    spans = splitter.spans([document.text for document in documents])
    return [
        replace(document, text=document.text[start:stop])
        for place, document in enumerate(documents)
        for start, stop in spans.get(place, ((0, len(document.text)),))
    ]


def _sample(documents: list[Document], seed: int) -> list[Document]:
    """Return at most `_SAMPLE` documents, drawn evenly."""
    if len(documents) < FEWEST_PASSAGES:
        raise InvalidInputError(
            f"adapting needs {FEWEST_PASSAGES} passages or more, not {len(documents)}: "
            "with fewer, nothing can be learned that could be checked"
        )
    if len(documents) <= _SAMPLE:
        return documents
    chosen = np.random.default_rng(seed).choice(len(documents), _SAMPLE, replace=False)
    return [documents[row] for row in np.sort(chosen)]


def _nothing(_: str, __: int, ___: int) -> None:
    return None
