"""Reranking inside a time budget: what a pair costs on this machine, how deep and how wide that allows.

The cost of a pair is learnt from the calls that are made anyway. Scoring goes through the candidates, the
most promising first, in slices small enough that the clock can be looked at in between; what is not reached
stays unscored.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.cache import CachedReranker
from rerank.errors import InvalidInputError
from rerank.protocol import FloatArray, Reranker, WindowedReranker
from rerank.reading_plan import SLICES
from rerank.windows import MOST_WINDOWS, parts_of, passage_room

BUCKET = 32  # tokens: lengths within a bucket cost about the same
WINDOWS = (
    64,
    96,
    128,
    192,
    256,
    384,
    512,
)  # tokens, those below the model's own are tried when time is short
MEMORY = 0.2  # weight of the newest measurement: follows a machine that gets busy within a few calls
CAUTION = 1.25  # a slice is begun only if it would end in time were it this much slower than expected
FIRST_GUESS = 0.06  # milliseconds a token before anything is measured: a slow laptop core
LEAST_DEPTH = 10  # passages that are worth a narrower window


@dataclass(frozen=True, slots=True)
class BudgetedScores:
    """What a budget bought.

    :param scores: float32 logits, NaN where a passage was not scored.
    :param scored: how many were.
    :param window: tokens read at once; None where the reranker has no window.
    :param elapsed_ms: time it took, in milliseconds.
    """

    scores: FloatArray
    scored: int
    window: int | None
    elapsed_ms: float


class CostModel:
    """Milliseconds a pair takes by its token count, learnt while scoring; safe for many threads.

    :param path: a JSON file that keeps what was learnt; None forgets it with the process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._cost: dict[int, float] = {}
        if path is not None and path.is_file():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                self._cost = {int(bucket): float(cost) for bucket, cost in kept.items()}
            except (ValueError, AttributeError, TypeError):
                self._cost = {}  # a cost that cannot be read is learnt again

    def predict(self, tokens: NDArray[np.int64]) -> float:
        """Predict how long pairs take.

        :param tokens: of query and passage together, for each pair; 0 where nothing has to be read.
        :return: milliseconds, all pairs together.
        """
        with self._lock:
            return float(sum(self._one(int(count)) for count in tokens if count))

    def learn(self, tokens: NDArray[np.int64], milliseconds: float) -> None:
        """Take in how long pairs took.

        :param tokens: of query and passage together, for each pair scored in one call; 0 where nothing had to
            be read.
        :param milliseconds: what the call took.
        """
        tokens = tokens[tokens > 0]
        if not len(tokens):
            return
        with self._lock:
            expected = sum(self._one(int(count)) for count in tokens)
            for bucket in {_bucket(int(count)) for count in tokens}:
                cost = self._one(bucket * BUCKET)
                fresh = cost * milliseconds / expected
                self._cost[bucket] = fresh if bucket not in self._cost else cost + MEMORY * (fresh - cost)

    def save(self) -> None:
        """Write what was learnt to the file, if there is one."""
        if self._path is not None:
            with self._lock:
                self._path.write_text(json.dumps(self._cost), encoding="utf-8")

    def _one(self, count: int) -> float:
        """Milliseconds of one pair: its bucket's, or scaled by length from the nearest bucket known."""
        bucket = _bucket(count)
        if bucket in self._cost:
            return self._cost[bucket]
        if not self._cost:
            return FIRST_GUESS * bucket * BUCKET
        nearest = min(self._cost, key=lambda known: abs(known - bucket))
        return self._cost[nearest] * bucket / nearest


