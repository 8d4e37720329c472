"""Weights written so that states lie around 0: the same model, and less is lost when they are rounded.

What a normalisation gives is shifted by what it is in the mean; the products that read it, and the sum that
goes round the next layer, take the shift back in their biases (as Wei et al. 2023, "Outlier Suppression+").
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rerank.train.model import CrossEncoderModel


def centred(model: CrossEncoderModel, texts: Sequence[tuple[Tensor, Tensor]]) -> CrossEncoderModel:
    """Shift the states between a model's layers; what it says of a text stays.

    :param model: in float32.
    :param texts: token ids and masks, each (texts, length), to measure means on.
    :return: a new model.
    """
    found: Any = copy.deepcopy(model)
    with torch.no_grad():
        means = _means(found, texts)
        shift = means[found.embedding_norm]
        found.embedding_norm.bias -= shift
        after = [shift]
        last = len(found.layers) - 1
        for number, layer in enumerate(found.layers):
            layer.attention_in.bias += layer.attention_in.weight @ shift
            layer.attention_out.bias += shift
            shift = means[layer.attention_norm]
            layer.attention_norm.bias -= shift
            layer.up.bias += layer.up.weight @ shift
            layer.down.bias += shift
            # The last states are compared by their angle.
            shift = means[layer.norm] if number < last else torch.zeros_like(shift)
            layer.norm.bias -= shift
            after.append(shift)
        compared = model.shape.compared
        view = found.comparison.view
        view.bias += view.weight @ torch.cat(after[compared - 1 : compared + 1])
    shifted: CrossEncoderModel = found
    return shifted


def _means(model: CrossEncoderModel, texts: Sequence[tuple[Tensor, Tensor]]) -> dict[nn.Module, Tensor]:
    """The mean of what each normalisation of the layers gives."""
    sums: dict[nn.Module, Tensor] = {}
    tokens = 0.0
    mask = torch.empty(0)

    def watch(module: nn.Module) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], states: Tensor) -> None:
            sums[module] = sums.get(module, torch.zeros(())) + (states * mask[:, :, None]).sum((0, 1))

        return hook

    norms = [model.embedding_norm]
    layers: Any = model.layers
    norms += [norm for layer in layers for norm in (layer.attention_norm, layer.norm)]
    hooks = [norm.register_forward_hook(watch(norm)) for norm in norms]
    for ids, mask in texts:  # which the hooks read
        model.read(ids, mask)
        tokens += float(mask.sum())
    for one in hooks:
        one.remove()
    return {norm: total / tokens for norm, total in sums.items()}
