"""From a trained model to a folder that the runtime loads: 8-bit ONNX, tokenizer, configuration."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from rerank.cores import usable_cores
from rerank.errors import MissingExtraError, ModelError
from rerank.folder import GRAPHS, LATE_CROSSING, SCORER
from rerank.late_crossing import LateCrossingModel
from rerank.parts import Part
from rerank.train.batches import Batch, Collator
from rerank.train.centring import centred
from rerank.train.graph import QUANTIZED, Range, write_graphs
from rerank.train.lists import RankingList
from rerank.train.model import CrossEncoderModel

FLOAT_TOLERANCE = 2e-2  # logits; graph and torch differ by the order of sums alone
LEAST_CORRELATION = 0.97  # of 8-bit and float32 logits; .99 to .995 is usual, and less where logits are alike
CALIBRATION_LISTS = 40  # some three hundred pairs
OUTSIDE = 8  # channels of first tokens that are left out of a range; 1 does most, 16 no more
WITH_OUTSIDE = re.compile(r"layers\.\d+\.(attention_in|up|down)")  # attention_out's are all alike
EVENED = re.compile(r"layers\.\d+\.(attention_in|up)")  # narrow inputs: it costs a hundredth of the time
EVENNESS = 0.75  # share of the unevenness that goes from states to weights; .5 to .8 do nearly as well
SAMPLED = 64  # tokens a batch that the range is fitted to


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the exported graphs are from the trained model.

    :param float_error: largest difference of a logit, float32 graph against torch.
    :param correlation: Pearson correlation of the logits, 8-bit graph against torch.
    :param error: mean absolute difference of a logit, 8-bit graph against torch.
    :param pairs: how many pairs this was measured on.
    """

    float_error: float
    correlation: float
    error: float
    pairs: int


