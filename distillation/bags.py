"""Texts as bags of tokens, and the sum of their rows as a sparse product that can be trained through.

A batch touches a part of the table only. Its distinct tokens are gathered once, and pooling is a sparse
matrix (texts × distinct tokens) times those rows: forward and backward cost what the tokens cost, never
the table.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from retriever.encoder import StaticEncoder

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


@dataclass(frozen=True, slots=True)
class TokenBags:
    """Token ids of many texts, one after the other.

    :param ids: int32 (tokens,).
    :param offsets: int64 (texts + 1,); text i is `ids[offsets[i]:offsets[i + 1]]`.
    :param position_weights: see `StaticEncoder`; None lets all tokens count alike.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    position_weights: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, rows: NDArray[np.int64]) -> TokenBags:
        """Return the bags of some texts.

        :param rows: int64 (n,), text numbers.
        :return: n bags.
        """
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        ids = self.ids[np.repeat(self.offsets[rows], lengths) + within]
        return TokenBags(ids, offsets, self.position_weights)

    def shares(self) -> NDArray[np.float32]:
        """Return what each token counts in its text's mean, float32 (tokens,)."""
        lengths = np.diff(self.offsets)
        shares = np.repeat(1.0 / np.maximum(lengths, 1), lengths).astype(np.float32)
        if self.position_weights is not None:
            places = np.arange(len(self.ids)) - np.repeat(self.offsets[:-1], lengths)
            shares *= self.position_weights[np.minimum(places, len(self.position_weights) - 1)]
        return shares


def tokenize(encoder: StaticEncoder, texts: Sequence[str], *, max_length: int | None = None) -> TokenBags:
    """Turn texts into bags of the token ids that the encoder takes the mean of.

    :param encoder: whose rows the ids name.
    :param texts: any number.
    :param max_length: tokens kept of a text; None keeps as many as the encoder.
    :return: one bag a text.
    """
    parts = encoder.tokenize(texts, max_length=max_length)
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    ids = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return TokenBags(ids.astype(np.int32), offsets, encoder.position_weights)


def pooled(rows: NDArray[np.float32], bags: TokenBags) -> NDArray[np.float32]:
    """Average each text's rows, without gradients.

    :param rows: float32 (v, d), the whole table.
    :param bags: n texts.
    :return: float32 (n, d); zero where a text has no tokens.
    """
    means: NDArray[np.float32] = (
        csr_matrix((bags.shares(), bags.ids, bags.offsets), shape=(len(bags), len(rows))) @ rows
    )
    return means


def concatenate(first: TokenBags, second: TokenBags) -> TokenBags:
    """Return the bags of one, then of the other, which has the same position weights."""
    return TokenBags(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
        first.position_weights,
    )


class SparsePool:
    """The pooling of one batch as a sparse matrix.

    :param bags: the batch.
    """

    def __init__(self, bags: TokenBags) -> None:
        tokens, columns = np.unique(bags.ids, return_inverse=True)
        matrix = csr_matrix((bags.shares(), columns, bags.offsets), shape=(len(bags), len(tokens)))
        matrix.sum_duplicates()
        self.tokens = torch.from_numpy(tokens.astype(np.int64))
        self.matrix = _to_torch(matrix)
        self.transposed = _to_torch(matrix.T.tocsr())

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Average each text's rows.

        :param rows: float32 (len(self.tokens), d), the table at `self.tokens`.
        :return: float32 (texts, d); zero where a text has no tokens.
        """
        pooled: torch.Tensor = _Pool.apply(  # type: ignore[no-untyped-call]
            rows, self.matrix, self.transposed
        )
        return pooled


class _Pool(torch.autograd.Function):
    """Sparse times dense with a transposed matrix at hand, which torch would otherwise build in each step."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        rows: torch.Tensor,
        matrix: torch.Tensor,
        transposed: torch.Tensor,
    ) -> torch.Tensor:
        ctx.transposed = transposed  # type: ignore[attr-defined]
        return matrix @ rows

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        return ctx.transposed @ gradient, None, None  # type: ignore[attr-defined]


def _to_torch(matrix: csr_matrix) -> torch.Tensor:
    """Return a scipy matrix as a torch one."""
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data),
        size=matrix.shape,
        check_invariants=False,
    )
