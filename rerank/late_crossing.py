"""Cross-encoders that read query and passage apart first: each text once, at its own length, a core each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerank.errors import ModelError
from rerank.parts import Part
from rerank.position_weights import position_weights
from rerank.protocol import FloatArray
from rerank.sessions import open_session

READ_TOKENS = 256  # of texts of one length read in one run: a short text alone does not fill the vector units
BLOCK_TOKENS = 2**15  # of passages whose states are held at once: 75 MB at 576 numbers a token
PARTS = 3  # of a score
SCORED_TOKENS = (
    768  # of the pairs scored in one run: enough to fill the vector units, and runs for every thread
)

Ids = Sequence[int]


class LateCrossingModel:
    """Runs a reader and a scorer (see `rerank.train.graph`); safe for many threads.

    :param reader: an ONNX file, or what is in one.
    :param scorer: alike.
    :param threads: cores used for one call.
    :raises ModelError: if a graph is missing, damaged or another's.
    """

    def __init__(self, reader: Path | bytes, scorer: Path | bytes, threads: int) -> None:
        # One thread a run and a text a thread: nothing to wait for between operators.
        self._reader, self._scorer = open_session(reader, 1), open_session(scorer, 1)
        self._threads = threads
        for graph, found, wanted in (
            (reader, [entry.name for entry in self._reader.get_inputs()], ["ids"]),
            (scorer, self._scorer.get_outputs()[0].shape[1:], [PARTS]),
        ):
            if found != wanted:
                raise ModelError(
                    f"{graph!s:.200} has {found} where this version has {wanted}; fetch the model again"
                )

    def pooled(
        self, texts: Sequence[Ids], hidden: int, *, progress: Callable[[int], None] | None = None
    ) -> FloatArray:
        """Mean state of each text, early tokens counting more, scaled to length 1: what the first part of a
        score compares.

        :param texts: token ids, special tokens included.
        :param hidden: width of a state.
        :param progress: called with the number of texts read since the last call.
        :return: float32, shape (n, hidden).
        """
        vectors = np.empty((len(texts), hidden), dtype=np.float32)
        places = _places((tuple(text), place) for place, text in enumerate(texts))
        by_place = position_weights(places=max(map(len, texts), default=1))
        with ThreadPoolExecutor(self._threads) as pool:
            for block in _blocks(sorted(places, key=len, reverse=True), BLOCK_TOKENS):
                for ids, states in zip(block, self._read(block, pool), strict=True):
                    mean = by_place[: len(states)] @ states[:, :hidden]
                    vectors[places[ids]] = mean / max(float(np.linalg.norm(mean)), 1e-12)
                if progress is not None:
                    progress(sum(len(places[ids]) for ids in block))
        return vectors

    def logits(self, queries: Sequence[Ids], parts: Sequence[Part]) -> FloatArray:
        """Score parts of passages beside their queries.

        :param queries: token ids, special tokens included.
        :param parts: n of them; equal ones are read once.
        :return: float32, shape (n, 3): what the pooled texts say, how well the query's tokens are matched,
            and what comparing them says; a score is their sum.
        """
        logits = np.empty((len(parts), PARTS), dtype=np.float32)
        known: dict[tuple[int, tuple[int, ...]], int] = {}
        # Scored once, equal pairs score alike to the last bit, wherever a batch has them.
        first = [known.setdefault((part.query, part.ids), place) for place, part in enumerate(parts)]
        places = _places((ids, place) for (_, ids), place in known.items())
        with ThreadPoolExecutor(self._threads) as pool:
            asked: list[FloatArray] | None = None
            for block in _blocks(sorted(places, key=len, reverse=True), BLOCK_TOKENS):
                # The queries ride with the first passages: alone they would leave cores idle.
                states = self._read([*block, *(queries if asked is None else ())], pool)
                asked = states[len(block) :] if asked is None else asked
                pairs = [(row, place) for row, ids in enumerate(block) for place in places[ids]]
                runs = [
                    pool.submit(self._score, asked, states, batch, parts) for batch in _batches(pairs, block)
                ]
                for run in runs:
                    rows, scored = run.result()
                    logits[rows] = scored
        return logits[first]

    def _read(self, texts: Sequence[Ids], pool: ThreadPoolExecutor) -> list[FloatArray]:
        """States of each text's tokens, and the tokens as they are compared: (length, hidden + view)."""
        states: list[FloatArray] = [np.empty(0, np.float32)] * len(texts)
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        groups: list[list[int]] = []
        for row in order:
            length = len(texts[row])
            same = groups and len(texts[groups[-1][0]]) == length
            if not same or (len(groups[-1]) + 1) * length > READ_TOKENS:
                groups.append([])
            groups[-1].append(row)

        def run(group: list[int]) -> NDArray[np.float32]:
            ids = np.array([texts[row] for row in group], dtype=np.int64)
            found: NDArray[np.float32] = self._reader.run(None, {"ids": ids})[0]
            return found

        for group, found in zip(groups, pool.map(run, groups), strict=True):
            for row, state in zip(group, found, strict=True):
                states[row] = state
        return states

    def _score(
        self,
        queries: Sequence[FloatArray],
        passages: Sequence[FloatArray],
        pairs: Sequence[tuple[int, int]],
        parts: Sequence[Part],
    ) -> tuple[list[int], FloatArray]:
        """Logits of (passage, place) pairs, with their places."""
        query_rows = {row: new for new, row in enumerate(dict.fromkeys(parts[p].query for _, p in pairs))}
        passage_rows = {row: new for new, row in enumerate(dict.fromkeys(row for row, _ in pairs))}
        query, query_mask = _stack([queries[row] for row in query_rows])
        passage, passage_mask = _stack([passages[row] for row in passage_rows])
        feed = {
            "query": query,
            "query_mask": query_mask,
            "passage": passage,
            "passage_mask": passage_mask,
            "query_index": np.array([query_rows[parts[place].query] for _, place in pairs], dtype=np.int64),
            "passage_index": np.array([passage_rows[row] for row, _ in pairs], dtype=np.int64),
        }
        return [place for _, place in pairs], self._scorer.run(None, feed)[0]


