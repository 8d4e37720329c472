"""The late-crossing cross-encoder in torch: two texts read apart, then the query reads the passage.

A sentence encoder is a good reranker already, but a plain cross-encoder made from it has to learn again,
from labels alone, what the encoder knew: with a fresh head and [CLS] query [SEP] passage [SEP] as
input, the pre-trained pooling is gone. Here the encoder stays as it is and reads both texts apart. On top,
a few crossing layers, copies of its last ones, let each query token attend to the query and to the passage's
states at the same depth (the interaction module of Gao et al. 2020, MORES). Only the query's tokens pass
through them, so they cost a tenth of the whole. The score is the encoder's cosine, scaled, plus a
token-matching term, both untouched by the training of the crossing, plus what the crossing adds: nothing
before the first step.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

NORM_EPS = 1e-12  # BERT's
COSINE_SCALE = 20.0  # sentence-transformers' usual temperature of 0.05, as a factor


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a late-crossing cross-encoder.

    :param layers: number of transformer layers.
    :param crossing: layers in which the query reads the passage, copied from the last `layers`.
    :param hidden: width of a token's state.
    :param heads: attention heads.
    :param intermediate: width of the feed-forward layer.
    :param vocabulary: rows of the embedding matrix.
    :param positions: rows of the position matrix; no text can be longer.
    :param head: width of the scoring layer.
    """

    layers: int
    crossing: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    head: int = 192

    def to_dict(self) -> dict[str, int]:
        """Return the shape as plain JSON-ready values."""
        return asdict(self)

    def with_vocabulary(self, rows: int) -> Architecture:
        """Return the same shape with so many rows of the embedding matrix."""
        return replace(self, vocabulary=rows)