def export(
    model: CrossEncoderModel,
    tokenizer: Tokenizer,
    lists: Sequence[RankingList],
    folder: Path,
    *,
    settings: dict[str, Any],
    ranges: Mapping[str, Range] | None = None,
    float32: bool = False,
) -> Parity:
    """Write a reranker folder.

    :param model: trained; on the CPU.
    :param tokenizer: the model's; rows of the embedding that it lost are dropped (see `trim_vocabulary`).
    :param lists: training text: ranges of the activations are measured on it, and parity is checked on it.
    :param folder: gets model.onnx, scorer.onnx, tokenizer.json and config.json; other files in it stay.
    :param settings: goes into config.json beside what the runtime needs.
    :param ranges: of products' inputs as far as they are known; the others are measured.
    :param float32: write the float32 graphs, to compare with.
    :return: the parity measured.
    :raises MissingExtraError: if onnx is not installed.
    :raises ModelError: if a graph does not score as the model does; nothing is written then.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("export needs onnx: pip install 'two-stage-retriever[train]'") from error
    model = model.float().eval()
    collate = Collator(tokenizer, max_query=64, max_passage=192, teachers={}, sharpness=1.0)
    some = list(lists[:CALIBRATION_LISTS])
    batches = [collate(some[start : start + 8]) for start in range(0, len(some), 8)]
    if not ranges:  # those that are known are of states where they are
        model = centred(model, [text for batch in batches for text in _texts(batch)])
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    spans = measure_ranges(model, batches) | dict(ranges or {})
    shape = model.shape.to_dict()
    plain, small = write_graphs(weights, shape), write_graphs(weights, shape, spans)
    parity = _parity(model, batches, plain, small)
    if parity.float_error > FLOAT_TOLERANCE or parity.correlation < LEAST_CORRELATION:
        raise ModelError(
            f"the exported graph does not score as the trained model does: {parity}; train on more lists, "
            "or with fewer steps"
        )
    folder.mkdir(parents=True, exist_ok=True)
    reader, scorer = plain if float32 else small
    onnx.save(reader, folder / GRAPHS[0])
    onnx.save(scorer, folder / SCORER)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"format": LATE_CROSSING, "architecture": shape, **settings}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return parity


def measure_ranges(model: CrossEncoderModel, batches: Sequence[Batch]) -> dict[str, Range]:
    """Find what the input of every product of `QUANTIZED` spans.

    :param model: in float32.
    :param batches: text to measure on.
    :return: range by product's name; the ends that lose least to rounding and clipping together.
    """
    seen: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    firsts: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    rng = np.random.default_rng(0)

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            states = inputs[0].detach()
            if WITH_OUTSIDE.fullmatch(name):
                firsts[name].append(states[:, 0].numpy())
                states = states[:, 1:]
            rows = states.reshape(-1, states.shape[-1]).numpy()
            # The ends decide, so they are always kept; the bulk is sampled.
            ends = np.stack([rows.min(axis=0), rows.max(axis=0)])
            seen[name].append(np.concatenate([ends, rng.choice(rows, SAMPLED)]))

        return hook

    products = [(name, module) for name, module in model.named_modules() if QUANTIZED.fullmatch(name)]
    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in products]
    with torch.no_grad():
        for batch in batches:
            _torch_logits(model, batch)
    for hook in hooks:
        hook.remove()
    weights = {name: module.weight.detach().numpy() for name, module in products}
    return {
        name: range_of(
            np.concatenate(rows),
            np.concatenate(firsts[name]) if name in firsts else None,
            weight=weights[name] if EVENED.fullmatch(name) else None,
        )
        for name, rows in seen.items()
    }


def trim_vocabulary(
    model: CrossEncoderModel, tokenizer: Tokenizer, keep: set[int]
) -> tuple[CrossEncoderModel, Tokenizer]:
    """Drop rows of the embedding matrix that no text of the training ever used.

    :param model: its word embedding is replaced.
    :param tokenizer: a WordPiece tokenizer.
    :param keep: token ids to keep; special tokens and what spells any word are kept in any case.
    :return: the model and a tokenizer with the kept tokens, renumbered.
    """
    state = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    special = {token["content"] for token in state["added_tokens"]}
    kept = [
        token
        for token, row in sorted(vocabulary.items(), key=lambda entry: entry[1])
        if row in keep or token in special or _is_letter(token)
    ]
    rows = torch.tensor([vocabulary[token] for token in kept])
    number = {token: row for row, token in enumerate(kept)}
    state["model"]["vocab"] = number
    for token in state["added_tokens"]:
        token["id"] = number[token["content"]]
    _renumber(state.get("post_processor"), number)
    small = CrossEncoderModel(model.shape.with_vocabulary(len(kept)))
    small.load_state_dict(model.state_dict() | {"words.weight": model.words.weight.detach()[rows]})
    return small, Tokenizer.from_str(json.dumps(state))


def _is_letter(token: str) -> bool:
    """Whether a token is a single sign, or a letter or digit that a word goes on with."""
    sign = token.removeprefix("##")
    return token.isascii() and len(sign) == 1 and (sign == token or sign.isalnum())


def trim_positions(model: CrossEncoderModel, rows: int) -> CrossEncoderModel:
    """Drop the places that no text is long enough for.

    :param model: its position embedding is replaced.
    :param rows: most tokens of a text.
    :return: the model with so many.
    """
    small = CrossEncoderModel(replace(model.shape, positions=rows))
    small.load_state_dict(model.state_dict() | {"positions.weight": model.positions.weight.detach()[:rows]})
    return small


def _renumber(processor: Any, number: dict[str, int]) -> None:
    """Give the special tokens of a tokenizer's template their new ids."""
    if not processor:
        return
    for name, token in (processor.get("special_tokens") or {}).items():
        token["ids"] = [number[name]]
    for side in ("sep", "cls"):
        if side in processor:
            processor[side][1] = number[processor[side][0]]


