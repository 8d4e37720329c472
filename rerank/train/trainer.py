"""Training on ranking lists: bfloat16 on a CPU that has it, any GPU when there is one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from rerank.checks import check_counts, check_not_negative, check_positive, check_shares
from rerank.errors import InvalidInputError
from rerank.train import losses
from rerank.train.batches import Batch, Collator, is_taught
from rerank.train.lists import RankingList
from rerank.train.loop import TrainingLoop
from rerank.train.model import CrossEncoderModel, Reading
from rerank.train.readings import Readings

FloatArray = NDArray[np.float32]

SORTED_STEPS = 16  # steps' worth of lists that are sorted by length together


@dataclass(frozen=True, slots=True)
class Settings:
    """How a reranker is trained.

    :param steps: optimizer steps.
    :param lists: ranking lists a step.
    :param rate: peak learning rate of the reader.
    :param head_rate: peak learning rate of the comparison.
    :param warmup: share of the steps in which the rates rise.
    :param frozen: keep the reader as it is, and train the comparison alone: every text is read once, and a
        step costs a fraction.
    :param label_loss: "listwise" or "pairwise".
    :param teacher_loss: "divergence" or "margin".
    :param teacher_weight: of the teacher's loss beside the label's.
    :param teachers: weight of each teacher in their blend; 0 leaves one out. Others are left out of lists
        that have one of these.
    :param sharpness: logits a standard deviation of the teachers' blend is worth.
    :param max_query: tokens read of a query.
    :param max_passage: tokens read of a passage.
    :param decay: of the moving average of the weights, a step.
    :param told_apart: beginnings of the kinds of lists whose texts are alike by construction: on them the
        comparison is trained by itself, undisturbed by how alike the texts happen to be.
    :param quiet_weight: of the loss that has the comparison say little on all other lists.
    :param taught_times: how often an epoch has each list with teachers' scores; it has the others once.
    :param dev: lists held out for measuring.
    :param measure_every: steps between two measurements and checkpoints.
    :param seed: order of the lists and new weights.
    :raises InvalidInputError: if a value cannot be used.
    """

    steps: int = 1000
    lists: int = 16
    rate: float = 5e-5
    head_rate: float = 1e-3
    warmup: float = 0.05
    frozen: bool = True
    label_loss: str = "listwise"
    teacher_loss: str = "divergence"
    teacher_weight: float = 0.3
    teachers: dict[str, float] = field(default_factory=lambda: {"cosine": 0.5, "bm25": 0.5})
    sharpness: float = 2.0
    max_query: int = 48
    max_passage: int = 128
    decay: float = 0.995
    told_apart: tuple[str, ...] = ()
    quiet_weight: float = 0.0
    taught_times: int = 1
    dev: int = 600
    measure_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.label_loss not in losses.LABEL_LOSSES:
            raise InvalidInputError(
                f"label_loss {self.label_loss!r}: use one of {sorted(losses.LABEL_LOSSES)}"
            )
        if self.teacher_loss not in ("divergence", "margin"):
            raise InvalidInputError(f"teacher_loss {self.teacher_loss!r}: use 'divergence' or 'margin'")
        check_counts(
            1,
            steps=self.steps,
            lists=self.lists,
            max_query=self.max_query,
            max_passage=self.max_passage,
            measure_every=self.measure_every,
        )
        check_counts(0, taught_times=self.taught_times, dev=self.dev, seed=self.seed)
        check_positive(rate=self.rate, head_rate=self.head_rate, sharpness=self.sharpness)
        check_not_negative(teacher_weight=self.teacher_weight, quiet_weight=self.quiet_weight)
        check_not_negative(**{f"the weight of teacher {name!r}": w for name, w in self.teachers.items()})
        check_shares(warmup=self.warmup, decay=self.decay)


class Trainer(TrainingLoop[Settings]):
    """Trains a late-crossing cross-encoder on ranking lists.

    :param model: changed in place.
    :param tokenizer: the model's.
    :param lists: what is learnt from; the first `settings.dev` are held out.
    :param folder: gets checkpoints, log and settings; an interrupted training in it is resumed.
    :param settings: how.
    :raises InvalidInputError: if the lists teach nothing, or have scores of a teacher without a weight.
    """

    def __init__(
        self,
        model: CrossEncoderModel,
        tokenizer: Tokenizer,
        lists: Sequence[RankingList],
        folder: Path,
        settings: Settings,
    ) -> None:
        held_out = min(settings.dev, len(lists) // 5)
        times = settings.taught_times
        self.dev, learnt_from = lists[:held_out], lists[held_out:]
        self.lists = [one for one in learnt_from for _ in range(times if one.teachers else 1)]
        if not self.lists:
            raise InvalidInputError("there is no ranking list to train on; give at least one")
        _check(lists, settings)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        super().__init__(folder, settings, workers=settings.lists)
        self.model = model.to(self.device)
        self.collate = Collator(
            tokenizer, settings.max_query, settings.max_passage, settings.teachers, settings.sharpness
        )
        self._freeze()
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._trained.items()}
        self._optimizer = torch.optim.AdamW(self._groups(), weight_decay=0.01, fused=True)
        self._compile(model.layers)
        self._readings = self._read_once((*self.dev, *learnt_from)) if settings.frozen else None
        self._lengths = np.array([len(one.query) for one in self.lists])

    def _learnt_from(self) -> Iterator[str]:
        """The lists, those held out too."""
        for one in (*self.dev, *self.lists):
            yield json.dumps(one.to_dict())

    def measure(self) -> dict[str, float]:
        """Measure nDCG@10 on the held-out lists with the averaged weights, by kind.

        :return: the means over lists with a relevant passage, also over "all"; nothing where there is none.
        """
        gained: dict[str, list[float]] = defaultdict(list)
        for one, logits in self.held_out_scores():
            gained[one.kind].append(list_ndcg(logits, one.labels))
        if not gained:
            return {}
        every = [value for values in gained.values() for value in values]
        by_kind = {kind: float(np.mean(values)) for kind, values in sorted(gained.items())}
        return {"all": float(np.mean(every)), **by_kind}

    def held_out_scores(self) -> list[tuple[RankingList, FloatArray]]:
        """Score the lists held out with the averaged weights.

        :return: the lists that have a relevant passage, each with the logits of its passages.
        """
        found: list[tuple[RankingList, FloatArray]] = []
        with self._averaged_weights(), torch.no_grad():
            for start in range(0, len(self.dev), self.settings.lists):
                some = self.dev[start : start + self.settings.lists]
                logits = torch.stack(self._logits(self.collate(some))).sum(0).cpu().numpy()
                found += [(one, row[: len(one.labels)]) for one, row in zip(some, logits, strict=True)]
        return [(one, logits) for one, logits in found if any(one.labels)]

    def _advance(self) -> float:
        """One optimizer step."""
        self._schedule()
        lists = self._next_lists()
        shares = [lists[first :: self._workers] for first in range(self._workers)]
        results = list(self._pool.map(self._gradient, shares))
        loss = self._descend(results, [len(share) / len(lists) for share in shares])
        self._follow(self.settings.decay)
        return loss

    def _gradient(self, lists: Sequence[RankingList]) -> tuple[float, tuple[Tensor, ...]]:
        """Loss of some lists and its gradient by every trained parameter."""
        batch = self.collate(lists)
        told_apart = tuple(self.settings.told_apart)
        likeness = torch.tensor([[float(not one.kind.startswith(told_apart))] for one in lists])
        likeness = likeness.to(self.device)
        alike, compared = self._logits(batch)
        loss = self._loss(alike * likeness + compared, batch)
        if self.settings.quiet_weight:
            present = batch.present.to(self.device) * likeness
            loss = loss + self.settings.quiet_weight * losses.loudness(compared, present)
        gradients = torch.autograd.grad(loss, list(self._trained.values()))
        return float(loss.detach()), gradients

    def _logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What likeness and what the comparison say, one row a list; their sum is the score."""
        both = torch.zeros(2, batch.labels.numel(), device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            queries = self._read(batch.query_ids, batch.query_mask)
            parts = [
                self.model.score(
                    queries.rows(chunk.query_index.to(self.device)),
                    self._read(chunk.passage_ids, chunk.passage_mask),
                )
                for chunk in batch.chunks
            ]
        order, shape = batch.order.to(self.device), batch.labels.shape
        alike, compared = (
            flat.index_put((order,), torch.cat(part).float()).view(shape)
            for flat, part in zip(both, zip(*parts, strict=True), strict=True)
        )
        return alike, compared

    def _read(self, ids: Tensor, mask: Tensor) -> Reading:
        """Read texts, or look up what was read."""
        if self._readings is not None:
            return self._readings.look_up(ids, mask)
        return self.model.read(ids.to(self.device), mask.to(self.device))

    def _read_once(self, every: Sequence[RankingList]) -> Readings:
        """Read every text of some lists."""
        queries = self.collate.query_ids([one.query for one in every])
        passages = self.collate.passage_ids([text for one in every for text in one.passages])
        return Readings(self.model, [*queries, *passages], self.folder / "readings", self._pool)

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The label's loss and the teachers', weighted."""
        settings = self.settings
        labels, present = batch.labels.to(self.device), batch.present.to(self.device)
        total = losses.LABEL_LOSSES[settings.label_loss](logits, labels, present)
        taught = batch.taught.to(self.device)
        if settings.teacher_weight and bool(taught.any()):
            teacher = batch.teacher.to(self.device)[taught]
            if settings.teacher_loss == "margin":
                distilled = losses.margin(logits[taught], teacher, labels[taught], present[taught])
            else:
                distilled = losses.divergence(logits[taught], teacher, present[taught])
            total = total + settings.teacher_weight * distilled
        return total

    def _next_lists(self) -> list[RankingList]:
        """The lists of this step: each once an epoch, in an order of the seed and the epoch alone."""
        size = self.settings.lists
        chosen = []
        for number in range(self.step * size, (self.step + 1) * size):
            epoch, place = divmod(number, len(self.lists))
            order = self._order(epoch)
            chosen.append(self.lists[int(order[place])])
        return chosen

    def _order(self, epoch: int) -> Any:
        """The permutation of one epoch."""
        if getattr(self, "_ordered", (None, None))[0] != epoch:
            self._ordered = (epoch, self._drawn(np.random.default_rng((self.settings.seed, epoch))))
        return self._ordered[1]

    def _drawn(self, rng: np.random.Generator) -> Any:
        """A permutation in which a step's queries are about as long: little of its work is padding."""
        size = self.settings.lists
        rows = rng.permutation(len(self.lists))
        steps = []
        for start in range(0, len(rows), SORTED_STEPS * size):
            some = rows[start : start + SORTED_STEPS * size]
            some = some[np.argsort(self._lengths[some], kind="stable")]
            steps += [some[first : first + size] for first in range(0, len(some), size)]
        return np.concatenate([steps[place] for place in rng.permutation(len(steps))])

    def _freeze(self) -> None:
        """Word embeddings never move: most rows are hardly seen; the reader as the settings say."""
        frozen = ["words.", "positions.", "embedding_norm."]
        if self.settings.frozen:  # the scales belong to the reader
            frozen += ["layers.", "cosine_scale", "match_scale"]
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate: the reader keeps what it knows, the comparison starts from nothing."""
        body = [p for name, p in self._trained.items() if name.startswith("layers.")]
        head = [p for name, p in self._trained.items() if name.startswith("comparison.")]
        scales = [p for name, p in self._trained.items() if name in ("cosine_scale", "match_scale")]
        rates = (
            (body, self.settings.rate),
            (head, self.settings.head_rate),
            (scales, 20 * self.settings.head_rate),
        )
        return [{"params": params, "peak": rate, "lr": rate} for params, rate in rates if params]


def _check(lists: Sequence[RankingList], settings: Settings) -> None:
    """Raise where a teacher of the lists has no weight, and where no list teaches anything."""
    teachers = settings.teachers if settings.teacher_weight else {}
    unheard = [one.teachers for one in lists if teachers.keys().isdisjoint(one.teachers)]
    unknown = {name for names in unheard for name in names}
    if unknown and settings.teacher_weight:
        known = f" ({', '.join(sorted(teachers))})" if teachers else ""
        raise InvalidInputError(
            f"lists have scores of no teacher with a weight, only of {', '.join(sorted(unknown))}; give them "
            f"one in Settings(teachers=...), 0 to leave them out, or call them by names that have one{known}"
        )
    if not any(any(one.labels) or is_taught(one, teachers) for one in lists):
        raise InvalidInputError(
            "no list has a passage with a label above 0, or a teacher's scores; there is no order to learn"
        )


def list_ndcg(scores: Any, labels: Sequence[float], k: int = 10) -> float:
    """nDCG@k of one list, linear gain.

    :param scores: n scores.
    :param labels: n grades.
    :param k: places that count.
    :return: 0 to 1; 0 where nothing is relevant.
    """
    gains = np.array(labels)[np.argsort(-np.asarray(scores), kind="stable")][:k]
    best = np.sort(labels)[::-1][:k]
    discount = 1 / np.log2(np.arange(2, len(gains) + 2))
    ideal = float((best * discount).sum())
    return float((gains * discount).sum()) / ideal if ideal else 0.0
