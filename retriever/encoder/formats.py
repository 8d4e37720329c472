"""Reading and writing the folders that model2vec and sentence-transformers use for static models.

A model2vec folder has `config.json`, `tokenizer.json` and `model.safetensors` with the tensor
`embeddings`, optionally `weights` (a factor a token) and `mapping` (the row of each token, where the
vocabulary was quantized); a fourth, `position_weights` (a factor a place in the text), is known to this
project alone. A sentence-transformers folder has `embedding.weight` instead, in the root
or in `0_StaticEmbedding/`.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tokenizers import Tokenizer

from rerank.hub import model_folder
from retriever.errors import InvalidInputError, ModelError

DEFAULT_MAX_LENGTH = 512  # what model2vec assumes where the folder does not say
_LAYOUTS = (  # config, folder of the table, tensor; in the order model2vec tries them
    ("config.json", ".", "embeddings"),
    ("config_sentence_transformers.json", ".", "embedding.weight"),
    ("config_sentence_transformers.json", "0_StaticEmbedding", "embedding.weight"),
)
_HUB_FILES = [
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "model.safetensors",
    "tokenizer.json",
    "0_StaticEmbedding/model.safetensors",
    "0_StaticEmbedding/tokenizer.json",
]
_MAPPED_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I8": np.dtype("i1"),
}


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What a folder holds.

    :param table: rows, shape (rows, dimensions), float32, float16 or int8; memory-mapped where read.
    :param tokenizer: the tokenizer as stored.
    :param weights: factor of each token's row, shape (tokens,), or None.
    :param mapping: row of each token, shape (tokens,), or None where token and row are the same.
    :param position_weights: factor of each place in a text, shape (places,), or None.
    :param normalize: whether the model asks for vectors of length 1.
    :param max_length: tokens after which a text is cut; None never cuts.
    """

    table: NDArray[Any]
    tokenizer: Tokenizer
    weights: NDArray[np.float32] | None
    mapping: NDArray[np.int32] | None
    position_weights: NDArray[np.float32] | None
    normalize: bool
    max_length: int | None


def resolve_folder(path_or_hub_id: str | Path) -> Path:
    """Return the local folder of a model, fetching it from the hub where it is a hub id.

    :param path_or_hub_id: a folder, or "owner/name" on the Hugging Face hub.
    :return: the folder.
    :raises ModelNotFoundError: if it is neither.
    """
    return model_folder(path_or_hub_id, _HUB_FILES, called="encoder")


def read_model(folder: Path) -> ModelParts:
    """Read a model2vec or sentence-transformers static model; no code of the folder is run.

    :param folder: the local folder.
    :return: its parts, the table memory-mapped.
    :raises ModelError: if a file is missing, damaged or of the wrong kind.
    """
    config_file, table_folder, tensor = _layout(folder)
    tensors = _read_tensors(table_folder / "model.safetensors")
    if tensor not in tensors:
        raise ModelError(
            f"{table_folder / 'model.safetensors'} has no tensor {tensor!r} "
            f"(it has {', '.join(sorted(tensors))}): not a static model; "
            "give a model2vec or StaticEmbedding folder"
        )
    tokenizer = _read_tokenizer(table_folder / "tokenizer.json")
    config = _read_json(config_file)
    if tensor == "embeddings":
        normalize = bool(config.get("normalize", False))
        max_length = config.get("max_length", DEFAULT_MAX_LENGTH)
    else:
        normalize = _has_normalize_module(folder)
        # sentence-transformers cuts where the stored tokenizer does, and nowhere else.
        max_length = tokenizer.truncation["max_length"] if tokenizer.truncation else None
    weights, mapping = tensors.get("weights"), tensors.get("mapping")
    return ModelParts(
        table=tensors[tensor],
        tokenizer=tokenizer,
        weights=None if weights is None else np.asarray(weights, dtype=np.float32),
        mapping=None if mapping is None else np.asarray(mapping, dtype=np.int32),
        position_weights=tensors.get("position_weights"),
        normalize=normalize,
        max_length=max_length,
    )