class Layer(nn.Module):
    """One post-norm transformer layer, as in BERT."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.attention_in = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.attention_out = nn.Linear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)
        self.up = nn.Linear(shape.hidden, shape.intermediate)
        self.down = nn.Linear(shape.intermediate, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Transform states (batch, length, hidden); mask is added to the attention logits."""
        batch, length, hidden = states.shape
        parts = self.attention_in(states).view(batch, length, 3, self.heads, hidden // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        # Written out: on a CPU, fused attention's backward pass costs more than the rest of the layer.
        logits = query @ key.transpose(-1, -2) * (hidden // self.heads) ** -0.5 + mask
        mixed = torch.softmax(logits.float(), -1).to(value.dtype) @ value
        mixed = mixed.transpose(1, 2).reshape(batch, length, hidden)
        states = self.attention_norm(states + self.attention_out(mixed))
        inner = functional.gelu(self.up(states), approximate="tanh")
        normed: Tensor = self.norm(states + self.down(inner))
        return normed


class CrossingLayer(nn.Module):
    """One post-norm layer whose tokens attend to themselves and to the states of another text."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.asking_in = nn.Linear(shape.hidden, shape.hidden)
        self.memory_in = nn.Linear(shape.hidden, 2 * shape.hidden)
        self.attention_out = nn.Linear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)
        self.up = nn.Linear(shape.hidden, shape.intermediate)
        self.down = nn.Linear(shape.intermediate, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Transform states (batch, length, hidden); mask is for the states and the memory after them."""
        batch, length, hidden = states.shape
        width = hidden // self.heads
        query = self.asking_in(states).view(batch, length, self.heads, width).transpose(1, 2)
        both = self.memory_in(torch.cat([states, memory], dim=1))
        key, value = both.view(batch, -1, 2, self.heads, width).permute(2, 0, 3, 1, 4)
        logits = query @ key.transpose(-1, -2) * width**-0.5 + mask
        mixed = torch.softmax(logits.float(), -1).to(value.dtype) @ value
        mixed = mixed.transpose(1, 2).reshape(batch, length, hidden)
        states = self.attention_norm(states + self.attention_out(mixed))
        inner = functional.gelu(self.up(states), approximate="tanh")
        normed: Tensor = self.norm(states + self.down(inner))
        return normed


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the encoder reads it on its own.

    :param levels: float (batch, length, hidden), the states that enter each of the last `crossing` layers.
    :param final: float (batch, length, hidden), the states after the last layer.
    :param mask: float (batch, length), 1.0 on tokens.
    """

    levels: tuple[Tensor, ...]
    final: Tensor
    mask: Tensor

    def rows(self, index: Tensor) -> Reading:
        """The same for some rows, repeated as the index says."""
        return Reading(tuple(level[index] for level in self.levels), self.final[index], self.mask[index])

    def float(self) -> Reading:
        """The same in float32."""
        return Reading(tuple(level.float() for level in self.levels), self.final.float(), self.mask)


class CrossEncoderModel(nn.Module):
    """Scores passages for queries; see the module's description.

    :param shape: the architecture.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.embedding_norm = nn.LayerNorm(shape.hidden, eps=NORM_EPS)
        self.apart = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.passage_mark = nn.Parameter(torch.zeros(shape.hidden))
        self.crossing = nn.ModuleList(CrossingLayer(shape) for _ in range(shape.crossing))
        self.term_weight = nn.Linear(shape.hidden, 1)
        self.head_in = nn.Linear(4 * shape.hidden, shape.head)
        self.head_out = nn.Linear(shape.head, 1)
        self.cosine_scale = nn.Parameter(torch.tensor(COSINE_SCALE))
        self.match_scale = nn.Parameter(torch.tensor(1.0))
        for layer in (self.term_weight, self.head_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def from_encoder(cls, folder: Path, *, layers: tuple[int, ...], crossing: int) -> CrossEncoderModel:
        """Start from a BERT-like sentence encoder.

        :param folder: a transformers model folder (config.json, model.safetensors).
        :param layers: which of its layers to keep, in order.
        :param crossing: layers in which the query reads the passage, copied from the last of these.
        :return: a model whose score is the encoder's cosine plus a token-matching term.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        source = {
            name.removeprefix("bert."): tensor.float()
            for name, tensor in load_file(folder / "model.safetensors").items()
        }
        shape = Architecture(
            layers=len(layers),
            crossing=crossing,
            hidden=config["hidden_size"],
            heads=config["num_attention_heads"],
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            positions=config["max_position_embeddings"],
        )
        model = cls(shape)
        state = model.state_dict()
        state |= {
            "words.weight": source["embeddings.word_embeddings.weight"],
            # Both texts are segment 0 to the encoder; what tells them apart is learnt where they meet.
            "positions.weight": source["embeddings.position_embeddings.weight"]
            + source["embeddings.token_type_embeddings.weight"][0],
            "embedding_norm.weight": source["embeddings.LayerNorm.weight"],
            "embedding_norm.bias": source["embeddings.LayerNorm.bias"],
        }
        for target, index in enumerate(layers):
            state |= _layer_from_bert(source, index, f"apart.{target}")
        for target in range(crossing):
            state |= _crossing_from(state, f"apart.{len(layers) - crossing + target}", f"crossing.{target}")
        model.load_state_dict(state)
        return model

    def embed(self, ids: Tensor) -> Tensor:
        """Look up token ids (batch, length) -> states (batch, length, hidden)."""
        states = self.words(ids) + self.positions.weight[: ids.shape[1]]
        normed: Tensor = self.embedding_norm(states)
        return normed

    def read_apart(self, ids: Tensor, mask: Tensor) -> Reading:
        """Run the encoder over texts on their own: ids and mask (batch, length)."""
        states = self.embed(ids)
        bias = _padding_bias(mask)
        levels = []
        for number, layer in enumerate(self.apart):
            if number >= self.shape.layers - self.shape.crossing:
                levels.append(states)
            states = layer(states, bias)
        return Reading(tuple(levels), states, mask)

    def read_across(self, query: Reading, passage: Reading) -> Tensor:
        """Let each query's tokens read its passage: -> states (batch, query length, hidden)."""
        bias = _padding_bias(torch.cat([query.mask, passage.mask], dim=1))
        states = query.levels[0]
        for layer, memory in zip(self.crossing, passage.levels, strict=True):
            states = layer(states, memory + self.passage_mark, bias)
        return states

    def head(self, query: Reading, passage: Reading, crossed: Tensor) -> Tensor:
        """Score: pooled cosine, weighted best token matches, and what the crossing adds."""
        query_mean, passage_mean = _mean(query.final, query.mask), _mean(passage.final, passage.mask)
        cosine = (functional.normalize(query_mean, dim=-1) * functional.normalize(passage_mean, dim=-1)).sum(
            -1
        )
        similarity = functional.normalize(query.final, dim=-1) @ functional.normalize(
            passage.final, dim=-1
        ).transpose(-1, -2)
        best = (similarity + (passage.mask[:, None, :] - 1.0) * 4.0).amax(-1)
        weight = torch.softmax(self.term_weight(query.final).squeeze(-1) + (query.mask - 1.0) * 1e4, -1)
        match = (best * weight).sum(-1)
        crossed_mean = _mean(crossed, query.mask)
        features = torch.cat(
            [crossed_mean, crossed[:, 0], crossed_mean * passage_mean, (crossed_mean - query_mean).abs()],
            dim=-1,
        )
        learnt = self.head_out(torch.tanh(self.head_in(features))).squeeze(-1)
        total: Tensor = self.cosine_scale * cosine + self.match_scale * match + learnt
        return total

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        passage_ids: Tensor,
        passage_mask: Tensor,
        query_index: Tensor,
    ) -> Tensor:
        """Score passages.

        :param query_ids: (q, length) token ids; query_mask (q, length) is 1.0 on tokens, 0.0 on padding.
        :param passage_ids: (n, length) token ids; passage_mask alike.
        :param query_index: (n,) row of each passage's query.
        :return: logits, shape (n,).
        """
        query = self.read_apart(query_ids, query_mask).rows(query_index)
        passage = self.read_apart(passage_ids, passage_mask)
        return self.head(query, passage, self.read_across(query, passage))


def _padding_bias(mask: Tensor) -> Tensor:
    """What is added to attention logits so that padding is not attended to."""
    return ((mask - 1.0) * 1e4)[:, None, None, :]


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are not padding."""
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def _layer_from_bert(source: dict[str, Tensor], index: int, place: str) -> dict[str, Tensor]:
    """The tensors of BERT's layer `index` under this model's names."""
    bert = f"encoder.layer.{index}"
    renamed = {
        "attention_out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }
    tensors: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        parts = [source[f"{bert}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        tensors[f"{place}.attention_in.{kind}"] = torch.cat(parts)
        for ours, theirs in renamed.items():
            tensors[f"{place}.{ours}.{kind}"] = source[f"{bert}.{theirs}.{kind}"]
    return tensors


def _crossing_from(state: dict[str, Tensor], layer: str, place: str) -> dict[str, Tensor]:
    """A layer's tensors under the names of a crossing layer."""
    tensors: dict[str, Tensor] = {}
    for kind in ("weight", "bias"):
        whole = state[f"{layer}.attention_in.{kind}"]
        tensors[f"{place}.asking_in.{kind}"] = whole[: len(whole) // 3].clone()
        tensors[f"{place}.memory_in.{kind}"] = whole[len(whole) // 3 :].clone()
        for name in ("attention_out", "attention_norm", "up", "down", "norm"):
            tensors[f"{place}.{name}.{kind}"] = state[f"{layer}.{name}.{kind}"].clone()
    return tensors
