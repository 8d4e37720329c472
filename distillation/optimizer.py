"""Adam that touches only the rows a batch used."""

from __future__ import annotations

import torch


class RowAdam:
    """Adam (Kingma and Ba, 2015) on the rows of a table that occur in a batch.

    Moments of other rows rest until their token comes again, as in torch's SparseAdam, but gradients come as
    one dense block of distinct rows, so nothing has to be sorted or summed.

    :param table: float32 (v, d), changed in place.
    :param betas: decay of the first and second moment.
    :param epsilon: keeps the division finite.
    """

    def __init__(
        self, table: torch.Tensor, *, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        self.table = table
        self.betas = betas
        self.epsilon = epsilon
        self.first = torch.zeros_like(table)
        self.second = torch.zeros_like(table)
        self.steps = torch.zeros(len(table))

    def step(self, rows: torch.Tensor, gradient: torch.Tensor, *, learning_rate: float) -> None:
        """Update some rows.

        :param rows: int64 (n,), distinct row numbers.
        :param gradient: float32 (n, d).
        :param learning_rate: length of a step.
        """
        beta1, beta2 = self.betas
        self.steps[rows] += 1
        # Each row is corrected by its own number of updates: a rare token's first step is not a giant's.
        times = self.steps[rows].reshape(-1, *[1] * (self.table.dim() - 1))
        first = self.first[rows].lerp_(gradient, 1 - beta1)
        second = self.second[rows].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        self.first[rows] = first
        self.second[rows] = second
        spread = second.div_(1 - beta2**times).sqrt_().add_(self.epsilon)
        self.table[rows] -= first.div_(1 - beta1**times).div_(spread).mul_(learning_rate)

    def state(self) -> dict[str, torch.Tensor]:
        """Return everything a checkpoint needs beside the table."""
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what `state` returned.

        :param state: tensors of the same shapes.
        """
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.steps.copy_(state["steps"])
