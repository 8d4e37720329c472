"""Distillation without text: each row of the table is the teacher's vector of that token alone.

Tulkens and van Dongen, "Model2Vec" (2024). Vocabulary → forward pass → principal components → weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distillation.reduction import check_dimensions, principal_components
from distillation.teacher import Pooling, Teacher
from distillation.vocabulary import Vocabulary, build_vocabulary
from distillation.weighting import SIF, counted_probabilities, sif_weights, zipf_probabilities
from rerank.position_weights import position_weights
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError, InvalidTypeError

Weighting = Literal["zipf", "none"]


def distill(
    teacher: str | Path | Teacher,
    *,
    dimensions: int = 256,
    words: Sequence[str] = (),
    corpus: Iterable[str] | None = None,
    weighting: Weighting = "zipf",
    pca: bool = True,
    position_decay: float | None = None,
    pooling: Pooling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> StaticEncoder:
    """Make a static encoder out of any sentence-transformers model, in seconds and without text.

    :param teacher: folder or hub id of the model, or a loaded one.
    :param dimensions: width of the table; at most the teacher's.
    :param words: own words that get a row each.
    :param corpus: texts to count token frequencies on, in place of the guess from rank.
    :param weighting: "zipf" weights a token by a/(a+p), p from its rank or the corpus; "none" lets all
        count alike.
    :param pca: centre, and rotate onto principal components; False keeps the teacher's leading dimensions.
    :param position_decay: lets early tokens of a text count more, see `position_weights`; None lets all count
        alike, which is what model2vec and sentence-transformers would do with the table.
    :param pooling: over each token's own states; None takes the teacher's.
    :param progress: called with (rows finished, rows in all).
    :return: the encoder; its leading dimensions alone make a coarser one.
    :raises InvalidInputError: if an option cannot be used with this teacher, or the corpus has no text.
    :raises InvalidTypeError: if `words` or `corpus` is one string.
    :raises ModelNotFoundError: if there is no such model.
    """
    if weighting not in ("zipf", "none"):
        raise InvalidInputError(f"weighting {weighting!r} is unknown; use 'zipf' or 'none'")
    for name, given in (("words", words), ("corpus", corpus)):
        if isinstance(given, str):
            raise InvalidTypeError(f"{name} is one string, {given[:40]!r}; give a list of strings")
    model = teacher if isinstance(teacher, Teacher) else Teacher(teacher, pooling=pooling)
    if pooling is not None and pooling != model.pooling:
        model = model.pooled_by(pooling)
    check_dimensions(dimensions, model.dimensions)
    by_place = None if position_decay is None else position_weights(position_decay)
    vocabulary = build_vocabulary(model.tokenizer, words=words)
    weights = _weights(vocabulary, corpus) if weighting == "zipf" else None
    rows = vocabulary_vectors(model, vocabulary, progress=progress)
    meaningful = np.array([bool(ids) for ids in vocabulary.teacher_ids])
    table = np.zeros((len(vocabulary), dimensions), dtype=np.float32)
    table[meaningful] = (
        principal_components(rows[meaningful], dimensions) if pca else rows[meaningful, :dimensions]
    )
    if weights is not None:
        table *= weights[:, None]
    return StaticEncoder(table, vocabulary.tokenizer, position_weights=by_place)


def _weights(vocabulary: Vocabulary, corpus: Iterable[str] | None) -> NDArray[np.float32]:
    """Weigh each row by how frequent its token is in a corpus, or is likely to be."""
    if corpus is None:
        return sif_weights(zipf_probabilities(len(vocabulary)), a=SIF)
    return sif_weights(counted_probabilities(vocabulary.tokenizer, corpus), a=SIF)


def vocabulary_vectors(
    teacher: Teacher, vocabulary: Vocabulary, *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """Run every row of a vocabulary through the teacher as a text of its own.

    :param teacher: the model.
    :param vocabulary: the rows; those without teacher tokens become zero.
    :param progress: called with (rows finished, rows in all).
    :return: float32 (v, teacher.dimensions).
    """
    before, after = _frame(teacher)
    rows = [row for row, ids in enumerate(vocabulary.teacher_ids) if ids]
    finished = 0

    def report(done: int) -> None:
        nonlocal finished
        finished += done
        if progress is not None:
            progress(finished, len(rows))

    vectors = np.zeros((len(vocabulary), teacher.dimensions), dtype=np.float32)
    vectors[rows] = teacher.forward(
        [[*before, *vocabulary.teacher_ids[row], *after] for row in rows], progress=report
    )
    return vectors


def _frame(teacher: Teacher) -> tuple[list[int], list[int]]:
    """Return the special tokens that the teacher puts before and after a text."""
    teacher.tokenizer.no_truncation()
    teacher.tokenizer.no_padding()
    bare = teacher.tokenizer.encode("a", add_special_tokens=False).ids
    full = teacher.tokenizer.encode("a", add_special_tokens=True).ids
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]
