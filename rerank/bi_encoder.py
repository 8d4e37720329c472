"""A sentence encoder as reranker, to compare with; needs the extra `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from rerank.pair_vectors import pair_vectors
from rerank.protocol import FloatArray
from rerank.sentence_models import fingerprint_of, load_sentence_model


class BiEncoderReranker:
    """Scores by the cosine of a sentence-transformers model's vectors.

    :param model: folder or hub id.
    :param device: torch device; None lets sentence-transformers choose.
    :param batch_size: texts a batch.
    :raises MissingExtraError: if sentence-transformers is not installed.
    :raises ModelNotFoundError: if neither a folder nor a hub model has this name.
    """

    def __init__(self, model: str | Path, *, device: str | None = None, batch_size: int = 32) -> None:
        self._model: Any = load_sentence_model(
            "SentenceTransformer", model, device=device, called="sentence encoder"
        )
        self._batch_size = batch_size
        self.name = str(model)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model and its tokenizer; scores of equal fingerprints are interchangeable."""
        return fingerprint_of(self._model)

    def score(self, query: str, passages: Sequence[str]) -> FloatArray:
        """Score each passage for the query.

        :param query: the question.
        :param passages: n texts.
        :return: float32 cosines, shape (n,), in the order of the passages.
        """
        return self.score_pairs([(query, passage) for passage in passages])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """Score (query, passage) pairs; each text is encoded once.

        :param pairs: n pairs of query and passage; queries may differ.
        :return: float32 cosines, shape (n,), in the order of the pairs.
        """
        if not len(pairs):
            return np.empty(0, np.float32)
        encode = partial(
            self._model.encode,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        left, right = pair_vectors(encode, pairs)
        cosines: FloatArray = np.einsum("nd,nd->n", left, right).astype(np.float32)
        return cosines
