"""A table under training: directions and weights of its rows, with their optimizers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from distillation.optimizer import RowAdam

NEW_DIMENSION = 0.1  # root mean square of a dimension that the start does not have, against 1


class TrainedTable:
    """The table as training sees it: each row a direction and the logarithm of its weight.

    A row's weight is learned by one number, and steps change all rows by the same share of their length,
    however little a frequent token weighs.

    :param rows: float32 (v, d), the table to start from.
    :param seed: fills dimensions that are zero in all rows, which no gradient would tell apart.
    """

    def __init__(self, rows: NDArray[np.float32], *, seed: int = 0) -> None:
        table = torch.from_numpy(rows.copy())
        norms = table.norm(dim=1)
        scale = norms.clamp_min(1e-12) / table.shape[1] ** 0.5
        self.rows = table / scale[:, None]
        empty = self.rows.abs().amax(dim=0) == 0
        noise = torch.randn(len(table), int(empty.sum()), generator=torch.Generator().manual_seed(seed))
        self.rows[:, empty] = NEW_DIMENSION * noise
        self.log_weights = torch.where(norms > 0, scale, scale[norms > 0].mean()).log()
        self._optimizers = {"rows": RowAdam(self.rows), "log_weights": RowAdam(self.log_weights)}

    def at(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the directions and log weights of some tokens, ready for gradients."""
        return self.rows[tokens].requires_grad_(), self.log_weights[tokens].requires_grad_()

    def step(self, tokens: torch.Tensor, gradients: dict[str, torch.Tensor], rates: dict[str, float]) -> None:
        """Update some tokens.

        :param tokens: int64 (n,), distinct.
        :param gradients: of "rows" (n, d) and "log_weights" (n,).
        :param rates: learning rate of each.
        """
        for name, optimizer in self._optimizers.items():
            optimizer.step(tokens, gradients[name], learning_rate=rates[name])

    def table(self) -> NDArray[np.float32]:
        """Return the table, weights multiplied in."""
        merged: NDArray[np.float32] = (self.rows * self.log_weights.exp()[:, None]).numpy()
        return merged

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that a checkpoint needs."""
        tensors = {"rows": self.rows, "log_weights": self.log_weights}
        for name, optimizer in self._optimizers.items():
            tensors |= {f"{name}.{key}": value for key, value in optimizer.state().items()}
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over what `state` returned."""
        self.rows.copy_(tensors["rows"])
        self.log_weights.copy_(tensors["log_weights"])
        for name, optimizer in self._optimizers.items():
            optimizer.restore({key: tensors[f"{name}.{key}"] for key in optimizer.state()})
