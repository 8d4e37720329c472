"""Contrastive training of a static table, with a teacher looking on, at every width at once."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distillation.bags import SparsePool, TokenBags, concatenate, tokenize
from distillation.checkpoint import load_checkpoint, save_checkpoint
from distillation.lexical import BatchBM25, hybrid_scores
from distillation.losses import (
    cosines,
    duplicate_mask,
    margin_loss,
    matryoshka_widths,
    ranking_loss,
    target_distribution,
)
from distillation.sampling import BatchSampler, row_weights, topics
from distillation.sources import Pair
from distillation.tables import token_rows, with_rows
from distillation.trained_table import TrainedTable
from rerank.checks import check_counts, check_not_negative, check_positive, check_shares, check_vectors
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How a table is trained; the defaults are those of the bundled encoder.

    :param steps: batches.
    :param batch_size: pairs a batch.
    :param learning_rate: highest step length, as a share of a row's root mean square; it rises over
        `warmup` of the run and falls to 0 linearly.
    :param warmup: share of the steps.
    :param temperature: cosines are divided by it.
    :param teacher_temperature: the teacher's cosines are divided by it.
    :param teacher_weight: share of the teacher's distribution in the target, 0 to 1; the rest is the right
        passage alone.
    :param margin_weight: weight of the squared difference of margins, added to the others.
    :param hybrid_weight: weight of the same ranking loss on the mean of z-scores with BM25, at full width:
        the table then learns what BM25 misses.
    :param hybrid_temperature: divides that mean.
    :param smallest_width: first Matryoshka width.
    :param topic_count: topics that pairs are grouped into by the teacher's query vectors; 1 mixes freely.
    :param topics_per_batch: topics in a batch.
    :param max_length: tokens kept of a text.
    :param weight_learning_rate: step length of the logarithm of the token weights; 0 leaves them.
    :param seed: decides batches and all else.
    :param check_every: steps between two evaluations on the dev set and two checkpoints.
    :raises InvalidInputError: if a value cannot be used.
    """

    steps: int = 500
    batch_size: int = 1024
    learning_rate: float = 0.03
    warmup: float = 0.05
    temperature: float = 0.05
    teacher_temperature: float = 0.05
    teacher_weight: float = 0.7
    margin_weight: float = 0.0
    hybrid_weight: float = 0.0
    hybrid_temperature: float = 0.7
    smallest_width: int = 32
    topic_count: int = 1
    topics_per_batch: int = 8
    max_length: int = 128
    weight_learning_rate: float = 0.01
    seed: int = 0
    check_every: int = 250

    def __post_init__(self) -> None:
        check_counts(
            1,
            steps=self.steps,
            batch_size=self.batch_size,
            smallest_width=self.smallest_width,
            topic_count=self.topic_count,
            topics_per_batch=self.topics_per_batch,
            max_length=self.max_length,
            check_every=self.check_every,
        )
        check_counts(0, seed=self.seed)
        check_positive(
            learning_rate=self.learning_rate,
            temperature=self.temperature,
            teacher_temperature=self.teacher_temperature,
            hybrid_temperature=self.hybrid_temperature,
        )
        check_not_negative(
            weight_learning_rate=self.weight_learning_rate,
            margin_weight=self.margin_weight,
            hybrid_weight=self.hybrid_weight,
        )
        check_shares(warmup=self.warmup, teacher_weight=self.teacher_weight)


@dataclass(frozen=True, slots=True)
class TeacherVectors:
    """Teacher vectors of the pairs' texts; several teachers are several of these.

    :param queries: float (n, d), rows of length 1.
    :param passages: float (n, d), rows of length 1.
    :param weight: share among the teachers, 0 or more, in any unit.
    """

    queries: NDArray[np.floating[Any]]
    passages: NDArray[np.floating[Any]]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class _Texts:
    """All texts of a run as bags, with a number for each distinct text."""

    queries: TokenBags
    passages: TokenBags
    query_numbers: NDArray[np.int64]
    passage_numbers: NDArray[np.int64]

    def digest(self) -> str:
        """Return a hash of the texts, by which a checkpoint knows its run."""
        state = hashlib.blake2b(digest_size=8)
        for bags in (self.queries, self.passages):
            state.update(bags.ids.tobytes())
            state.update(bags.offsets.tobytes())
        return state.hexdigest()


