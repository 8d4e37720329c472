"""Cross-encoders on onnxruntime: no torch, 8-bit products; texts are cut here and scored by the graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.cores import usable_cores
from rerank.errors import InvalidInputError
from rerank.folder import LATE_CROSSING, RerankerFolder, read_folder
from rerank.joint import JointModel
from rerank.late_crossing import LateCrossingModel
from rerank.parts import Part
from rerank.protocol import FloatArray, TextReader
from rerank.well_formed import well_formed
from rerank.windows import cut, cut_query, passage_room, passage_windows

SMALLEST_WINDOW = 16

IntArray = NDArray[np.int64]


class OnnxReranker:
    """A cross-encoder that runs on onnxruntime.

    Reads the bundled rerankers, what `retriever rerank-train` writes, and the ONNX exports of
    sentence-transformers cross-encoders. Safe to use from many threads.

    :param folder: holds model.onnx (or onnx/model.onnx), tokenizer.json and config.json, and scorer.onnx
        where the model reads query and passage apart.
    :param threads: cores used for one call; None for all.
    :param window: tokens of query and passage together that are read at once; None takes the model's own.
    :raises ModelNotFoundError: if there is no such folder.
    :raises ModelError: if the folder is damaged or its model is no reranker.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None, window: int | None = None) -> None:
        self._folder = read_folder(Path(folder))
        self.window = self._folder.window if window is None else window
        if self.window < SMALLEST_WINDOW:
            raise InvalidInputError(f"window is {window}; give at least {SMALLEST_WINDOW} tokens")
        most = self._folder.config.get("architecture", {}).get("positions", self.window)
        if self.window > most:
            raise InvalidInputError(
                f"window is {self.window}; {self._folder.path} reads {most} tokens at most"
            )
        if threads is not None and threads < 1:
            raise InvalidInputError(f"threads is {threads}; give at least 1, or None for all cores")
        cores = threads or usable_cores()
        self._model: LateCrossingModel | JointModel = (
            LateCrossingModel(self._folder.graph, self._folder.scorer, cores)
            if self._folder.format == LATE_CROSSING
            else JointModel(
                self._folder.graph, cores, between=self._folder.between, padding=self._folder.padding
            )
        )
        self._between = len(self._folder.between) if isinstance(self._model, JointModel) else 0
        self._opening, *closing = self._folder.tokenizer.encode("").ids or [0]
        self._closing = closing[0] if closing else self._opening

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._folder.path.name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model and its tokenizer; scores of equal fingerprints are interchangeable."""
        return f"{self._folder.fingerprint()}-{self.window}"

    @property
    def recommended_weight(self) -> float:
        """Share of this model in the blend with the first stage, as fitted; 1 where none was."""
        return float(self._folder.config.get("recommended_weight", 1.0))

    @property
    def config(self) -> dict[str, Any]:
        """What the folder's config.json says."""
        return dict(self._folder.config)

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> FloatArray:
        """Score each passage for the query.

        :param query: the question; cut where it fills more than half the window.
        :param passages: n texts; of one longer than the window the best part counts.
        :param window: tokens read at once in this call; None for the model's own. Smaller is faster.
        :return: float32 logits, shape (n,), in the order of the passages.
        """
        return self.score_pairs([(query, passage) for passage in passages], window=window)

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, window: int | None = None) -> FloatArray:
        """Score (query, passage) pairs; queries may differ and share batches.

        :param pairs: n pairs of query and passage.
        :param window: tokens read at once in this call; None for the model's own.
        :return: float32 logits, shape (n,), in the order of the pairs.
        :raises InvalidInputError: if the window is too small to read anything.
        """
        size = self.window if window is None else min(window, self.window)
        if size < SMALLEST_WINDOW:
            raise InvalidInputError(f"window is {window}; give at least {SMALLEST_WINDOW} tokens")
        if not len(pairs):
            return np.empty(0, dtype=np.float32)
        queries, parts = self._parts(pairs, size)
        logits = self._model.logits(queries, parts)
        # Where the whole is alike and where the words are need not be the same part of a long passage.
        best = np.full((len(pairs), logits.shape[1]), -np.inf, dtype=np.float32)
        np.maximum.at(best, [part.pair for part in parts], logits)
        scores: FloatArray = best.sum(axis=1)
        return scores

    @property
    def reader(self) -> TextReader | None:
        """The model as a sentence encoder, where it reads query and passage apart; otherwise None."""
        if not isinstance(self._model, LateCrossingModel):
            return None
        return _Reader(self._model, self._folder, self.window)

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of texts, without special tokens.

        :param texts: n texts.
        :return: int64, shape (n,).
        """
        encodings = self._folder.tokenizer.encode_batch_fast(
            [*map(well_formed, texts)], add_special_tokens=False
        )
        return np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)

    def _parts(self, pairs: Sequence[tuple[str, str]], window: int) -> tuple[list[list[int]], list[Part]]:
        """Tokenize every text once, and cut passages into parts."""
        queries = {query: row for row, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
        passages = {text: row for row, text in enumerate(dict.fromkeys(text for _, text in pairs))}
        tokenizer = self._folder.tokenizer
        query_ids = [
            cut_query(e.ids, window) for e in tokenizer.encode_batch_fast([*map(well_formed, queries)])
        ]
        encodings = tokenizer.encode_batch_fast([*map(well_formed, passages)], add_special_tokens=False)
        passage_ids = [encoding.ids for encoding in encodings]
        parts = []
        for pair, (query, text) in enumerate(pairs):
            row, ids = queries[query], passage_ids[passages[text]]
            room = passage_room(window, len(query_ids[row])) - 2 - self._between
            for start, end in passage_windows(ids, query_ids[row], room):
                parts.append(Part(pair, row, (self._opening, *ids[start:end], self._closing)))
        return query_ids, parts


@dataclass(frozen=True, slots=True)
class _Reader:
    """The half of a late-crossing model that reads, as a sentence encoder."""

    model: LateCrossingModel
    folder: RerankerFolder
    window: int

    @property
    def name(self) -> str:
        """The reranker's name."""
        return self.folder.path.name

    def encode(self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None) -> FloatArray:
        """Encode texts into the mean of their states, scaled to length 1; see `TextReader`."""
        encodings = self.folder.tokenizer.encode_batch_fast([*map(well_formed, texts)])
        ids = [cut(encoding.ids, self.window) for encoding in encodings]
        return self.model.pooled(ids, self.folder.config["architecture"]["hidden"], progress=progress)
