"""Where a training starts: a reranker of this project, or a sentence encoder."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from rerank.errors import InvalidInputError, MissingExtraError, ModelError
from rerank.folder import LATE_CROSSING, RerankerFolder, read_folder, read_tokenizer
from rerank.train.checkpoint import read_checkpoint
from rerank.train.graph import Range
from rerank.train.model import Architecture, CrossEncoderModel


def start_from(folder: Path) -> tuple[CrossEncoderModel, Tokenizer]:
    """Load the weights that a training starts from.

    :param folder: a reranker of this project, or a sentence encoder of BERT's shape.
    :return: the model and its tokenizer.
    :raises ModelError: if it is neither.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} is missing or damaged ({error})") from error
    if config.get("format") == LATE_CROSSING:
        return from_reranker(folder)
    if config.get("model_type") != "bert" or not (folder / "model.safetensors").is_file():
        raise ModelError(f"{folder} is neither a reranker of this project nor a BERT encoder in safetensors")
    return CrossEncoderModel.from_encoder(folder), read_tokenizer(folder)


def from_training(folder: Path) -> CrossEncoderModel:
    """Read the model of a training folder, its averaged weights where it has them.

    :param folder: with checkpoints.
    :return: the model.
    """
    weights, average, state = read_checkpoint(folder)
    model = CrossEncoderModel(Architecture(**state["architecture"]))
    model.load_state_dict(weights | average)
    return model


def spread_layers(every: int, kept: int) -> tuple[int, ...]:
    """Choose layers evenly, the first and the last among them.

    :param every: layers there are.
    :param kept: layers wanted.
    :return: their numbers.
    :raises InvalidInputError: if more are wanted than there are, or fewer than two.
    """
    if not 2 <= kept <= every:
        raise InvalidInputError(f"{kept} layers are wanted of {every}; give 2 to {every}")
    return tuple(int(row) for row in np.rint(np.linspace(0, every - 1, kept)))


def from_reranker(folder: Path) -> tuple[CrossEncoderModel, Tokenizer]:
    """Read the weights back out of a reranker's 8-bit graph.

    :param folder: a reranker of this project.
    :return: the model in float32, rounded as the graph is, and its tokenizer.
    :raises MissingExtraError: if onnx is not installed.
    :raises ModelError: if the graph does not hold the model that the configuration says.
    """
    read = read_folder(folder)
    stored = _stored(read)
    model = CrossEncoderModel(Architecture(**read.config["architecture"]))
    state = {}
    for name, old in model.state_dict().items():
        value = _tensor(stored, name)
        if value is None or value.size != old.numel():
            raise ModelError(
                f"{read.graph} does not hold {name} as config.json describes it; fetch the model again"
            )
        state[name] = torch.from_numpy(np.array(value, dtype=np.float32)).reshape(old.shape)
    model.load_state_dict(state)
    return model, read.tokenizer


def ranges_of(folder: Path) -> dict[str, Range]:
    """Read the ranges of its products' inputs back out of a reranker's 8-bit graph.

    :param folder: a reranker of this project.
    :return: range by product's name; nothing of a float32 graph.
    :raises MissingExtraError: if onnx is not installed.
    """
    stored = _stored(read_folder(folder))
    names = [name.removesuffix(".span") for name in stored if name.endswith(".span")]
    found = {}
    for name in names:
        step, zero = float(stored[f"{name}.span"]), int(stored[f"{name}.zero"])
        outside, factors = (
            tuple(stored.get(f"{name}.{kind}", np.empty(0)).tolist()) for kind in ("outside", "factors")
        )
        found[name] = Range(-zero * step, (255 - zero) * step, outside, factors)
    return found


def _stored(read: RerankerFolder) -> dict[str, NDArray[Any]]:
    """What both graphs of a reranker hold, by name."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingExtraError(
            "reading a graph needs onnx: pip install 'two-stage-retriever[train]'"
        ) from error
    return {
        entry.name: numpy_helper.to_array(entry)
        for path in (read.graph, read.scorer)
        for entry in onnx.load(str(path)).graph.initializer
    }


def _tensor(stored: dict[str, NDArray[Any]], name: str) -> NDArray[Any] | None:
    """One of the model's tensors, as the graphs hold it: plain, in 8 bits, turned round, or in parts."""
    if name in stored:
        return stored[name]
    if name.endswith(("attention_in.weight", "attention_in.bias")):
        place, kind = name.rsplit(".", 1)
        thirds = [_tensor(stored, f"{place}.{part}.{kind}") for part in range(3)]
        found = [third for third in thirds if third is not None]
        return np.concatenate(found) if len(found) == len(thirds) else None
    if name == "words.weight":
        return np.asarray(stored["words.steps"] * stored["words.scale"])
    place = name.removesuffix(".weight")
    if f"{place}.steps" in stored:
        turned = stored[f"{place}.steps"].astype(np.float32) * stored[f"{place}.scale"]
        third = re.sub(r"\.\d$", "", place)
        factors = stored.get(f"{third}.factors")
        return np.ascontiguousarray((turned if factors is None else turned * factors[:, None]).T)
    if f"{place}.matrix" in stored:
        return np.ascontiguousarray(stored[f"{place}.matrix"].T)
    return None