def train(
    encoder: StaticEncoder,
    pairs: Sequence[Pair],
    *,
    teachers: Sequence[TeacherVectors] = (),
    negatives: NDArray[np.int64] | None = None,
    proportions: Mapping[str, float] | None = None,
    config: TrainingConfig | None = None,
    checkpoint: str | Path | None = None,
    log: str | Path | None = None,
    dev: Callable[[StaticEncoder], float] | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> StaticEncoder:
    """Train a table on pairs of query and passage.

    The other passages of a batch are the negatives; passages that are right themselves are masked. Where
    teachers are given, each row of similarities also follows theirs. All losses are taken at every
    Matryoshka width, so the table can be truncated afterwards.

    :param encoder: where to start; its width is kept.
    :param pairs: the training pairs.
    :param teachers: vectors for the pairs' texts, one object a teacher.
    :param negatives: int64 (n, h), numbers of pairs whose passages are wrong for each query; -1 for none.
    :param proportions: share of each source; None takes the square root of its size.
    :param config: everything else.
    :param checkpoint: a folder; a run that finds its checkpoint there goes on with it, to the same result.
    :param log: JSON lines with step, losses, pairs a second and dev score.
    :param dev: scores an encoder, higher is better; called every `check_every` steps.
    :param progress: called with (step, steps, losses).
    :return: the trained encoder, float32.
    :raises InvalidInputError: if the inputs do not fit together.
    """
    config = config or TrainingConfig()
    _check(pairs, teachers, negatives, config)
    run = _Run(encoder, pairs, teachers, negatives, proportions, config)
    first = run.resume(checkpoint)
    writer = _Log(log, first)
    for step in range(first, config.steps):
        started = time.perf_counter()
        losses = run.step(step)
        if progress is not None:
            progress(step + 1, config.steps, losses)
        due = (step + 1) % config.check_every == 0 or step + 1 == config.steps
        if due and dev is not None:
            losses["dev"] = dev(run.encoder())
        writer.write({"step": step + 1, **losses, "seconds": round(time.perf_counter() - started, 3)})
        if due and checkpoint is not None:
            run.save(checkpoint, step + 1)
    return run.encoder()


class _Run:
    """One training run: data, batches and the table."""

    def __init__(
        self,
        encoder: StaticEncoder,
        pairs: Sequence[Pair],
        teachers: Sequence[TeacherVectors],
        negatives: NDArray[np.int64] | None,
        proportions: Mapping[str, float] | None,
        config: TrainingConfig,
    ) -> None:
        self.config = config
        self.teachers = teachers
        self.negatives = negatives
        self.start = encoder
        self.texts = _prepare_texts(encoder, pairs, config)
        groups = np.zeros(len(pairs), dtype=np.int64)
        if config.topic_count > 1:
            groups = topics(
                np.asarray(teachers[0].queries, dtype=np.float32), config.topic_count, seed=config.seed
            )
        weights = row_weights([pair.source for pair in pairs], proportions)
        self.sampler = BatchSampler(
            weights,
            groups,
            batch_size=config.batch_size,
            topics_per_batch=config.topics_per_batch,
            seed=config.seed,
        )
        self.lexical = BatchBM25(self.texts.passages, encoder.tokenizer.get_vocab_size())
        self.table = TrainedTable(token_rows(encoder), seed=config.seed)
        self.widths = matryoshka_widths(encoder.dimensions, smallest=config.smallest_width)
        self._identity = {
            "config": asdict(config),
            "texts": self.texts.digest(),
            "start": encoder.fingerprint,
            "teachers": [
                [teacher.weight, _digest(teacher.queries), _digest(teacher.passages)] for teacher in teachers
            ],
            "negatives": None if negatives is None else _digest(negatives),
            "weights": _digest(weights),
        }

    def step(self, step: int) -> dict[str, float]:
        """Draw a batch and update the table."""
        batch = self.sampler.draw(step)
        columns = self._columns(batch)
        pool = SparsePool(concatenate(self.texts.queries.select(batch), self.texts.passages.select(columns)))
        rows, log_weights = self.table.at(pool.tokens)
        vectors = pool(rows * log_weights.exp()[:, None])
        losses = self._losses(vectors[: len(batch)], vectors[len(batch) :], batch, columns)
        total = torch.stack(list(losses.values())).sum()
        gradients = torch.autograd.grad(total, (rows, log_weights))
        share = learning_rate(step, self.config)
        self.table.step(
            pool.tokens,
            dict(zip(("rows", "log_weights"), gradients, strict=True)),
            {
                "rows": share * self.config.learning_rate,
                "log_weights": share * self.config.weight_learning_rate,
            },
        )
        return {name: round(loss.item(), 5) for name, loss in losses.items()}

    def encoder(self) -> StaticEncoder:
        """Return the table as it is now."""
        return with_rows(self.start, self.table.table())

    def save(self, folder: str | Path, step: int) -> None:
        """Write a checkpoint."""
        save_checkpoint(folder, self.table.state(), {"step": step, **self._identity})

    def resume(self, folder: str | Path | None) -> int:
        """Take over a checkpoint, if there is one, and return the step to go on with."""
        found = load_checkpoint(folder, expected=self._identity) if folder is not None else None
        if found is None:
            return 0
        tensors, meta = found
        self.table.restore(tensors)
        return int(meta["step"])

    def _columns(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pairs whose passages are compared: the batch's own, then mined negatives."""
        if self.negatives is None:
            return batch
        mined = np.unique(self.negatives[batch])
        return np.concatenate([batch, np.setdiff1d(mined[mined >= 0], batch)])

    def _losses(
        self,
        queries: torch.Tensor,
        passages: torch.Tensor,
        batch: NDArray[np.int64],
        columns: NDArray[np.int64],
    ) -> dict[str, torch.Tensor]:
        """Average the losses over the widths."""
        config, texts, count = self.config, self.texts, len(batch)
        mask = duplicate_mask(
            texts.query_numbers[batch], texts.passage_numbers[batch], texts.passage_numbers[columns]
        )
        teacher = self._teacher_similarities(batch, columns)
        shares = {"temperature": config.teacher_temperature, "teacher_weight": config.teacher_weight}
        across = mask[:, :count].T
        rows = target_distribution(mask, teacher, **shares)
        back = target_distribution(across, None if teacher is None else teacher[:, :count].T, **shares)
        losses = {"ranking": torch.zeros(())}
        if config.margin_weight and teacher is not None:
            losses["margin"] = torch.zeros(())
        for width in self.widths:
            given = cosines(queries[:, :width], passages[:, :width])
            loss = ranking_loss(given, rows, mask, temperature=config.temperature)
            loss = loss + ranking_loss(given[:, :count].T, back, across, temperature=config.temperature)
            losses["ranking"] = losses["ranking"] + loss / (2 * len(self.widths))
            if "margin" in losses and teacher is not None:
                margin = config.margin_weight * margin_loss(given, teacher) / len(self.widths)
                losses["margin"] = losses["margin"] + margin
        if config.hybrid_weight:
            lexical = self.lexical.scores(texts.queries.select(batch), texts.passages.select(columns))
            both = hybrid_scores(cosines(queries, passages), lexical)
            loss = ranking_loss(both, rows, mask, temperature=config.hybrid_temperature)
            losses["hybrid"] = config.hybrid_weight * loss
        return losses

    def _teacher_similarities(
        self, batch: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> torch.Tensor | None:
        """Return the teachers' cosines between a batch's queries and passages, averaged by weight."""
        if not self.teachers:
            return None
        total = torch.zeros(len(batch), len(columns))
        for teacher in self.teachers:
            queries = torch.from_numpy(np.asarray(teacher.queries[batch], dtype=np.float32))
            passages = torch.from_numpy(np.asarray(teacher.passages[columns], dtype=np.float32))
            total += teacher.weight * (queries @ passages.T)
        return total / sum(teacher.weight for teacher in self.teachers)


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Return the share of the highest learning rate at a step: linear up, then linear down to 0."""
    warm = max(1, round(config.warmup * config.steps))
    if step < warm:
        return (step + 1) / warm
    return (config.steps - step) / max(1, config.steps - warm)


def _prepare_texts(encoder: StaticEncoder, pairs: Sequence[Pair], config: TrainingConfig) -> _Texts:
    """Tokenize every text and number the distinct ones."""
    sides = ([pair.query for pair in pairs], [pair.positive for pair in pairs])
    bags = [tokenize(encoder, side, max_length=config.max_length) for side in sides]
    numbers = [_numbered(side) for side in sides]
    return _Texts(bags[0], bags[1], numbers[0], numbers[1])


def _digest(values: NDArray[Any]) -> str:
    """Return a hash of an array."""
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=8).hexdigest()


def _numbered(texts: Sequence[str]) -> NDArray[np.int64]:
    """Give equal texts equal numbers."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(text, len(known)) for text in texts], dtype=np.int64)


def _check(
    pairs: Sequence[Pair],
    teachers: Sequence[TeacherVectors],
    negatives: NDArray[np.int64] | None,
    config: TrainingConfig,
) -> None:
    """Raise where the inputs do not fit together."""
    if config.topic_count > 1 and not teachers:
        raise InvalidInputError(
            f"topic_count is {config.topic_count}, and topics are made of a teacher's vectors; give one, or 1"
        )
    if len(pairs) < 2:
        raise InvalidInputError(f"training needs at least 2 pairs, not {len(pairs)}")
    for teacher in teachers:
        _check_teacher(teacher, len(pairs))
    if teachers and not sum(teacher.weight for teacher in teachers):
        raise InvalidInputError("the weights of the teachers sum to 0; give one of them a weight above 0")
    if config.topic_count > len(pairs):
        raise InvalidInputError(
            f"topic_count is {config.topic_count}, and there are {len(pairs)} pairs; give fewer topics"
        )
    if negatives is not None and len(negatives) != len(pairs):
        raise InvalidInputError(f"negatives must be one row a pair ({len(pairs)}), not {len(negatives)}")


def _check_teacher(teacher: TeacherVectors, count: int) -> None:
    """Raise where a teacher's vectors do not belong to so many pairs, or its weight is none."""
    if len(teacher.queries) != count or len(teacher.passages) != count:
        raise InvalidInputError(
            f"teacher vectors must be one a pair ({count}), not "
            f"{len(teacher.queries)} queries and {len(teacher.passages)} passages"
        )
    check_not_negative(**{"the weight of a teacher": teacher.weight})
    check_vectors(teacher.queries, "a teacher's vectors of the queries")
    check_vectors(teacher.passages, "a teacher's vectors of the passages")
    if teacher.queries.shape != teacher.passages.shape:
        raise InvalidInputError(
            f"a teacher's vectors of queries ({teacher.queries.shape[1]} dimensions) and of passages "
            f"({teacher.passages.shape[1]}) must be equally long; take both from one model"
        )


class _Log:
    """JSON lines, cut back to the step that a resumed run starts from."""

    def __init__(self, path: str | Path | None, first: int) -> None:
        self.path = None if path is None else Path(path)
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text(encoding="utf-8").splitlines() if first and self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= first]
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def write(self, record: dict[str, float]) -> None:
        """Append one step."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def _step_of(line: str) -> float:
    """Return the step that a line of the log is of; infinity of a line that a kill left half written."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
