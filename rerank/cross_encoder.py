"""Any sentence-transformers cross-encoder, local or from the hub; needs the extra `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rerank.errors import ModelError
from rerank.protocol import FloatArray
from rerank.sentence_models import fingerprint_of, load_sentence_model


class CrossEncoderReranker:
    """A reranker on `sentence_transformers.CrossEncoder`.

    :param model: folder or hub id.
    :param device: torch device; None lets sentence-transformers choose.
    :param batch_size: pairs a batch.
    :raises MissingExtraError: if sentence-transformers is not installed.
    :raises ModelNotFoundError: if neither a folder nor a hub model has this name.
    :raises ModelError: if the model is not a cross-encoder with one score.
    """

    def __init__(self, model: str | Path, *, device: str | None = None, batch_size: int = 32) -> None:
        self._model: Any = load_sentence_model("CrossEncoder", model, device=device, called="cross-encoder")
        _check_is_ranker(self._model, str(model))
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
        :return: float32 logits, shape (n,), in the order of the passages.
        """
        return self.score_pairs([(query, passage) for passage in passages])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        """Score (query, passage) pairs.

        :param pairs: n pairs of query and passage; queries may differ.
        :return: float32 logits, shape (n,), in the order of the pairs.
        """
        if not len(pairs):
            return np.empty(0, np.float32)
        from torch import nn

        logits = self._model.predict(
            [list(pair) for pair in pairs],
            batch_size=self._batch_size,
            activation_fn=nn.Identity(),
            show_progress_bar=False,
        )
        return np.asarray(logits, dtype=np.float32).reshape(len(pairs))


def _check_is_ranker(model: Any, name: str) -> None:
    """Refuse models whose scores would mean nothing."""
    labels = int(getattr(model.config, "num_labels", 1))
    if labels != 1:
        raise ModelError(f"{name} classifies into {labels} labels; choose a cross-encoder with num_labels 1")
    architectures = getattr(model.config, "architectures", None) or []
    if architectures and not any(
        "SequenceClassification" in kind or "CausalLM" in kind for kind in architectures
    ):
        raise ModelError(
            f"{name} is {architectures[0]}, a sentence encoder without a scoring head: its head would be "
            "random. Use BiEncoderReranker for it, or choose a cross-encoder"
        )
