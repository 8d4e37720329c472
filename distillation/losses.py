"""What the table is trained for: rank the right passage first, as the teacher would, at every width."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from distillation.teacher import bfloat16_is_fast
from rerank.checks import check_counts

MASKED = -1e4  # a logit that no softmax sees, finite so that 0 · logit stays 0


def ranking_loss(
    similarities: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Cross-entropy of the table's distribution over the batch's passages against a target distribution.

    With a one-hot target it is InfoNCE (van den Oord, Li and Vinyals, 2018); with the teacher's distribution
    it is, up to the teacher's entropy, their KL divergence; with a mixture it is the weighted sum of both.

    :param similarities: the table's cosines, float (n, m).
    :param targets: float (n, m), rows summing to 1.
    :param mask: bool (n, m), True where a passage does not take part.
    :param temperature: cosines are divided by it.
    :return: scalar, mean over rows.
    """
    return functional.cross_entropy((similarities / temperature).masked_fill(mask, MASKED), targets)


def target_distribution(
    mask: torch.Tensor, teacher: torch.Tensor | None, *, temperature: float, teacher_weight: float
) -> torch.Tensor:
    """Mix "the right passage and no other" with what the teacher thinks of all passages.

    :param mask: bool (n, m), True where a passage does not take part; the diagonal is right.
    :param teacher: the teacher's cosines, float (n, m), or None.
    :param temperature: the teacher's cosines are divided by it.
    :param teacher_weight: the teacher's share, 0 to 1.
    :return: float (n, m), rows summing to 1.
    """
    right = torch.eye(*mask.shape)
    if teacher is None or not teacher_weight:
        return right
    wanted = functional.softmax((teacher / temperature).masked_fill(mask, MASKED), dim=1)
    return right.lerp_(wanted, teacher_weight)


def margin_loss(similarities: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared difference of margins: how much better the right passage is than each other one.

    Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
    Distillation" (2020), equation 5.

    :param similarities: the table's cosines, float (n, m); the diagonal is right.
    :param teacher: the teacher's cosines, float (n, m).
    :return: scalar, mean over all margins.
    """
    given = similarities.diagonal()[:, None] - similarities
    wanted = teacher.diagonal()[:, None] - teacher
    return functional.mse_loss(given, wanted)


def matryoshka_widths(dimensions: int, *, smallest: int = 32) -> list[int]:
    """Return the widths that are trained together: powers of two from `smallest`, and the full width.

    Kusupati et al., "Matryoshka Representation Learning" (2022).

    :param dimensions: the full width.
    :param smallest: the first width.
    :return: ascending widths; only the full one where it is no wider than `smallest`.
    :raises InvalidInputError: if `smallest` is less than 1.
    """
    check_counts(1, smallest=smallest)
    widths = []
    width = smallest
    while width < dimensions:
        widths.append(width)
        width *= 2
    return [*widths, dimensions]


def cosines(queries: torch.Tensor, passages: torch.Tensor) -> torch.Tensor:
    """Return all cosines between two sets of vectors, multiplied in bfloat16 where the CPU is made for it.

    :param queries: float32 (n, d).
    :param passages: float32 (m, d).
    :return: float32 (n, m).
    """
    left, right = functional.normalize(queries, dim=1), functional.normalize(passages, dim=1)
    if bfloat16_is_fast():
        return (left.bfloat16() @ right.bfloat16().T).float()
    return left @ right.T


def duplicate_mask(
    queries: NDArray[np.int64], passages: NDArray[np.int64], columns: NDArray[np.int64]
) -> torch.Tensor:
    """Mark passages that answer a row's query without standing on its diagonal.

    :param queries: number of each row's query text; equal texts have equal numbers.
    :param passages: number of each row's own passage text.
    :param columns: number of each column's passage text; the first rows' own come first.
    :return: bool (n, m), True where column j is the row's passage again, or answers the same query.
    """
    asked, own, shown = map(torch.from_numpy, (queries, passages, columns))
    mask = own[:, None] == shown[None]
    mask[:, : len(own)] |= asked[:, None] == asked[None]
    mask[torch.arange(len(own)), torch.arange(len(own))] = False
    return mask
