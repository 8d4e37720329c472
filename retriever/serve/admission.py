"""Back-pressure: a few requests at work, some waiting, and an honest refusal for the rest."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from retriever.serve.metrics import Metrics

Answer = TypeVar("Answer")

_SMOOTHING = 0.1  # weight of the newest duration; about the last twenty count


class BusyError(Exception):
    """Too many requests wait already.

    :param retry_after_s: whole seconds after which those waiting now should be done.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooSlowError(Exception):
    """A request was not done in time."""


class Lane:
    """Threads that do one kind of work, with a bounded queue before them.

    :param name: label of its metrics.
    :param concurrency: how many threads.
    :param max_waiting: how many requests may wait for one.
    :param timeout_s: seconds a request may wait and work together.
    :param metrics: told about waiting times.
    """

    def __init__(
        self, name: str, *, concurrency: int, max_waiting: int, timeout_s: float, metrics: Metrics
    ) -> None:
        self._name, self._concurrency = name, concurrency
        self._max_waiting, self._timeout_s = max_waiting, timeout_s
        self._metrics = metrics
        self._turns = asyncio.Semaphore(concurrency)
        self._waiting = 0
        self._usual_s = 0.05
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix=f"retriever-{name}")

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do work in a thread when its turn comes.

        :param work: called once; work that is too slow is still finished, and keeps its thread until then.
        :return: what it returns.
        :raises BusyError: if too many requests wait.
        :raises TooSlowError: if it is not done in time.
        """
        arrived = time.perf_counter()
        if self._turns.locked() and self._waiting >= self._max_waiting:
            self._metrics.refused.labels(self._name).inc()
            raise BusyError(self._retry_after_s())
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._turn()
                self._metrics.waiting_seconds.labels(self._name).observe(time.perf_counter() - arrived)
                done = asyncio.get_running_loop().run_in_executor(self._threads, self._timed, work)
                done.add_done_callback(self._give_back)
                return await asyncio.shield(done)
        except TimeoutError as error:
            raise TooSlowError(f"not done within {self._timeout_s:g} s") from error

    async def _turn(self) -> None:
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1

    def _timed(self, work: Callable[[], Answer]) -> Answer:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._usual_s += _SMOOTHING * (time.perf_counter() - started - self._usual_s)

    def _give_back(self, done: asyncio.Future[Answer]) -> None:
        """Let the next one in; an error of work that nobody waits for any more is at least fetched."""
        self._turns.release()
        if not done.cancelled():
            done.exception()

    def _retry_after_s(self) -> int:
        return max(1, math.ceil(self._waiting * self._usual_s / self._concurrency))

    def close(self) -> None:
        """Wait for work at hand and let the threads go."""
        self._threads.shutdown(wait=True)