def range_of(
    rows: NDArray[np.float32],
    firsts: NDArray[np.float32] | None = None,
    channels: int = OUTSIDE,
    *,
    weight: NDArray[np.float32] | None = None,
) -> Range:
    """Find what the input of a product spans.

    :param rows: tokens' states, shape (tokens, channels).
    :param firsts: those of texts' first tokens, where a few of their channels may be left out.
    :param channels: how many may be at most.
    :param weight: the product's, shape (outputs, channels), where channels are to span alike.
    :return: the ends that lose least, the channels left out, and what the others are multiplied by.
    """
    if weight is not None:
        factors = _factors(rows, weight)
        even = range_of(rows * factors, None if firsts is None else firsts * factors, channels)
        return replace(even, factors=tuple(factors.tolist()))
    if firsts is None:
        return _best_range(rows.reshape(-1))
    largest = np.argsort(-np.abs(firsts).max(axis=0), kind="stable")
    outside = np.sort(largest[: min(channels, firsts.shape[1] // 4)])
    rest = np.delete(firsts, outside, axis=1)
    within = _best_range(np.concatenate([rows.reshape(-1), rest.reshape(-1)]))
    return replace(within, outside=tuple(outside.tolist()))


def _factors(rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factors that make channels span more alike, at the expense of their weights (SmoothQuant, eq. 4)."""
    states, weights = (np.maximum(np.abs(part).max(axis=0), 1e-5) for part in (rows, weight))
    factors = weights ** (1.0 - EVENNESS) / states**EVENNESS
    scaled: NDArray[np.float32] = (factors / np.exp(np.log(factors).mean())).astype(np.float32)
    return scaled


def _best_range(values: NDArray[np.float32]) -> Range:
    """Ends that lose least, squared, over a few shares of what was seen."""
    low, high = float(values.min()), float(values.max())
    best, least = Range(low, high), np.inf
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        tried = Range(low * share, high * share)
        scale, zero = float(tried.scale()), float(tried.zero())
        steps = np.clip(np.rint(values / scale) + zero, 0, 255)
        lost = float((((steps - zero) * scale - values) ** 2).mean())
        if lost < least:
            best, least = tried, lost
    return best


def _texts(batch: Batch) -> list[tuple[Tensor, Tensor]]:
    """Token ids and masks of a batch's queries and passages."""
    passages = [(chunk.passage_ids, chunk.passage_mask) for chunk in batch.chunks]
    return [(batch.query_ids, batch.query_mask), *passages]


def _torch_logits(model: CrossEncoderModel, batch: Batch) -> NDArray[np.float32]:
    """Logits of a batch's chunks, concatenated."""
    with torch.no_grad():
        parts = [
            model(batch.query_ids, batch.query_mask, chunk.passage_ids, chunk.passage_mask, chunk.query_index)
            for chunk in batch.chunks
        ]
    return torch.cat(parts).float().numpy()


def _parity(
    model: CrossEncoderModel, batches: Sequence[Batch], plain: tuple[Any, Any], small: tuple[Any, Any]
) -> Parity:
    """Score the same pairs by torch and, as the runtime does it, by both pairs of graphs."""
    exact = np.concatenate([_torch_logits(model, batch) for batch in batches])
    plain_, small_ = (
        np.concatenate([_runtime_logits(runtime, batch) for batch in batches])
        for runtime in (
            LateCrossingModel(reader.SerializeToString(), scorer.SerializeToString(), usable_cores())
            for reader, scorer in (plain, small)
        )
    )
    return Parity(
        float_error=float(np.abs(exact - plain_).max()),
        correlation=float(np.corrcoef(exact, small_)[0, 1]),
        error=float(np.abs(exact - small_).mean()),
        pairs=len(exact),
    )


def _runtime_logits(runtime: LateCrossingModel, batch: Batch) -> NDArray[np.float32]:
    """Logits of a batch's chunks, concatenated."""
    parts = [
        Part(0, query, tuple(ids))
        for chunk in batch.chunks
        for query, ids in zip(
            chunk.query_index.tolist(), _without_padding(chunk.passage_ids, chunk.passage_mask), strict=True
        )
    ]
    logits: NDArray[np.float32] = runtime.logits(
        _without_padding(batch.query_ids, batch.query_mask), parts
    ).sum(axis=1)
    return logits


def _without_padding(ids: Tensor, mask: Tensor) -> list[list[int]]:
    """Token ids of each row."""
    return [row[kept > 0].tolist() for row, kept in zip(ids, mask, strict=True)]