def _places(texts: Iterable[tuple[tuple[int, ...], int]]) -> dict[tuple[int, ...], list[int]]:
    """The places of each different text: it is read once."""
    places: dict[tuple[int, ...], list[int]] = {}
    for ids, place in texts:
        places.setdefault(ids, []).append(place)
    return places


def _blocks(texts: Sequence[tuple[int, ...]], most: int) -> Iterator[list[tuple[int, ...]]]:
    """Runs of texts, each with at most so many tokens."""
    block: list[tuple[int, ...]] = []
    tokens = 0
    for ids in texts:
        if block and tokens + len(ids) > most:
            yield block
            block, tokens = [], 0
        block.append(ids)
        tokens += len(ids)
    if block:
        yield block


def _batches(pairs: Sequence[tuple[int, int]], block: Sequence[Ids]) -> Iterator[list[tuple[int, int]]]:
    """Runs of pairs, each with at most so many tokens of passages, the longest first."""
    batch: list[tuple[int, int]] = []
    for pair in pairs:
        if batch and (len(batch) + 1) * len(block[batch[0][0]]) > SCORED_TOKENS:
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch


def _stack(states: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """States of different lengths in one array, zeros behind the shorter, and the mask."""
    if len(states) == 1:  # no copy
        return states[0][None], np.ones((1, len(states[0])), dtype=np.float32)
    longest = max(map(len, states))
    stacked = np.zeros((len(states), longest, states[0].shape[1]), dtype=np.float32)
    mask = np.zeros((len(states), longest), dtype=np.float32)
    for row, state in enumerate(states):
        stacked[row, : len(state)] = state
        mask[row, : len(state)] = 1.0
    return stacked, mask