def write_model(folder: Path, parts: ModelParts) -> None:
    """Write a folder that model2vec and sentence-transformers load.

    It gives the same vectors there, unless the model has position weights, which they do not read.

    :param folder: made where it does not exist; files in it are replaced one by one.
    :param parts: what to write; `weights` of unknown tokens should be 0.
    :raises InvalidInputError: if there is a file of this name.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"{folder} is a file; an encoder is saved as a folder, give a new one")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"embeddings": np.ascontiguousarray(parts.table)}
    if parts.weights is not None:
        tensors["weights"] = np.ascontiguousarray(parts.weights, dtype=np.float32)
    if parts.mapping is not None:
        tensors["mapping"] = np.ascontiguousarray(parts.mapping, dtype=np.int32)
    if parts.position_weights is not None:
        tensors["position_weights"] = np.ascontiguousarray(parts.position_weights)
    # A running process may have the old file mapped, so files are replaced, never rewritten.
    unfinished = folder / ".model.safetensors.new"
    unfinished.write_bytes(save(tensors))  # `save_file` would let nobody else read it
    os.replace(unfinished, folder / "model.safetensors")
    tokenizer = Tokenizer.from_str(parts.tokenizer.to_str())
    tokenizer.no_padding()
    if parts.max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(parts.max_length)
    _replace_text(folder / "tokenizer.json", tokenizer.to_str())
    config: dict[str, Any] = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": int(parts.table.shape[1]),
        "seq_length": parts.max_length,
        "max_length": parts.max_length,
        "normalize": parts.normalize,
        "embedding_dtype": parts.table.dtype.name,
    }
    if parts.mapping is not None:
        config["vocabulary_quantization"] = int(parts.table.shape[0])
    _replace_text(folder / "config.json", json.dumps(config, indent=2) + "\n")
    modules = [{"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}]
    if parts.normalize:
        modules.append(
            {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}
        )
    _replace_text(folder / "modules.json", json.dumps(modules, indent=2) + "\n")


def _layout(folder: Path) -> tuple[Path, Path, str]:
    """Return the configuration file, the folder with the table and the tensor's name."""
    for config, inner, tensor in _LAYOUTS:
        table_folder = folder / inner
        needed = (folder / config, table_folder / "model.safetensors", table_folder / "tokenizer.json")
        if all(path.is_file() for path in needed):
            return folder / config, table_folder, tensor
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise ModelError(
        f"{folder} is not a static model: it needs config.json, tokenizer.json and model.safetensors "
        f"(model2vec) or a StaticEmbedding folder of sentence-transformers; it has {found}"
    )


def _read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return all tensors of a safetensors file; float32, float16 and int8 ones memory-mapped."""
    try:
        # The library checks header, bounds and shapes; after that the offsets can be trusted.
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
        with path.open("rb") as raw:
            header_bytes = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(header_bytes))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; copy the model again") from error
    return {name: _map_tensor(path, header[name], 8 + header_bytes) for name in names}


def _map_tensor(path: Path, entry: dict[str, Any], data_start: int) -> NDArray[Any]:
    """Map one tensor; dtypes the kernels do not know become float32 or int32."""
    start, stop = entry["data_offsets"]
    shape, kind = tuple(entry["shape"]), entry["dtype"]
    dtype = _MAPPED_DTYPES.get(kind)
    if dtype is not None and (data_start + start) % dtype.itemsize == 0 and stop > start:
        with path.open("rb") as raw:
            mapped = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            # Rows are read in any order; where the file system has large pages a third of the time is saved.
            with suppress(OSError):
                mapped.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(mapped, dtype, math.prod(shape), data_start + start).reshape(shape)
    with path.open("rb") as raw:
        raw.seek(data_start + start)
        return _convert(raw.read(stop - start), kind, path).reshape(shape)


def _convert(data: bytes, kind: str, path: Path) -> NDArray[Any]:
    """Return float32 values of a floating tensor, int32 values of an integer one."""
    if kind == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    plain = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1"}
    if kind not in plain:
        raise ModelError(f"{path} has a tensor of type {kind}; use float32, float16, bfloat16 or int8")
    values = np.frombuffer(data, dtype=plain[kind])
    if kind in ("F64", "F32"):
        return values.astype(np.float32)
    return values.astype(np.int32) if kind == "I64" else values.copy()


def _read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer of a folder."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise ModelError(f"{path} is not a tokenizer: {error}; copy the model again") from error


def _read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; copy the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object; copy the model again")
    return value


def _has_normalize_module(folder: Path) -> bool:
    """Tell whether a sentence-transformers folder ends in a Normalize module."""
    path = folder / "modules.json"
    if not path.is_file():
        return False
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} cannot be read: {error}; copy the model again") from error
    return any(str(module.get("type", "")).endswith("Normalize") for module in modules)


def _replace_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)
