"""What every training here is: steps, measurements, checkpoints and a log, resumable to the step."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from rerank.cores import usable_cores
from rerank.errors import InvalidInputError
from rerank.train.checkpoint import has_checkpoint, read_checkpoint, restore_optimizer, write_checkpoint
from rerank.train.model import CrossEncoderModel

LOG = logging.getLogger(__name__)


class LoopSettings(Protocol):
    """What the loop asks of a training's settings, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def steps(self) -> int:
        """Optimizer steps."""

    @property
    def warmup(self) -> float:
        """Share of the steps in which the learning rate rises."""

    @property
    def measure_every(self) -> int:
        """Steps between two measurements and checkpoints."""


SettingsT = TypeVar("SettingsT", bound=LoopSettings)


class TrainingLoop(ABC, Generic[SettingsT]):
    """Steps with gradients of several workers: a core each on a CPU, one on a GPU.

    Who inherits sets the other attributes.

    :param folder: gets checkpoints and a log; an interrupted training in it is resumed.
    :param settings: how.
    :param workers: at most this many.
    """

    model: CrossEncoderModel
    _trained: dict[str, Tensor]  # those of the model's parameters that learn
    _average: dict[str, Tensor]  # what they come to: their moving average, or they themselves
    _optimizer: torch.optim.Optimizer  # whose groups have their highest learning rate as "peak"

    def __init__(self, folder: Path, settings: SettingsT, *, workers: int) -> None:
        self.folder, self.settings = folder, settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.step = 0
        self._of = ""  # hash of what it began with, once it is begun
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
    def _learnt_from(self) -> Iterable[str]:
        """What is learnt from, in order."""

    def _identity(self) -> str:
        """Hash of what is learnt from and of the weights before the first step."""
        digest = hashlib.blake2b(digest_size=16)
        for text in self._learnt_from():
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def run(
        self, progress: Callable[[int, float], None] | None = None, *, until: int | None = None
    ) -> dict[str, float]:
        """Train to the last step, going on from a checkpoint if the folder has one.

        :param progress: called after each step with its number and loss.
        :param until: stop after this step, the learning rate not yet fallen; None for the last.
        :return: see `measure`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._of = self._of or self._identity()
        if has_checkpoint(self.folder):
            self._resume()
            LOG.info("resumed at step %d", self.step)
        figures = {} if self.step else self.measure()
        if figures:
            self._log({"step": 0, "dev": figures})
        started, seen, running = time.monotonic(), self.step, 0.0
        last = self.settings.steps if until is None else min(until, self.settings.steps)
        while self.step < last:
            loss = self._advance()
            running += loss
            if progress is not None:
                progress(self.step, loss)
            if self.step % self.settings.measure_every == 0 or self.step == last:
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

    def _descend(self, results: Sequence[tuple[float, Sequence[Tensor]]], shares: Sequence[float]) -> float:
        """Take one optimizer step and return the mean loss.

        :param results: each worker's loss and gradients, one for each trained parameter.
        :param shares: each worker's share of the step; their sum is 1.
        """
        for number, parameter in enumerate(self._trained.values()):
            parameter.grad = sum(  # type: ignore[assignment]
                share * gradients[number] for share, (_, gradients) in zip(shares, results, strict=True)
            )
        torch.nn.utils.clip_grad_norm_(self._trained.values(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return sum(share * loss for share, (loss, _) in zip(shares, results, strict=True))

    def averaged(self) -> CrossEncoderModel:
        """Return the model with the averaged weights in it; training cannot go on from it."""
        self._load(self._average)
        # A copy leaves behind what compiles the layers: the compiler warns of the hooks that an export sets.
        return copy.deepcopy(self.model)

    def _schedule(self) -> None:
        """Set the learning rates of this step."""
        share = learning_rate_share(self.step, self.settings.steps, self.settings.warmup)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * share

    def _follow(self, decay: float) -> None:
        """Move the averages towards the weights; in the first steps faster than by the decay."""
        kept = min(decay, self.step / (self.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.values()), list(self._trained.values()), 1 - kept)

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Have the averages in the model for a while."""
        kept = {name: p.detach().clone() for name, p in self._trained.items()}
        self._load(self._average)
        try:
            yield
        finally:
            self._load(kept)

    def _load(self, values: dict[str, Tensor]) -> None:
        """Copy values into the trained parameters."""
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(values[name])

    def _checkpoint(self) -> None:
        """Write everything needed to go on."""
        state = {
            "step": self.step,
            "architecture": self.model.shape.to_dict(),
            "settings": noted(self.settings),
            "of": self._of,
        }
        write_checkpoint(
            self.folder,
            weights=self.model.state_dict(),
            average=self._average,
            optimizer=self._optimizer,
            state=state,
        )

    def _resume(self) -> None:
        """Take up the latest checkpoint.

        :raises InvalidInputError: if it is of another training.
        """
        weights, average, state = read_checkpoint(self.folder)
        if state.get("of") != self._of or state["settings"] != noted(self.settings):
            raise InvalidInputError(
                f"{self.folder} holds a training from other data, another start or with other settings; give "
                "the same ones to go on with it, or another folder"
            )
        self.model.load_state_dict(weights)
        for name, kept in self._average.items():
            kept.copy_(average[name])
        restore_optimizer(self.folder, self._optimizer)
        self.step = int(state["step"])


def noted(settings: LoopSettings) -> dict[str, Any]:
    """Settings as JSON gives them back, which knows no number of numpy's and no tuple.

    :param settings: a dataclass.
    :return: its fields.
    """
    fields: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=lambda number: number.item()))
    return fields


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
