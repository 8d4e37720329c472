"""Makes a vector index of any kind, and reads one from its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.errors import CorruptCollectionError
from retriever.index.faiss_engine import TRAINING_SAMPLE
from retriever.index.fast_scan import leading_dimensions
from retriever.index.flat import FlatIndex
from retriever.index.funnel import Encode, FunnelIndex
from retriever.index.hnsw import HNSWIndex
from retriever.index.ivf import IVFIndex
from retriever.index.protocol import VectorIndex
from retriever.index.refined import RefinedIndex
from retriever.index.scalar_quantized import ScalarQuantizedIndex

FloatArray = NDArray[np.float32]

_MOST_CELLS = 4096


def make_engine(
    name: str, dimensions: int, *, sample: FloatArray, passages: int, encode: Encode
) -> VectorIndex:
    """Make an empty vector index.

    :param name: flat, fp16, sq8, refined, ivf, hnsw or funnel.
    :param dimensions: width of the vectors.
    :param sample: vectors to train on, shape (n, d).
    :param passages: how many it will hold.
    :param encode: gives the full vectors of passages again.
    """
    if name == "fp16":
        return ScalarQuantizedIndex(dimensions, bits=16)
    if name == "sq8":
        return ScalarQuantizedIndex(dimensions, bits=8, sample=sample)
    if name == "ivf":
        return IVFIndex(dimensions, sample=sample, cells=ivf_cells(passages))
    if name == "hnsw":
        return HNSWIndex(dimensions)
    if name == "refined":
        return RefinedIndex(dimensions, sample=sample, leading=leading_dimensions(dimensions))
    if name == "funnel":
        return FunnelIndex(dimensions, encode=encode, sample=sample, leading=leading_dimensions(dimensions))
    return FlatIndex(dimensions)


def load_engine(
    name: str, path: Path, dimensions: int, *, settings: Mapping[str, int], encode: Encode
) -> VectorIndex:
    """Read a vector index from its file.

    :param settings: what was tuned.
    :raises CorruptCollectionError: if the file is truncated, damaged or of another kind.
    """
    loaded: VectorIndex
    if name == "flat":
        loaded = FlatIndex.load(path, dimensions)
    elif name in ("fp16", "sq8"):
        loaded = ScalarQuantizedIndex.load(path, dimensions, bits=16 if name == "fp16" else 8)
    elif name == "ivf":
        loaded = IVFIndex.load(path, dimensions)
    elif name == "hnsw":
        loaded = HNSWIndex.load(path, dimensions)
    elif name == "refined" and "leading" in settings:
        loaded = RefinedIndex.load(path, dimensions, leading=settings["leading"])
    elif name == "funnel" and "leading" in settings:
        loaded = FunnelIndex.load(path, dimensions, encode=encode, leading=settings["leading"])
    else:
        raise CorruptCollectionError(f"{path} belongs to an unknown vector index {name!r}")
    if settings:
        loaded.tune(dict(settings))
    return loaded


def ivf_cells(passages: int) -> int:
    """Return the number of cells: about the square root, within what the training sample supports."""
    cells = 1 << round(np.log2(max(1.0, passages**0.5)))
    return int(min(cells, _MOST_CELLS, TRAINING_SAMPLE // 8))
