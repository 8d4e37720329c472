"""The late-crossing cross-encoder in torch: two texts apart in the lower layers, together in the upper.

A sentence encoder is a good reranker already, but a plain cross-encoder made from it has to learn again,
from labels alone, what the encoder knew: with a fresh head and [CLS] query [SEP] passage [SEP] as
input, the pre-trained pooling is gone. Here the two texts enter as the encoder knows them, each
with its own [CLS] and positions; the lower layers do not see across, the upper ones do (MacAvaney et al.
2020, PreTTR; Cao et al. 2020, DeFormer). Before the first training step, with the crossing shut, the score is
the encoder's cosine, scaled, plus a token-matching term; training opens the crossing and adds to it.
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
MATCH_SCALE = 40.0  # chosen on training pairs that the bundled encoder has not seen; 20 to 60 do as well


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a late-crossing cross-encoder.

    :param layers: number of transformer layers.
    :param join: layers before the two texts see each other.
    :param hidden: width of a token's state.
    :param heads: attention heads.
    :param intermediate: width of the feed-forward layer.
    :param vocabulary: rows of the embedding matrix.
    :param positions: rows of the position matrix; no text can be longer.
    :param head: width of the scoring layer.
    """

    layers: int
    join: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    head: int = 384

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
        self.segments = nn.Parameter(torch.zeros(2, shape.hidden))
        self.lower = nn.ModuleList(Layer(shape) for _ in range(shape.join))
        self.upper = nn.ModuleList(Layer(shape) for _ in range(shape.layers - shape.join))
        self.term_weight = nn.Linear(shape.hidden, 1)
        self.head_in = nn.Linear(4 * shape.hidden, shape.head)
        self.head_out = nn.Linear(shape.head, 1)
        self.cosine_scale = nn.Parameter(torch.tensor(COSINE_SCALE))
        self.match_scale = nn.Parameter(torch.tensor(MATCH_SCALE))
        for layer in (self.term_weight, self.head_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def from_encoder(cls, folder: Path, *, layers: tuple[int, ...], join: int) -> CrossEncoderModel:
        """Start from a BERT-like sentence encoder.

        :param folder: a transformers model folder (config.json, model.safetensors).
        :param layers: which of its layers to keep, in order.
        :param join: layers before the two texts see each other.
        :return: a model whose score, crossing shut, is the encoder's cosine plus a token-matching term.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        source = {
            name.removeprefix("bert."): tensor.float()
            for name, tensor in load_file(folder / "model.safetensors").items()
        }
        shape = Architecture(
            layers=len(layers),
            join=join,
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
            place = f"lower.{target}" if target < join else f"upper.{target - join}"
            state |= _layer_from_bert(source, index, place)
        model.load_state_dict(state)
        return model

    def kept_apart(self) -> CrossEncoderModel:
        """Return the same weights as a model whose texts meet in the head alone."""
        shape = replace(self.shape, join=self.shape.layers)
        state = self.state_dict()
        for number in range(self.shape.join, self.shape.layers):
            old = f"upper.{number - self.shape.join}."
            for name in [name for name in state if name.startswith(old)]:
                state[f"lower.{number}.{name.removeprefix(old)}"] = state.pop(name)
        model = CrossEncoderModel(shape)
        model.load_state_dict(state)
        return model

    def embed(self, ids: Tensor) -> Tensor:
        """Look up token ids (batch, length) -> states (batch, length, hidden)."""
        states = self.words(ids) + self.positions.weight[: ids.shape[1]]
        normed: Tensor = self.embedding_norm(states)
        return normed

    def read_apart(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the lower layers over texts on their own: (batch, length) -> (batch, length, hidden)."""
        states = self.embed(ids)
        bias = _padding_bias(mask)
        for layer in self.lower:
            states = layer(states, bias)
        return states

    def read_together(
        self,
        query: Tensor,
        query_mask: Tensor,
        passage: Tensor,
        passage_mask: Tensor,
        crossing: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the upper layers, if there are any, over each query and its passage; return both parts."""
        if not self.upper:
            return query, passage
        split = query.shape[1]
        states = torch.cat([query + self.segments[0], passage + self.segments[1]], dim=1)
        bias = _padding_bias(torch.cat([query_mask, passage_mask], dim=1))
        if crossing is not None:
            side = torch.arange(states.shape[1]) >= split
            bias = bias + crossing * (side[:, None] != side[None, :]).to(bias.dtype)
        for layer in self.upper:
            states = layer(states, bias)
        return states[:, :split], states[:, split:]

    def head(self, query: Tensor, query_mask: Tensor, passage: Tensor, passage_mask: Tensor) -> Tensor:
        """Score final states: pooled cosine, weighted best token matches, and a learnt correction."""
        query_mean, passage_mean = _mean(query, query_mask), _mean(passage, passage_mask)
        cosine = (functional.normalize(query_mean, dim=-1) * functional.normalize(passage_mean, dim=-1)).sum(
            -1
        )
        similarity = functional.normalize(query, dim=-1) @ functional.normalize(passage, dim=-1).transpose(
            -1, -2
        )
        best = (similarity + (passage_mask[:, None, :] - 1.0) * 4.0).amax(-1)
        weight = torch.softmax(self.term_weight(query).squeeze(-1) + (query_mask - 1.0) * 1e4, -1)
        match = (best * weight).sum(-1)
        features = torch.cat(
            [query_mean * passage_mean, (query_mean - passage_mean).abs(), query[:, 0], passage[:, 0]], dim=-1
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
        crossing: Tensor | None = None,
    ) -> Tensor:
        """Score passages.

        :param query_ids: (q, length) token ids; query_mask (q, length) is 1.0 on tokens, 0.0 on padding.
        :param passage_ids: (n, length) token ids; passage_mask alike.
        :param query_index: (n,) row of each passage's query.
        :param crossing: scalar added to the attention logits between the texts; None leaves them open.
        :return: logits, shape (n,).
        """
        query = self.read_apart(query_ids, query_mask)[query_index]
        mask = query_mask[query_index]
        passage = self.read_apart(passage_ids, passage_mask)
        query, passage = self.read_together(query, mask, passage, passage_mask, crossing)
        return self.head(query.float(), mask, passage.float(), passage_mask)


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
