"""Checkpoints: everything that training needs to go on exactly where it was, without pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rerank.errors import ModelError, ModelNotFoundError

LATEST = "latest"


def write_checkpoint(
    folder: Path,
    *,
    weights: dict[str, Tensor],
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    """Write a checkpoint; a kill in the middle leaves the one before.

    :param folder: the training's folder.
    :param weights: the model's parameters.
    :param average: their moving average, the ones to be used.
    :param optimizer: its moments are saved.
    :param state: JSON-ready values: step, architecture, settings.
    """
    fresh = folder / "writing"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    moments = {
        f"{number}.{name}": value
        for number, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, fresh / "weights.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in average.items()}, fresh / "average.safetensors")
    save_file(
        {name: tensor.contiguous() for name, tensor in moments.items()}, fresh / "optimizer.safetensors"
    )
    (fresh / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    old = folder / "previous"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / LATEST).exists():
        os.replace(folder / LATEST, old)
    os.replace(fresh, folder / LATEST)


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is a checkpoint in a training's folder.

    One that was being replaced when the training was killed is put back in its place.
    """
    latest, previous = folder / LATEST, folder / "previous"
    if not latest.exists() and (previous / "state.json").exists():
        os.replace(previous, latest)
    return (latest / "state.json").exists()


def read_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Read the latest checkpoint.

    :param folder: the training's folder.
    :return: weights, their average, and the state.
    :raises ModelNotFoundError: if there is no checkpoint in the folder.
    :raises ModelError: if it is damaged.
    """
    if not has_checkpoint(folder):
        raise ModelNotFoundError(f"{folder} has no checkpoint; give the folder of an earlier training")
    place = folder / LATEST
    with _damage_named(place / "state.json"):
        state: dict[str, Any] = json.loads((place / "state.json").read_text(encoding="utf-8"))
        state |= {"step": int(state["step"]), "settings": dict(state["settings"])}
    return _tensors(place / "weights.safetensors"), _tensors(place / "average.safetensors"), state


def restore_optimizer(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    """Put the saved moments back into an optimizer over the same parameters.

    :param folder: the training's folder.
    :param optimizer: changed in place.
    :raises ModelError: if they are damaged.
    """
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in _tensors(folder / LATEST / "optimizer.safetensors").items():
        number, _, name = key.partition(".")
        entries.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})


def _tensors(path: Path) -> dict[str, Tensor]:
    """Read one of a checkpoint's files."""
    with _damage_named(path):
        return load_file(path)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into an error that names it and what to do."""
    try:
        yield
    except (SafetensorError, FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} is damaged ({error}); delete {path.parent} to go on from the checkpoint before it, or "
            "to start again where there is none"
        ) from error
