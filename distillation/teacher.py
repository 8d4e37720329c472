"""A sentence-transformers teacher, run on the CPU by batches of equal length.

Only the parts that distillation needs: token ids in, pooled vectors out. Two single-threaded
workers beat one two-threaded forward pass wherever another process wants a core too, because no
thread then waits for another at the end of each matrix product.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer

from rerank.hub import model_folder
from retriever.errors import InvalidInputError, MissingExtraError, ModelError

Pooling = Literal["mean", "first", "last"]
TOKENS_PER_BATCH = 8192  # keeps activations in cache; longer batches were not faster
Progress = Callable[[int], None]
_HUB_FILES = ("*.json", "*.safetensors", "*/config.json")
_OWNER = "sentence-transformers"  # of names that give none, as that library has it


@cache
def bfloat16_is_fast() -> bool:
    """Return whether this CPU multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(check()) if check is not None else False


class Teacher:
    """A transformer encoder with its tokenizer and pooling.

    :param name_or_path: folder or hub id of a sentence-transformers (or plain transformers) encoder.
    :param pooling: "mean", "first" or "last" token; None takes what the model's folder says.
    :param bfloat16: weights and products in bfloat16; None where the CPU is made for it.
    :param max_length: longest text in tokens, special tokens included; None takes the model's own.
    :raises MissingExtraError: if transformers is not installed.
    :raises ModelNotFoundError: if there is no such model.
    """

    def __init__(
        self,
        name_or_path: str | Path,
        *,
        pooling: Pooling | None = None,
        bfloat16: bool | None = None,
        max_length: int | None = None,
    ) -> None:
        try:
            from transformers import AutoModel
        except ImportError as error:
            raise MissingExtraError(
                "a teacher model needs transformers; run: pip install 'two-stage-retriever[distill]'"
            ) from error
        chosen = None if pooling is None else _checked(pooling)
        folder = _local_folder(name_or_path)
        half = bfloat16_is_fast() if bfloat16 is None else bfloat16
        dtype = torch.bfloat16 if half else torch.float32
        try:
            model: Any = AutoModel.from_pretrained(folder, dtype=dtype, trust_remote_code=False)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"{folder} is no model that can be loaded ({error}); fetch it again") from error
        self.model = model.eval()
        self.name = folder.parent.name if folder.name == "model" else folder.name
        self.tokenizer = _tokenizer(folder)
        self.pooling: Pooling = chosen or _declared_pooling(folder)
        self.max_length = max_length or _declared_length(folder)
        self.dimensions = int(model.config.hidden_size)

    def pooled_by(self, pooling: Pooling) -> Teacher:
        """Return the same model with another pooling."""
        other = copy.copy(self)
        other.pooling = _checked(pooling)
        return other

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> NDArray[np.float32]:
        """Encode texts into L2-normalised vectors.

        :param texts: any number of texts; longer ones are cut at `max_length` tokens.
        :param progress: called with the number of texts finished since the last call.
        :return: float32 (n, dimensions), rows of length 1.
        """
        self.tokenizer.enable_truncation(self.max_length)
        self.tokenizer.no_padding()
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=True)
        vectors = self.forward([encoding.ids for encoding in encodings], progress=progress)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def forward(
        self, token_ids: Sequence[Sequence[int]], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Run token id sequences through the model and pool.

        :param token_ids: n sequences, special tokens included.
        :param progress: called with the number of sequences finished since the last call.
        :return: float32 (n, dimensions), not normalised.
        """
        out = np.empty((len(token_ids), self.dimensions), dtype=np.float32)

        def run(rows: list[int]) -> int:
            torch.set_num_threads(1)
            out[rows] = self._pooled([token_ids[row] for row in rows])
            return len(rows)

        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(max_workers=threads) as pool:
                for finished in pool.map(run, equal_length_batches(token_ids)):
                    if progress is not None:
                        progress(finished)
        finally:
            torch.set_num_threads(threads)
        return out

    def _pooled(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Forward one batch and pool it."""
        lengths = torch.tensor([len(ids) for ids in batch])
        width = int(lengths.max())
        pad = self.model.config.pad_token_id or 0
        ids = torch.full((len(batch), width), pad, dtype=torch.long)
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence)] = torch.tensor(sequence)
        mask = (torch.arange(width)[None] < lengths[:, None]).long()
        with torch.inference_mode():
            # Without padding no mask is needed, and attention takes its fast path.
            states = self.model(input_ids=ids, attention_mask=None if bool(mask.all()) else mask)[0].float()
            return pool_states(states, mask, self.pooling).numpy()


def pool_states(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Reduce token states to one vector a text.

    :param states: float (n, tokens, d).
    :param mask: 0/1 (n, tokens), ones first.
    :param pooling: mean over the tokens of the text, its first token, or its last.
    :return: float (n, d).
    """
    if pooling == "first":
        return states[:, 0]
    if pooling == "last":
        return states[torch.arange(len(states)), mask.sum(dim=1) - 1]
    weights = mask.to(states.dtype)
    return torch.einsum("ntd,nt->nd", states, weights) / weights.sum(dim=1, keepdim=True)


def equal_length_batches(
    token_ids: Sequence[Sequence[int]], *, budget: int = TOKENS_PER_BATCH
) -> list[list[int]]:
    """Group row numbers by length, so that hardly anything is padded.

    :param token_ids: the sequences.
    :param budget: most tokens in a batch, padding included.
    :return: batches of row numbers, longest texts first (the last batches are then the cheap ones).
    """
    lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)
    batches: list[list[int]] = []
    current: list[int] = []
    for row in np.argsort(-lengths, kind="stable").tolist():
        widest = lengths[current[0]] if current else lengths[row]
        if current and (len(current) + 1) * widest > budget:
            batches.append(current)
            current = []
        current.append(row)
    return [*batches, current] if current else batches


def _checked(pooling: Pooling) -> Pooling:
    if pooling not in ("mean", "first", "last"):
        raise InvalidInputError(f"pooling {pooling!r} is unknown; use 'mean', 'first' or 'last'")
    return pooling


def _local_folder(name_or_path: str | Path) -> Path:
    """Return the model's folder, downloading it if it is a hub id."""
    folder = model_folder(name_or_path, _HUB_FILES, called="teacher", owner=_OWNER)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: it is not a transformers model folder")
    return folder


def _tokenizer(folder: Path) -> Tokenizer:
    """Read the folder's fast tokenizer."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no tokenizer.json; save the teacher with a fast tokenizer")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path} is damaged ({error}); fetch the teacher again") from error


def _declared_pooling(folder: Path) -> Pooling:
    """Read the pooling out of the sentence-transformers folder; mean where it says nothing."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    declared = json.loads(path.read_text(encoding="utf-8"))
    if declared.get("pooling_mode_cls_token") or declared.get("pooling_mode") == "cls":
        return "first"
    if declared.get("pooling_mode_lasttoken") or declared.get("pooling_mode") == "lasttoken":
        return "last"
    return "mean"


def _declared_length(folder: Path) -> int:
    """Read the longest input out of the sentence-transformers folder; 512 where it says nothing."""
    path = folder / "sentence_bert_config.json"
    if not path.is_file():
        return 512
    return int(json.loads(path.read_text(encoding="utf-8")).get("max_seq_length") or 512)