def score_within(
    reranker: Reranker,
    query: str,
    passages: Sequence[str],
    *,
    budget_ms: float,
    cost: CostModel,
    following: Callable[[FloatArray], NDArray[np.int64]] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> BudgetedScores:
    """Score the most promising passages, as many as the budget allows or as it takes.

    :param reranker: any; one with a window reads less of each passage when few would be reached otherwise.
    :param query: the question.
    :param passages: n texts, best candidates first.
    :param budget_ms: milliseconds from the call to the return; infinite where `following` alone ends it.
    :param cost: what pairs cost here; keep one a reranker.
    :param following: asked before each slice, with the logits so far (NaN where there is none), for the
        places of what is left to score, the next one first; none ends it (`ReadingPlan.following`). None goes
        from the first to the last.
    :param clock: seconds, for tests.
    :return: the scores, and how many there are.
    :raises InvalidInputError: if the budget is not a positive number.
    """
    if not budget_ms > 0:
        raise InvalidInputError(f"budget_ms is {budget_ms}; give milliseconds above 0")
    started = clock()
    scores = np.full(len(passages), np.nan, dtype=np.float32)
    window, tokens = _plan(reranker, query, passages, budget_ms, cost)
    call: Any = reranker.score
    options = {} if window is None else {"window": window}
    done, slice_number = 0, 0
    while done < len(passages):
        ahead = np.arange(done, len(passages)) if following is None else following(scores)
        left = budget_ms - (clock() - started) * 1e3
        size = _slice(tokens[ahead], left, cost, SLICES[min(slice_number, len(SLICES) - 1)])
        if size == 0:
            break
        chosen = ahead[:size]
        began = clock()
        scores[chosen] = call(query, [passages[place] for place in chosen], **options)
        cost.learn(tokens[chosen], (clock() - began) * 1e3)
        done, slice_number = done + size, slice_number + 1
    return BudgetedScores(scores, done, window, (clock() - started) * 1e3)


def _plan(
    reranker: Reranker, query: str, passages: Sequence[str], budget_ms: float, cost: CostModel
) -> tuple[int | None, NDArray[np.int64]]:
    """Choose the widest window that reaches deep enough, and the tokens each pair will then have."""
    if not isinstance(reranker, WindowedReranker) or reranker.window is None:
        # Four characters a token is English prose; only the proportion between passages matters here.
        guessed = np.array([(len(query) + len(text)) // 4 + 1 for text in passages], dtype=np.int64)
        return None, _unless_known(guessed, reranker, query, passages, None)
    counts = reranker.count_tokens([query, *passages])
    question, lengths = int(counts[0]) + 2, counts[1:].tolist()
    enough = min(len(passages), LEAST_DEPTH)
    choices = [reranker.window, *(w for w in reversed(WINDOWS) if w < reranker.window)]
    for window in choices:
        tokens = _unless_known(_read(question, lengths, window), reranker, query, passages, window)
        if cost.predict(tokens[:enough]) * CAUTION <= budget_ms:
            break
    return window, tokens


def _unless_known(
    tokens: NDArray[np.int64], reranker: Reranker, query: str, passages: Sequence[str], window: int | None
) -> NDArray[np.int64]:
    """The tokens of each pair, none where its score is remembered."""
    if isinstance(reranker, CachedReranker):
        tokens[reranker.known(query, passages, window=window)] = 0
    return tokens


def _read(question: int, lengths: Sequence[int], window: int) -> NDArray[np.int64]:
    """Tokens read for each pair: a long passage is read in several parts, each with the query."""
    asked = min(question, window // 2)
    room = passage_room(window, asked) - 2
    parts = [parts_of(length, room) for length in lengths]
    return np.array([min(count, MOST_WINDOWS) * (asked + size + 2) for count, size in parts], dtype=np.int64)


def _slice(tokens: NDArray[np.int64], left_ms: float, cost: CostModel, most: int) -> int:
    """How many of the next pairs end in time."""
    size = min(most, len(tokens))
    while size and cost.predict(tokens[:size]) * CAUTION > left_ms:
        size //= 2
    return size


def _bucket(count: int) -> int:
    """The bucket of a token count, from 1."""
    return max(1, -(-count // BUCKET))
