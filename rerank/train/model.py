"""The late-crossing cross-encoder in torch: two texts are read apart, and then compared token by token.

A sentence encoder is a good reranker already, but a plain cross-encoder made from it has to learn again,
from labels alone, what the encoder knew: with a fresh head and [CLS] query [SEP] passage [SEP] as
input, the pre-trained pooling is gone. Here each text enters as the encoder knows it. Before the first
training step the score is the encoder's cosine, scaled, plus how well each query token is matched (late
interaction, Khattab and Zaharia 2020); training adds what a comparison of the two texts says
(`rerank.train.comparison`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from rerank.position_weights import DECAY, PASSAGE_DECAY, position_weights
from rerank.train.comparison import Comparison

NORM_EPS = 1e-12  # BERT's
COMPARED = 2 / 3  # of the layers; of six, the third and fourth told most about who did what to whom
COSINE_SCALE = 20.0  # sentence-transformers' usual temperature of 0.05, as a factor
MATCH_SCALE = 40.0  # chosen on training pairs that the bundled encoder has not seen; 20 to 60 do as well


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a late-crossing cross-encoder.

    :param layers: number of transformer layers.
    :param compared: layers after which the tokens' states are compared, together with those of the layer
        before: late enough to know a word's part in its sentence, early enough not to have given it up for
        the sentence's meaning.
    :param hidden: width of a token's state.
    :param heads: attention heads.
    :param intermediate: width of the feed-forward layer.
    :param vocabulary: rows of the embedding matrix.
    :param positions: rows of the position matrix; no text can be longer.
    :param view: width in which tokens are compared.
    :param blocks: attention blocks of the comparison.
    """

    layers: int
    compared: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    view: int = 192
    blocks: int = 2

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


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of texts.

    :param states: final states, shape (texts, length, hidden).
    :param middle: states after the two layers whose tokens are compared, shape (texts, length, 2 * hidden).
    :param mask: 1.0 on tokens, 0.0 on padding, shape (texts, length).
    """

    states: Tensor
    middle: Tensor
    mask: Tensor

    def rows(self, index: Tensor) -> Reading:
        """Pick texts, one as often as it is wanted."""
        return Reading(self.states[index], self.middle[index], self.mask[index])


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
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.comparison = Comparison(2 * shape.hidden, shape.view, shape.blocks)
        self.cosine_scale = nn.Parameter(torch.tensor(COSINE_SCALE))
        self.match_scale = nn.Parameter(torch.tensor(MATCH_SCALE))

    @classmethod
    def from_encoder(cls, folder: Path) -> CrossEncoderModel:
        """Start from a BERT-like sentence encoder.

        :param folder: a transformers model folder (config.json, model.safetensors).
        :return: a model whose score is the encoder's cosine plus a token-matching term.
        """
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        source = {
            name.removeprefix("bert."): tensor.float()
            for name, tensor in load_file(folder / "model.safetensors").items()
        }
        shape = Architecture(
            layers=config["num_hidden_layers"],
            compared=_compared(config["num_hidden_layers"]),
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
            # Both texts are segment 0 to the encoder.
            "positions.weight": source["embeddings.position_embeddings.weight"]
            + source["embeddings.token_type_embeddings.weight"][0],
            "embedding_norm.weight": source["embeddings.LayerNorm.weight"],
            "embedding_norm.bias": source["embeddings.LayerNorm.bias"],
        }
        for number in range(shape.layers):
            state |= _layer_from_bert(source, number)
        model.load_state_dict(state)
        return model

    def shortened(self, layers: tuple[int, ...]) -> CrossEncoderModel:
        """Leave layers out; what is left has to learn to read again.

        :param layers: which to keep, in order.
        :return: a new model with these layers, and everything else as it is.
        """
        shape = replace(self.shape, layers=len(layers), compared=_compared(len(layers)))
        model = CrossEncoderModel(shape)
        state = {name: value for name, value in self.state_dict().items() if not name.startswith("layers.")}
        for place, number in enumerate(layers):
            kept = self.layers[number].state_dict()
            state |= {f"layers.{place}.{name}": value for name, value in kept.items()}
        model.load_state_dict(state)
        return model

    def narrowed(self, intermediate: int) -> CrossEncoderModel:
        """Leave inner units of the feed-forward layers out, those whose weights are least.

        :param intermediate: how many to keep in each layer.
        :return: a new model with these, and everything else as it is; it has to learn to read again.
        """
        model = CrossEncoderModel(replace(self.shape, intermediate=intermediate))
        state = self.state_dict()
        for number in range(self.shape.layers):
            up, down, bias = (f"layers.{number}.{name}" for name in ("up.weight", "down.weight", "up.bias"))
            size = state[up].norm(dim=1) * state[down].norm(dim=0)
            kept = size.topk(intermediate).indices.sort().values
            state |= {up: state[up][kept], down: state[down][:, kept], bias: state[bias][kept]}
        model.load_state_dict(state)
        return model

    def embed(self, ids: Tensor) -> Tensor:
        """Look up token ids (batch, length) -> states (batch, length, hidden)."""
        states = self.words(ids) + self.positions.weight[: ids.shape[1]]
        normed: Tensor = self.embedding_norm(states)
        return normed

    def read(self, ids: Tensor, mask: Tensor) -> Reading:
        """Run the layers over texts on their own.

        :param ids: token ids (texts, length).
        :param mask: 1.0 on tokens, 0.0 on padding, alike.
        :return: what was read.
        """
        after = self._after(ids, mask, self.shape.layers)
        compared = self.shape.compared
        return Reading(after[-1], torch.cat(after[compared - 1 : compared + 1], -1), mask)

    def middle(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the layers only as far as tokens are compared.

        :param ids: token ids (texts, length).
        :param mask: 1.0 on tokens, 0.0 on padding, alike.
        :return: what a reading has as `middle`.
        """
        return torch.cat(self._after(ids, mask, self.shape.compared)[-2:], -1)

    def _after(self, ids: Tensor, mask: Tensor, layers: int) -> list[Tensor]:
        """States after so many layers: first the looked up ones, then those after each layer."""
        after = [self.embed(ids)]
        bias = _padding_bias(mask)
        for layer in list(self.layers)[:layers]:
            after.append(layer(after[-1], bias))
        return after

    def score(self, query: Reading, passage: Reading) -> tuple[Tensor, Tensor]:
        """Score pairs of texts that were read.

        :param query: n readings.
        :param passage: n readings.
        :return: what their likeness says, pooled and by best token matches, and what their comparison says;
            logits, shape (n,) each. A score is their sum.
        """
        with torch.autocast(query.states.device.type, enabled=False):  # the scales would make rounding loud
            own, other = query.states.float(), passage.states.float()
            means = mean(own, by_place(query.mask, DECAY)), mean(other, by_place(passage.mask, PASSAGE_DECAY))
            pooled = (unit(means[0]) * unit(means[1])).sum(-1)
            similarity = unit(own) @ unit(other).transpose(-1, -2)
        best = (similarity + (passage.mask[:, None, :] - 1.0) * 4.0).amax(-1)
        match = (best * query.mask).sum(-1) / query.mask.sum(-1)
        compared = self.comparison(query.middle, query.mask, passage.middle, passage.mask, similarity)
        return self.cosine_scale * pooled + self.match_scale * match, compared

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
        query = self.read(query_ids, query_mask).rows(query_index)
        alike, compared = self.score(query, self.read(passage_ids, passage_mask))
        return alike + compared


def _compared(layers: int) -> int:
    """The layer whose tokens are compared, with those of the one before."""
    return max(1, round(layers * COMPARED))


def _padding_bias(mask: Tensor) -> Tensor:
    """What is added to attention logits so that padding is not attended to."""
    return ((mask - 1.0) * 1e4)[:, None, None, :]


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of states (texts, length, hidden), as their tokens count in the mask, shape (texts, hidden)."""
    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def by_place(mask: Tensor, decay: float) -> Tensor:
    """What each token of a mask (texts, length) counts in a mean: early ones more."""
    return mask * torch.from_numpy(position_weights(decay, places=mask.shape[1])).to(mask.device)


def unit(states: Tensor) -> Tensor:
    """Scale rows (..., hidden) to length 1."""
    return functional.normalize(states, dim=-1)


def _layer_from_bert(source: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """The tensors of a layer of BERT's under this model's names."""
    bert, place = f"encoder.layer.{number}", f"layers.{number}"
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
