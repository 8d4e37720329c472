"""What every training here is: steps, measurements, checkpoints and a log, resumable to the step."""

from __future__ import annotations

import json
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rerank.sessions import usable_cores

LOG = logging.getLogger(__name__)


class TrainingLoop(ABC):
    """Steps with gradients of several workers: a core each on a CPU, one on a GPU.

    :param folder: gets checkpoints and a log; an interrupted training in it is resumed.
    :param steps: optimizer steps.
    :param measure_every: steps between two measurements and checkpoints.
    :param workers: at most this many.
    """

    def __init__(self, folder: Path, *, steps: int, measure_every: int, workers: int) -> None:
        self.folder = folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.step = 0
        self._steps, self._measure_every = steps, measure_every
        # On a CPU each worker has one core and its own texts: no thread waits for another after a product.
        self._workers = 1 if self.device.type == "cuda" else min(usable_cores(), workers)
        # Kept: new threads a step would each keep memory of their own.
        self._pool = ThreadPoolExecutor(self._workers)
        if self.device.type == "cpu":
            torch.set_num_threads(1)

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Measure on what is held out."""

    @abstractmethod
    def _advance(self) -> float:
        """Make one step and return its loss."""

    @abstractmethod
    def _checkpoint(self) -> None:
        """Write everything needed to go on."""

    @abstractmethod
    def _resume(self) -> None:
        """Take up the latest checkpoint."""

    def run(
        self, progress: Callable[[int, float], None] | None = None, *, until: int | None = None
    ) -> dict[str, float]:
        """Train to the last step, going on from a checkpoint if the folder has one.

        :param progress: called after each step with its number and loss.
        :param until: stop after this step, the learning rate not yet fallen; None for the last.
        :return: see `measure`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / "latest").exists():
            self._resume()
            LOG.info("resumed at step %d", self.step)
        figures = {} if self.step else self.measure()
        if figures:
            self._log({"step": 0, "dev": figures})
        started, seen, running = time.monotonic(), self.step, 0.0
        last = self._steps if until is None else min(until, self._steps)
        while self.step < last:
            loss = self._advance()
            running += loss
            if progress is not None:
                progress(self.step, loss)
            if self.step % self._measure_every == 0 or self.step == last:
                done = self.step - seen
                seconds = (time.monotonic() - started) / done
                figures = self.measure()
                self._checkpoint()
                self._log({"step": self.step, "loss": running / done, "seconds": seconds, "dev": figures})
                started, seen, running = time.monotonic(), self.step, 0.0
        return figures or self.measure()

    def _log(self, entry: dict[str, Any]) -> None:
        """One line a measurement."""
        LOG.info("step %s: %s", entry["step"], entry["dev"])
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _compile(self, layers: Iterable[nn.Module]) -> None:
        """Fuse what layers do, which takes a compiler."""
        if self.device.type == "cuda" or shutil.which("g++") is not None:
            for layer in layers:
                layer.compile(dynamic=True)

    def _descend(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Sequence[Tensor],
        results: Sequence[tuple[float, Sequence[Tensor]]],
        shares: Sequence[float],
    ) -> float:
        """Take one optimizer step and return the mean loss.

        :param parameters: what is trained.
        :param results: each worker's loss and gradients, one for each parameter.
        :param shares: each worker's share of the step; their sum is 1.
        """
        for number, parameter in enumerate(parameters):
            parameter.grad = sum(  # type: ignore[assignment]
                share * gradients[number] for share, (_, gradients) in zip(shares, results, strict=True)
            )
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return sum(share * loss for share, (loss, _) in zip(shares, results, strict=True))


def learning_rate_share(step: int, steps: int, warmup: float) -> float:
    """Linear rise, then linear fall to a twentieth.

    :param step: steps done.
    :param steps: steps there are.
    :param warmup: share of them in which the rate rises.
    :return: share of the peak rate.
    """
    rise = max(1.0, warmup * steps)
    fall = (steps - step) / max(1.0, steps - rise)
    return min((step + 1) / rise, max(0.05, fall))
