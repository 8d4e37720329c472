"""Which pairs make a batch: a pure function of seed and step, so that a resumed run draws the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.errors import InvalidInputError


def row_weights(
    sources: Sequence[str], proportions: Mapping[str, float] | None = None
) -> NDArray[np.float64]:
    """Return how likely each pair is to be drawn.

    :param sources: the source of each pair.
    :param proportions: share of each source in every batch, in any unit; None takes the square root
        of its size.
    :return: float64 (n,), summing to 1.
    :raises InvalidInputError: if a source has no proportion, or one is negative or not finite.
    """
    names, inverse, sizes = np.unique(np.asarray(sources), return_inverse=True, return_counts=True)
    if proportions is None:
        shares = np.sqrt(sizes)
    else:
        missing = [name for name in names.tolist() if name not in proportions]
        if missing:
            raise InvalidInputError(f"proportions lack the sources {', '.join(missing)}")
        shares = np.array([proportions[name] for name in names.tolist()], dtype=np.float64)
        if not np.isfinite(shares).all() or (shares < 0).any() or not shares.sum():
            raise InvalidInputError("proportions must be finite, none negative, and one positive")
    weights: NDArray[np.float64] = (shares / sizes / shares.sum())[inverse]
    return weights


def topics(vectors: NDArray[np.float32], count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Group texts by meaning (k-means on the sphere).

    :param vectors: float32 (n, d), rows of length 1.
    :param count: how many groups.
    :param seed: places the first centres.
    :return: int64 (n,), the group of each text.
    """
    if count <= 1:
        return np.zeros(len(vectors), dtype=np.int64)
    means = faiss.Kmeans(
        vectors.shape[1], count, niter=8, seed=seed, spherical=True, max_points_per_centroid=128
    )
    means.train(vectors)
    groups: NDArray[np.int64] = means.index.search(vectors, 1)[1][:, 0]
    return groups


class BatchSampler:
    """Draws batches, each out of a few topics.

    Negatives from the same topic are the hard ones, and they cost nothing (Hofstätter et al., "Efficiently
    Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling", 2021).

    :param weights: float64 (n,), how likely each pair is.
    :param groups: int64 (n,), the topic of each pair; one topic for all gives plain sampling.
    :param batch_size: pairs drawn for a batch; equal ones are kept once.
    :param topics_per_batch: topics that a batch is drawn from.
    :param seed: with the step, decides everything.
    """

    def __init__(
        self,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
        *,
        batch_size: int,
        topics_per_batch: int,
        seed: int,
    ) -> None:
        self.batch_size = batch_size
        self.topics_per_batch = topics_per_batch
        self.seed = seed
        self._order = np.argsort(groups, kind="stable")
        self._cumulative = np.concatenate([[0.0], np.cumsum(weights[self._order])])
        self._starts = np.flatnonzero(np.diff(groups[self._order], prepend=-1))
        self._stops = np.append(self._starts[1:], len(groups))

    def draw(self, step: int) -> NDArray[np.int64]:
        """Return the pairs of one batch.

        :param step: number of the batch.
        :return: int64 (at most batch_size,), distinct pair numbers, ascending.
        """
        generator = np.random.default_rng((self.seed, step))
        low, high = self._cumulative[self._starts], self._cumulative[self._stops]
        chosen = np.arange(len(low))
        if len(low) > self.topics_per_batch:
            share = high - low
            chosen = generator.choice(len(low), self.topics_per_batch, replace=False, p=share / share.sum())
        of_topic = np.arange(self.batch_size) % len(chosen)
        if len(chosen) == len(low):  # all topics: by weight, not in equal parts
            points = generator.random(self.batch_size) * self._cumulative[-1]
        else:
            width = (high - low)[chosen][of_topic]
            points = low[chosen][of_topic] + generator.random(self.batch_size) * width
        position = np.searchsorted(self._cumulative, points, side="right") - 1
        return np.unique(self._order[np.minimum(position, len(self._order) - 1)])
