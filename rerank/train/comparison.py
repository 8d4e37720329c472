"""What the words of two texts say about each other: align, compare, and look again.

Each query token is laid beside what the passage says in its place (soft alignment, Parikh et al. 2016, over
the final states' similarity), the two are compared, and attention over the compared tokens and the passage
(MORES, Gao et al. 2020) decides what the differences mean: the same words, but the buyer is the seller.
The states compared come from two layers in the middle of the encoder, where a token still knows its part in
the sentence.
Only query tokens are worked on, so this costs a twentieth of reading the passage.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rerank.train.comparison_graph import HEADS, NORM_EPS

ALIGNMENT_SCALE = 20.0  # of the similarity: nearly all of a token's weight is on its like


class Attention(nn.Module):
    """Multi-head attention of one sequence to another.

    :param width: of a token's state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, states: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """Attend from states (n, a, width) to other (n, b, width), of which mask (n, b) tells the tokens."""
        query, key, value = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.query(states), self.key(other), self.value(other))
        )
        logits = query @ key.transpose(-1, -2) * key.shape[-1] ** -0.5 + (mask[:, None, None, :] - 1.0) * 1e4
        mixed: Tensor = self.out((torch.softmax(logits, -1) @ value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Query tokens look at each other, then at the passage; pre-norm.

    :param width: of a token's state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own_norm, self.own = nn.LayerNorm(width, eps=NORM_EPS), Attention(width)
        self.other_norm, self.other = nn.LayerNorm(width, eps=NORM_EPS), Attention(width)
        self.inner_norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, states: Tensor, mask: Tensor, passage: Tensor, passage_mask: Tensor) -> Tensor:
        """Transform the query tokens' states (n, length, width)."""
        normed = self.own_norm(states)
        states = states + self.own(normed, normed, mask)
        states = states + self.other(self.other_norm(states), passage, passage_mask)
        inner = functional.gelu(self.up(self.inner_norm(states)), approximate="tanh")
        result: Tensor = states + self.down(inner)
        return result


class Comparison(nn.Module):
    """Compares two texts token by token; says 0 until it is trained.

    :param hidden: width of the states compared.
    :param width: in which they are compared.
    :param blocks: of attention.
    """

    def __init__(self, hidden: int, width: int, blocks: int) -> None:
        super().__init__()
        self.view = nn.Linear(hidden, width)
        self.compare = nn.Linear(4 * width, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.out = nn.Linear(2 * width, 1, bias=False)
        self.alignment_scale = nn.Parameter(torch.tensor(ALIGNMENT_SCALE))
        nn.init.zeros_(self.out.weight)

    def forward(
        self, query: Tensor, query_mask: Tensor, passage: Tensor, passage_mask: Tensor, similarity: Tensor
    ) -> Tensor:
        """Score pairs.

        :param query: middle states (n, a, hidden), with their mask (n, a).
        :param passage: middle states (n, b, hidden), with their mask (n, b).
        :param similarity: cosine of the final states, shape (n, a, b).
        :return: logits, shape (n,).
        """
        own, other = self.view(query), self.view(passage)
        likeness = similarity * self.alignment_scale + (passage_mask[:, None, :] - 1.0) * 1e4
        aligned = torch.softmax(likeness, -1).to(other.dtype) @ other
        features = torch.cat([own, aligned, own * aligned, (own - aligned).abs()], -1)
        states = functional.gelu(self.compare(features), approximate="tanh")
        for block in self.blocks:
            states = block(states, query_mask, other, passage_mask)
        states = self.norm(states)
        mean = (states * query_mask[:, :, None]).sum(1) / query_mask.sum(1, keepdim=True)
        logits: Tensor = self.out(torch.cat([mean, states[:, 0]], -1)).squeeze(-1)
        return logits
