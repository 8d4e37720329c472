"""What the table is trained for: rank the right passage first, as the teacher would, at every width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

MASKED = -1e4  # a logit that no softmax sees, finite so that 0 · logit stays 0


def contrastive_loss(similarities: torch.Tensor, mask: torch.Tensor, *, temperature: float) -> torch.Tensor:
    """Cross-entropy of the right passage among all passages of the batch (InfoNCE).

    van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive Coding" (2018).

    :param similarities: cosine, float (n, m), m ≥ n; the diagonal is right.
    :param mask: bool (n, m), True where a passage is the right one under another number.
    :param temperature: cosines are divided by it.
    :return: scalar.
    """
    logits = (similarities / temperature).masked_fill(mask, MASKED)
    return functional.cross_entropy(logits, torch.arange(len(logits)))


def distribution_loss(
    similarities: torch.Tensor,
    teacher: torch.Tensor,
    *,
    temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """KL divergence between the teacher's and the table's distribution over the passages of the batch.

    :param similarities: the table's cosines, float (n, m).
    :param teacher: the teacher's cosines, float (n, m).
    :param temperature: divides the table's cosines.
    :param teacher_temperature: divides the teacher's cosines.
    :return: scalar, mean over rows.
    """
    wanted = functional.log_softmax(teacher / teacher_temperature, dim=1)
    given = functional.log_softmax(similarities / temperature, dim=1)
    return functional.kl_div(given, wanted, reduction="batchmean", log_target=True)


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
    """
    widths = []
    width = smallest
    while width < dimensions:
        widths.append(width)
        width *= 2
    return [*widths, dimensions]


def duplicate_mask(queries: Sequence[int], passages: Sequence[int], columns: Sequence[int]) -> torch.Tensor:
    """Mark passages that answer a row's query without standing on its diagonal.

    :param queries: number of each row's query text; equal texts have equal numbers.
    :param passages: number of each row's own passage text.
    :param columns: number of each column's passage text; the first rows' own come first.
    :return: bool (n, m), True where column j is the row's passage again, or answers the same query.
    """
    own = torch.as_tensor(passages)
    asked = torch.as_tensor(queries)
    shown = torch.as_tensor(columns)
    mask = own[:, None] == shown[None]
    mask[:, : len(own)] |= asked[:, None] == asked[None]
    mask[torch.arange(len(own)), torch.arange(len(own))] = False
    return mask
