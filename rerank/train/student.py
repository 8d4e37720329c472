"""A student with fewer layers learns to read as its teacher does: no labels, only what the teacher reads.

A reranker of this project scores with what its reader says of each token. A shorter reader that says the same
can stand in its place, and everything behind it stays: scales, alignment, comparison. (Jiao et al. 2020,
"TinyBERT", whose hidden-state loss this is; Sun et al. 2019, "Patient Knowledge Distillation".)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rerank.checks import check_counts, check_not_negative, check_positive, check_shares
from rerank.errors import InvalidInputError
from rerank.train.loop import TrainingLoop
from rerank.train.model import CrossEncoderModel
from rerank.train.readings import runs_of_one_length

HELD_OUT = 16  # runs of texts measured on
WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class StudentSettings:
    """How a student learns to read.

    :param steps: optimizer steps.
    :param runs: runs of texts a step.
    :param tokens: of a run; its texts have one length.
    :param rate: peak learning rate.
    :param warmup: share of the steps in which it rises.
    :param pooled_weight: of how far the mean-pooled texts are off, beside how far single tokens are.
    :param measure_every: steps between two measurements and checkpoints.
    :param seed: order of the texts.
    :raises InvalidInputError: if a value cannot be used.
    """

    steps: int = 2000
    runs: int = 2
    tokens: int = 2048
    rate: float = 7e-4
    warmup: float = 0.05
    pooled_weight: float = 5.0
    measure_every: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(
            1, steps=self.steps, runs=self.runs, tokens=self.tokens, measure_every=self.measure_every
        )
        check_counts(0, seed=self.seed)
        check_positive(rate=self.rate)
        check_not_negative(pooled_weight=self.pooled_weight)
        check_shares(warmup=self.warmup)


class StudentTrainer(TrainingLoop[StudentSettings]):
    """Trains a student's layers on its teacher's readings; `model` is what it comes to.

    :param teacher: reads each text as it comes: one learns more from new texts than from the same ones again.
    :param student: where it starts: the teacher `shortened`, perhaps `narrowed`; everything behind the reader
        is the teacher's and stays.
    :param texts: token ids.
    :param folder: gets checkpoints, as `rerank.train.trainer` writes them, and a log; an interrupted training
        in it is resumed.
    :param settings: how.
    :raises InvalidInputError: if there are too few texts.
    """

    def __init__(
        self,
        teacher: CrossEncoderModel,
        student: CrossEncoderModel,
        texts: Iterable[Sequence[int]],
        folder: Path,
        settings: StudentSettings,
    ) -> None:
        unique = sorted({tuple(ids) for ids in texts}, key=lambda ids: (len(ids), ids))
        runs = runs_of_one_length(unique, settings.tokens)
        order = np.random.default_rng(settings.seed).permutation(len(runs))
        self._held = [runs[row] for row in order[:HELD_OUT]]
        self._runs = [runs[row] for row in order[HELD_OUT:]]
        if not self._runs:
            raise InvalidInputError(f"{len(unique)} texts are too few to learn to read from; give thousands")
        super().__init__(folder, settings, workers=settings.runs)
        # Not `no_grad` around it: a compiled layer is compiled again for every such difference.
        self.teacher = teacher.to(self.device).requires_grad_(False)
        self.model = student.to(self.device)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.startswith(("layers.", "comparison.view.")))
        self._trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach() for name, p in self._trained.items()}
        self._optimizer = torch.optim.AdamW(
            [{"params": list(self._trained.values()), "peak": settings.rate}],
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self._compile((*self.model.layers, *teacher.layers))

    def _learnt_from(self) -> Iterator[str]:
        """The texts, as token ids."""
        return (repr(run) for run in (*self._held, *self._runs))

    def measure(self) -> dict[str, float]:
        """Compare with the teacher on texts held out.

        :return: mean cosine of final states under "tokens", of mean-pooled texts under "pooled", and of the
            tokens as they are compared under "views".
        """
        found = list(self._pool.map(self._cosines, self._held))
        names = ("tokens", "pooled", "views")
        return {
            name: float(np.mean(values)) for name, values in zip(names, zip(*found, strict=True), strict=True)
        }

    def _cosines(self, run: Sequence[tuple[int, ...]]) -> list[float]:
        """What `measure` gives, of one run."""
        own, wanted = self._read(self.model, run), self._read(self.teacher, run)
        return [
            float(functional.cosine_similarity(one.detach(), other, dim=-1).mean())
            for one, other in ((own[0], wanted[0]), (own[0].mean(1), wanted[0].mean(1)), (own[1], wanted[1]))
        ]

    def _advance(self) -> float:
        """One optimizer step."""
        settings = self.settings
        self._schedule()
        first = self.step * settings.runs
        results = list(self._pool.map(self._gradient, map(self._run, range(first, first + settings.runs))))
        return self._descend(results, [1.0 / len(results)] * len(results))

    def _run(self, number: int) -> Sequence[tuple[int, ...]]:
        """The texts of a run: each once an epoch, in an order of the seed and the epoch alone."""
        epoch, place = divmod(number, len(self._runs))
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self._runs))
        return self._runs[int(order[place])]

    def _gradient(self, run: Sequence[tuple[int, ...]]) -> tuple[float, tuple[Tensor, ...]]:
        """Loss on some texts of one length, and its gradient by every trained parameter."""
        states, view = self._read(self.teacher, run)
        own, own_view = self._read(self.model, run)
        pooled = functional.cosine_similarity(own.mean(1), states.mean(1), dim=-1)
        loss = _missed(own, states) + _missed(own_view, view)
        loss = loss + self.settings.pooled_weight * (1.0 - pooled).mean()
        return float(loss.detach()), torch.autograd.grad(loss, list(self._trained.values()))

    def _read(self, model: CrossEncoderModel, run: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Final states of texts of one length, and their tokens as they are compared."""
        ids = torch.tensor(run, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            read = model.read(ids, torch.ones(ids.shape, device=self.device))
            view = model.comparison.view(read.middle)
        return read.states.float(), view.float()


def _missed(own: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error as a share of what there is."""
    return functional.mse_loss(own, wanted) / wanted.square().mean()
