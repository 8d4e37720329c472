"""A training run on disk: tensors in safetensors, the rest in JSON, replaced in one step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from retriever.errors import InvalidInputError, ModelError

_FILE = "checkpoint.safetensors"


def save_checkpoint(folder: str | Path, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    """Write a checkpoint; a kill in the middle leaves the one before.

    :param folder: made if it is not there.
    :param tensors: named tensors.
    :param meta: JSON values; kept in the same file, so that the two always belong together.
    """
    target = Path(folder) / _FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.write(save(tensors, metadata={"meta": json.dumps(meta, sort_keys=True)}))
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, target)


def load_checkpoint(
    folder: str | Path, *, expected: dict[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Read a checkpoint.

    :param folder: where it may be.
    :param expected: values of `meta` that must be the same, or the checkpoint belongs to another run.
    :return: tensors and meta, or None where there is none.
    :raises InvalidInputError: if it belongs to another run.
    :raises ModelError: if it is damaged.
    """
    target = Path(folder) / _FILE
    if not target.is_file():
        return None
    try:
        tensors = load_file(target)
        with target.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        meta: dict[str, Any] = json.loads(header["__metadata__"]["meta"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{target} is damaged ({error}); delete it to start again") from error
    wanted = json.loads(json.dumps(expected))
    different = sorted(key for key in wanted if meta.get(key) != wanted[key])
    if different:
        raise InvalidInputError(
            f"{target} belongs to a run with other settings ({', '.join(different)}); "
            "give the same ones, or another checkpoint folder"
        )
    return tensors, meta
