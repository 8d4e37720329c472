"""Cross-encoders on onnxruntime: no torch, 8-bit products, batches by token count."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InvalidInputError, ModelError
from rerank.folder import RerankerFolder, read_folder
from rerank.protocol import FloatArray
from rerank.windows import cut_query, passage_windows

TOKENS_PER_BATCH = 2048  # fastest of 512 to 16,384 on two cores: activations stay in the cache
SMALLEST_WINDOW = 16
ROUND = 4  # lengths are padded to a multiple: memory patterns are reused, and vector units filled

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a passage to be scored beside its query."""

    pair: int
    query: int
    ids: list[int]


class OnnxReranker:
    """A cross-encoder that runs on onnxruntime.

    Reads the bundled rerankers, what `retriever rerank-train` writes, and the ONNX exports of
    sentence-transformers cross-encoders. Safe to use from many threads.

    :param folder: holds model.onnx (or onnx/model.onnx), tokenizer.json and config.json.
    :param threads: cores used for one call; None for all.
    :param window: tokens of query and passage together that are read at once; None takes the model's own.
    :raises ModelNotFoundError: if there is no such folder.
    :raises ModelError: if the folder is damaged or its model is no reranker.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None, window: int | None = None) -> None:
        self._folder = read_folder(Path(folder))
        self.window = self._folder.window if window is None else window
        if self.window < SMALLEST_WINDOW:
            raise InvalidInputError(f"window is {window}; give at least {SMALLEST_WINDOW} tokens")
        self._session = _open_session(self._folder, threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self._opening, *closing = self._folder.tokenizer.encode("").ids or [0]
        self._closing = closing[0] if closing else self._opening

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._folder.path.name

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the model and its tokenizer; scores of equal fingerprints are interchangeable."""
        return f"{self._folder.fingerprint()}-{self.window}"

    @property
    def recommended_weight(self) -> float:
        """Share of this model in the blend with the first stage, as fitted; 1 where none was."""
        return float(self._folder.config.get("recommended_weight", 1.0))

    @property
    def config(self) -> dict[str, Any]:
        """What the folder's config.json says."""
        return dict(self._folder.config)

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> FloatArray:
        """Score each passage for the query.

        :param query: the question; cut where it fills more than half the window.
        :param passages: n texts; of one longer than the window the best part counts.
        :param window: tokens read at once in this call; None for the model's own. Smaller is faster.
        :return: float32 logits, shape (n,), in the order of the passages.
        """
        return self.score_pairs([(query, passage) for passage in passages], window=window)

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, window: int | None = None) -> FloatArray:
        """Score (query, passage) pairs; queries may differ and share batches.

        :param pairs: n pairs of query and passage.
        :param window: tokens read at once in this call; None for the model's own.
        :return: float32 logits, shape (n,), in the order of the pairs.
        :raises InvalidInputError: if the window is too small to read anything.
        """
        size = self.window if window is None else min(window, self.window)
        if size < SMALLEST_WINDOW:
            raise InvalidInputError(f"window is {window}; give at least {SMALLEST_WINDOW} tokens")
        scores = np.full(len(pairs), -np.inf, dtype=np.float32)
        if not len(pairs):
            return scores
        queries, parts = self._parts(pairs, size)
        for batch in self._batches(queries, parts):
            logits = self._run(queries, batch)
            np.maximum.at(scores, [part.pair for part in batch], logits)
        return scores

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of texts, without special tokens.

        :param texts: n texts.
        :return: int64, shape (n,).
        """
        encodings = self._folder.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)

    def _parts(self, pairs: Sequence[tuple[str, str]], window: int) -> tuple[list[list[int]], list[_Part]]:
        """Tokenize every text once, and cut passages into parts."""
        queries = {query: row for row, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
        passages = {text: row for row, text in enumerate(dict.fromkeys(text for _, text in pairs))}
        tokenizer = self._folder.tokenizer
        query_ids = [cut_query(e.ids, window) for e in tokenizer.encode_batch_fast(list(queries))]
        encodings = tokenizer.encode_batch_fast(list(passages), add_special_tokens=False)
        passage_ids = [encoding.ids for encoding in encodings]
        parts = []
        for pair, (query, text) in enumerate(pairs):
            row, ids = queries[query], passage_ids[passages[text]]
            room = window - len(query_ids[row]) - 2
            for start, end in passage_windows(ids, query_ids[row], room):
                parts.append(_Part(pair, row, [self._opening, *ids[start:end], self._closing]))
        return query_ids, parts

    def _batches(self, queries: list[list[int]], parts: list[_Part]) -> list[list[_Part]]:
        """Parts of similar length together, each batch with at most so many tokens."""
        lengths = [len(queries[part.query]) + len(part.ids) for part in parts]
        batches: list[list[_Part]] = []
        longest = 0
        for place in np.argsort(-np.array(lengths), kind="stable").tolist():
            if not batches or (len(batches[-1]) + 1) * longest > TOKENS_PER_BATCH:
                batches.append([])
                longest = lengths[place]
            batches[-1].append(parts[place])
        return batches

    def _run(self, queries: list[list[int]], batch: list[_Part]) -> FloatArray:
        """Run the model on one batch."""
        if self._folder.format == "joint":
            feed = self._joint_feed(queries, batch)
        else:
            used = {row: place for place, row in enumerate(dict.fromkeys(part.query for part in batch))}
            query_ids, query_mask = _pad([queries[row] for row in used])
            passage_ids, passage_mask = _pad([part.ids for part in batch])
            feed = {
                "query_ids": query_ids,
                "query_mask": query_mask,
                "passage_ids": passage_ids,
                "passage_mask": passage_mask,
                "query_index": np.array([used[part.query] for part in batch], dtype=np.int64),
            }
        logits: FloatArray = self._session.run(None, feed)[0]
        return logits.reshape(len(batch)).astype(np.float32, copy=False)

    def _joint_feed(self, queries: list[list[int]], batch: list[_Part]) -> dict[str, NDArray[Any]]:
        """[CLS] query [SEP] passage [SEP], with segment 1 from the passage on where the model asks for it."""
        sequences = [[*queries[part.query], *part.ids[1:]] for part in batch]
        ids, mask = _pad(sequences)
        segments = np.zeros_like(ids)
        for row, part in enumerate(batch):
            segments[row, len(queries[part.query]) : len(sequences[row])] = 1
        offered = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": segments}
        return {name: value for name, value in offered.items() if name in self._inputs}


def _open_session(folder: RerankerFolder, threads: int | None) -> Any:
    """Open the graph and check that it is a reranker's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(_usable_cores())
    options.log_severity_level = 3
    # Threads that spin between operators starve whatever else the machine does, the first stage included.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(folder.graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"{folder.graph} cannot be read by onnxruntime ({error}); fetch the model again"
        ) from error
    _check_graph(folder, session)
    return session


def _check_graph(folder: RerankerFolder, session: Any) -> None:
    """Refuse a graph that does not give one score for a pair."""
    inputs = {entry.name for entry in session.get_inputs()}
    wanted = {"passage_ids", "query_ids"} if folder.format == "late-crossing" else {"input_ids"}
    if not wanted <= inputs:
        raise ModelError(f"{folder.graph} has inputs {sorted(inputs)}, a reranker needs {sorted(wanted)}")
    output = session.get_outputs()[0]
    if folder.format == "joint" and (len(output.shape) != 2 or output.shape[1] not in (1, "num_labels")):
        raise ModelError(
            f"{folder.graph} gives {output.name!r} of shape {output.shape}: it is no cross-encoder with one "
            "score (a sentence encoder perhaps: use BiEncoderReranker for it)"
        )


def _usable_cores() -> set[int]:
    """Cores this process may run on; fewer than the machine's in a container."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _pad(sequences: Sequence[Sequence[int]]) -> tuple[IntArray, FloatArray]:
    """Token ids and mask, padded at the end."""
    longest = -(-max(map(len, sequences)) // ROUND) * ROUND
    ids = np.zeros((len(sequences), longest), dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=np.float32)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1.0
    return ids, mask
