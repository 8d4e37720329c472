"""Keeps a growing vector index the right one: chooses its kind, changes it, tunes it, measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.config import RetrieverConfig
from retriever.index.choice import Choice, choose, outgrown
from retriever.index.engines import ivf_cells, make_engine
from retriever.index.faiss_engine import TRAINING_SAMPLE
from retriever.index.funnel import Encode
from retriever.index.ivf import IVFIndex
from retriever.index.protocol import VectorIndex
from retriever.index.tuning import Measured, tune

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Sample = Callable[[int, int], IntArray]
"""Gives ids of at most this many passages, drawn with this seed."""
Queries = Callable[[IntArray], FloatArray]
"""Gives query vectors made from the documents of passages."""

_COARSE = ("refined", "funnel")  # what leading dimensions do not tell is not found by these
_QUERIES = 200  # held back for tuning; 200 times 100 places leave .003 of error on a recall of .98
_SEARCHED_EXACTLY = 50_000  # passages at the least; a third of a second to encode
_ONE_IN = 20  # passages at the least; the first 100 are then five of the sample, and one tells too little
_MOVED_AT_ONCE = 16_384
_GROWTH = 2.0  # times as many passages as when it was last measured
_CELL_GROWTH = 4.0  # times as many passages as the cells were made for
_TUNED_FROM = 5_000  # passages; fewer are searched exactly


class Settling:
    """Chooses, builds and tunes vector indexes for one collection.

    :param config: what is wished for.
    :param dimensions: width of the vectors.
    :param encode: gives the full vectors of passages.
    :param sample: draws passages.
    :param queries: makes queries.
    """

    def __init__(
        self, config: RetrieverConfig, dimensions: int, *, encode: Encode, sample: Sample, queries: Queries
    ) -> None:
        self._config, self._dimensions = config, dimensions
        self._encode, self._sample, self._queries = encode, sample, queries
        self.measured: Measured | None = None
        self._missed_at = 0

    def chosen(self, passages: int) -> Choice:
        """Return the kind of index for a number of passages, and why."""
        choice = choose(self._config, passages=passages, dimensions=self._dimensions)
        if choice.engine in _COARSE and self._config.index == "auto" and passages < _GROWTH * self._missed_at:
            missed = f"{choice.engine} missed the recall of {self._config.target_recall} asked for"
            return Choice("fp16", missed)
        return choice

    def grown(self, index: VectorIndex, *, resting: bool = False) -> VectorIndex:
        """Return the index, or the one that takes its place now that it has grown.

        :param resting: no more passages are expected at once; some kinds are made only then.
        """
        wanted = self.chosen(len(index)).engine
        if wanted == "ivf":
            made_for = index.cells if isinstance(index, IVFIndex) else 0
            if not resting or ivf_cells(len(index)) < _CELL_GROWTH**0.5 * made_for or not len(index):
                return index
        elif not outgrown(index.name, wanted):
            return index
        return self._changed(index, wanted)

    def rested(self, index: VectorIndex) -> VectorIndex:
        """Return the index, changed and tuned where it has grown enough for that."""
        index = self.grown(index, resting=True)
        known = 0 if self.measured is None else self.measured.passages
        if len(index) >= max(_TUNED_FROM, _GROWTH * known):
            self._tune(index)
        return index

    def _changed(self, index: VectorIndex, wanted: str) -> VectorIndex:
        """Move everything to an index of another kind."""
        # Not the first passages: a corpus often comes sorted.
        training = self._encode(self._sample(TRAINING_SAMPLE, 1))
        fresh = self._moved(index, wanted, training)
        self._tune(fresh)
        measured = self.measured
        if wanted in _COARSE and measured is not None and measured.recall < self._config.target_recall:
            half = 2 * self._dimensions * len(index)
            if self._config.index == "auto" and half <= int(self._config.memory_limit):
                self._missed_at = len(index)
                fresh = index if index.name == "fp16" else self._moved(index, "fp16", training)
                self._tune(fresh)
        return fresh

    def _moved(self, index: VectorIndex, wanted: str, training: FloatArray) -> VectorIndex:
        fresh = make_engine(
            wanted, self._dimensions, sample=training, passages=len(index), encode=self._encode
        )
        for pids, vectors in index.vectors(batch=_MOVED_AT_ONCE):
            fresh.add(pids, vectors)
        return fresh

    def _tune(self, index: VectorIndex) -> None:
        """Tune and measure with queries from documents of their own, not those trained on."""
        queries = self._queries(self._sample(_QUERIES, 2))
        # Engines that find their way through the vectors have to be measured on all of them.
        whole = index.name in ("ivf", "hnsw")
        sample = self._sample(len(index) if whole else max(_SEARCHED_EXACTLY, len(index) // _ONE_IN), 3)
        if not len(queries) or not len(sample):
            return
        self.measured = tune(
            index,
            queries,
            sample,
            self._encode,
            passages=len(index),
            target=self._config.target_recall,
        )

    def noted(self) -> dict[str, float]:
        """Return what was measured, to be kept in a file."""
        return {} if self.measured is None else asdict(self.measured)

    def take_back(self, noted: dict[str, Any]) -> None:
        """Take back what `noted` returned."""
        if set(noted) == {"recall", "latency_ms", "passages", "sampled", "queries"}:
            self.measured = Measured(
                float(noted["recall"]),
                float(noted["latency_ms"]),
                int(noted["passages"]),
                int(noted["sampled"]),
                int(noted["queries"]),
            )
