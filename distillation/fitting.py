"""Regression of the table to a teacher's vectors of whole texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from distillation.bags import SparsePool, TokenBags, tokenize
from distillation.tables import token_rows, with_rows
from distillation.trained_table import TrainedTable
from rerank.checks import check_counts, check_positive, check_vectors
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError

_ALIGNMENT_TEXTS = 20_000  # enough to solve for a matrix of a few hundred columns


@dataclass(frozen=True, slots=True)
class FittingConfig:
    """How a table is fitted.

    :param epochs: passes over the texts; after 0 the table is what least squares make of it.
    :param batch_size: texts a batch.
    :param learning_rate: highest step length, as a share of a row's root mean square; falls to 0 linearly.
    :param loss: "cosine" asks for the direction only, "mse" for the vector of length 1 itself.
    :param max_length: tokens kept of a text.
    :param seed: orders the texts.
    :raises InvalidInputError: if a value cannot be used.
    """

    epochs: int = 3
    batch_size: int = 1024
    learning_rate: float = 0.03
    loss: Literal["cosine", "mse"] = "cosine"
    max_length: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in ("cosine", "mse"):
            raise InvalidInputError(f"loss {self.loss!r} is unknown; use 'cosine' or 'mse'")
        check_counts(0, epochs=self.epochs, seed=self.seed)
        check_counts(1, batch_size=self.batch_size, max_length=self.max_length)
        check_positive(learning_rate=self.learning_rate)


def fit(
    encoder: StaticEncoder,
    texts: Sequence[str],
    vectors: NDArray[np.floating[Any]],
    *,
    dimensions: int | None = None,
    config: FittingConfig | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> StaticEncoder:
    """Learn a table whose pooled rows are the teacher's vectors.

    The teacher's vectors are rotated onto their principal components first, so that leading dimensions
    carry most, and the start is mapped onto them by least squares, so that any table can be one.

    :param encoder: where to start.
    :param texts: n texts.
    :param vectors: float (n, d), the teacher's vectors of them.
    :param dimensions: width of the result; None takes the encoder's. Beyond the teacher's width,
        dimensions are zero, for contrastive training to fill.
    :param config: everything else.
    :param progress: called with (batch, batches, loss).
    :return: the fitted encoder, float32.
    :raises InvalidInputError: if texts and vectors are not equally many, or none, or a value is not finite.
    """
    config = config or FittingConfig()
    if not len(texts) or len(texts) != len(vectors):
        raise InvalidInputError(f"{len(texts)} texts and {len(vectors)} teacher vectors do not go together")
    check_vectors(vectors, "the teacher's vectors")
    width = encoder.dimensions if dimensions is None else dimensions
    check_counts(1, dimensions=width)
    bags = tokenize(encoder, texts, max_length=config.max_length)
    if not len(bags.ids):
        raise InvalidInputError(f"none of the {len(texts)} texts has a token that the encoder knows")
    basis = principal_basis(vectors, min(width, vectors.shape[1]))
    table = TrainedTable(_aligned(token_rows(encoder), bags, vectors, basis), seed=config.seed)
    generator = np.random.default_rng(config.seed)
    batches = [
        np.sort(part)
        for _ in range(config.epochs)
        for part in np.array_split(generator.permutation(len(bags)), -(-len(bags) // config.batch_size))
    ]
    for number, batch in enumerate(batches):
        wanted = torch.from_numpy(np.asarray(vectors[batch], dtype=np.float32) @ basis)
        loss = _step(table, bags.select(batch), wanted, config, share=1 - number / len(batches))
        if progress is not None:
            progress(number + 1, len(batches), loss)
    fitted = np.zeros((len(table.rows), width), dtype=np.float32)
    fitted[:, : basis.shape[1]] = table.table()
    return with_rows(encoder, fitted)


def principal_basis(vectors: NDArray[np.floating[Any]], dimensions: int) -> NDArray[np.float32]:
    """Return the leading directions of vectors, not centred, so that cosines survive the rotation.

    :param vectors: float (n, d).
    :param dimensions: at most d.
    :return: float32 (d, dimensions), orthonormal columns, by falling energy.
    """
    sample = np.asarray(vectors[:: max(1, len(vectors) // 50_000)], dtype=np.float32)
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    leading: NDArray[np.float32] = directions[:, ::-1][:, :dimensions].astype(np.float32)
    return leading


def _aligned(
    rows: NDArray[np.float32],
    bags: TokenBags,
    vectors: NDArray[np.floating[Any]],
    basis: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Map the rows by least squares so that pooled texts come near the teacher's vectors."""
    sample = np.arange(0, len(bags), max(1, len(bags) // _ALIGNMENT_TEXTS))
    pool = SparsePool(bags.select(sample))
    pooled = functional.normalize(pool(torch.from_numpy(rows)[pool.tokens]), dim=1).double().numpy()
    wanted = np.asarray(vectors[sample], dtype=np.float64) @ basis
    # A little ridge keeps unused dimensions of the start from blowing up.
    normal = pooled.T @ pooled + 1e-3 * np.eye(pooled.shape[1])
    mapped: NDArray[np.float32] = rows @ np.linalg.solve(normal, pooled.T @ wanted).astype(np.float32)
    return mapped


def _step(
    table: TrainedTable, bags: TokenBags, wanted: torch.Tensor, config: FittingConfig, *, share: float
) -> float:
    """Update the rows of one batch."""
    pool = SparsePool(bags)
    rows, log_weights = table.at(pool.tokens)
    pooled = pool(rows * log_weights.exp()[:, None])
    if config.loss == "cosine":
        loss = (1 - functional.cosine_similarity(pooled, wanted)).mean()
    else:
        loss = (functional.normalize(pooled, dim=1) - wanted).square().sum(dim=1).mean()
    gradients = torch.autograd.grad(loss, (rows, log_weights))
    rate = share * config.learning_rate
    table.step(
        pool.tokens,
        dict(zip(("rows", "log_weights"), gradients, strict=True)),
        {"rows": rate, "log_weights": rate / 3},
    )
    return loss.item()
