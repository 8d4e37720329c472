"""Making a static encoder out of a teacher and text; needs torch, which is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rerank.position_weights import position_weights

if TYPE_CHECKING:
    from distillation.adaptation import adapt
    from distillation.distilling import distill
    from distillation.fitting import FittingConfig, fit
    from distillation.quantization import quantize
    from distillation.sources import Pair
    from distillation.training import TeacherVectors, TrainingConfig, train

__all__ = [
    "FittingConfig",
    "Pair",
    "TeacherVectors",
    "TrainingConfig",
    "adapt",
    "distill",
    "fit",
    "position_weights",
    "quantize",
    "train",
]

_HOMES = {
    "FittingConfig": "fitting",
    "Pair": "sources",
    "TeacherVectors": "training",
    "TrainingConfig": "training",
    "adapt": "adaptation",
    "distill": "distilling",
    "fit": "fitting",
    "quantize": "quantization",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'distillation' has no attribute {name!r}")
    return getattr(import_module(f"distillation.{_HOMES[name]}"), name)
