"""A reranker's folder on disk: what it must hold, and what its configuration says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from rerank.errors import ModelError, ModelNotFoundError

GRAPHS = ("model.onnx", "onnx/model.onnx")  # ours, and where sentence-transformers puts its exports
SCORER = "scorer.onnx"
LATE_CROSSING = "late-crossing"
DEFAULT_WINDOW = 256
# They count positions from behind the padding's id, and so have fewer than rows for them.
_POSITIONS_AFTER_PADDING = frozenset(
    {
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
        "camembert",
        "roberta-prelayernorm",
        "data2vec-text",
        "mpnet",
    }
)
Format = Literal["late-crossing", "joint"]


@dataclass(frozen=True, slots=True)
class RerankerFolder:
    """What was read from a reranker's folder.

    :param path: the folder.
    :param graph: the ONNX file; the reader of a "late-crossing" model.
    :param format: "late-crossing" takes query and passage apart (see `rerank.train.model`); "joint" is any
        cross-encoder that reads them as one sequence.
    :param tokenizer: neither truncates nor pads.
    :param config: config.json.
    """

    path: Path
    graph: Path
    format: Format
    tokenizer: Tokenizer
    config: dict[str, Any]

    @property
    def scorer(self) -> Path:
        """The second ONNX file of a "late-crossing" model."""
        return self.path / SCORER

    @property
    def window(self) -> int:
        """Tokens of query and passage together that the model reads at once."""
        positions = self.config.get("max_position_embeddings")
        if positions and self.config.get("model_type") in _POSITIONS_AFTER_PADDING:
            positions = int(positions) - self.padding - 1
        return int(next(limit for limit in (self.config.get("window"), positions, DEFAULT_WINDOW) if limit))

    @property
    def padding(self) -> int:
        """Token id of padding."""
        return int(self.config.get("pad_token_id") or 0)

    @property
    def between(self) -> list[int]:
        """Token ids that a pair has between the query's closing token and the passage; most models' none."""
        alone = self.tokenizer.encode("").ids
        return list(self.tokenizer.encode("", "").ids[len(alone) : -1])

    def fingerprint(self) -> str:
        """Hash of everything that a score depends on."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(self.graph.read_bytes())
        if self.format == LATE_CROSSING:
            digest.update(self.scorer.read_bytes())
        digest.update(self.tokenizer.to_str().encode())
        return digest.hexdigest()


def find_graph(folder: Path) -> Path | None:
    """Return the ONNX graph of a folder, or None where there is none."""
    return next((folder / name for name in GRAPHS if (folder / name).is_file()), None)


def read_folder(folder: Path) -> RerankerFolder:
    """Read a reranker's folder, the graph itself aside.

    :param folder: holds model.onnx (or onnx/model.onnx), tokenizer.json and config.json.
    :return: what was read.
    :raises ModelNotFoundError: if there is no such folder.
    :raises ModelError: if a file is missing or damaged, or the model is no reranker.
    """
    if not folder.is_dir():
        raise ModelNotFoundError(f"no reranker at {folder}: there is no such folder")
    graph = find_graph(folder)
    if graph is None:
        raise ModelError(
            f"{folder} has no model.onnx; export the model to ONNX, or load it with the extra 'hf'"
        )
    config = _read_config(folder / "config.json")
    kind: Format = "late-crossing" if config.get("format") == LATE_CROSSING else "joint"
    if kind == LATE_CROSSING and not (folder / SCORER).is_file():
        raise ModelError(f"{folder} has no {SCORER}; fetch the model again")
    tokenizer = read_tokenizer(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check(folder, config, tokenizer)
    return RerankerFolder(folder, graph, kind, tokenizer, config)


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read a folder's tokenizer.json.

    :raises ModelError: if it is missing or damaged.
    """
    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(
            f"{folder / 'tokenizer.json'} is missing or damaged ({error}); fetch the model again"
        ) from error


def _read_config(path: Path) -> dict[str, Any]:
    """Read config.json."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is missing or damaged ({error}); fetch the model again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a JSON object; fetch the model again")
    return config


def _check(folder: Path, config: dict[str, Any], tokenizer: Tokenizer) -> None:
    """Refuse what would give scores without meaning."""
    labels = config.get("num_labels") or len(config.get("id2label") or {}) or 1
    if labels != 1:
        raise ModelError(
            f"{folder} classifies into {labels} labels; a reranker gives one score: choose a cross-encoder "
            "trained for ranking (num_labels 1)"
        )
    rows = (config.get("architecture") or config).get("vocabulary") or config.get("vocab_size")
    if rows is not None and tokenizer.get_vocab_size() > int(rows):
        raise ModelError(
            f"{folder}: the tokenizer knows {tokenizer.get_vocab_size()} tokens and the model {rows}; "
            "they do not belong together"
        )
