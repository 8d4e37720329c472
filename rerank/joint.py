"""Cross-encoders that read query and passage as one sequence: what sentence-transformers exports to ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import ModelError
from rerank.parts import Part, pad
from rerank.protocol import FloatArray
from rerank.sessions import open_session

TOKENS_PER_BATCH = 2048  # fastest of 512 to 16,384 on two cores: activations stay in the cache


class JointModel:
    """Runs a graph with inputs input_ids, attention_mask and perhaps token_type_ids.

    :param graph: an ONNX file.
    :param threads: cores used for one call.
    :param between: token ids that stand between a query's closing token and the passage.
    :param padding: token id of padding.
    :raises ModelError: if the graph does not give one score for a pair.
    """

    def __init__(self, graph: Path, threads: int, *, between: Sequence[int] = (), padding: int = 0) -> None:
        self._between, self._padding = tuple(between), padding
        self._session = open_session(graph, threads)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        if "input_ids" not in self._inputs:
            raise ModelError(f"{graph} has inputs {sorted(self._inputs)}, a reranker needs input_ids")
        output = self._session.get_outputs()[0]
        if len(output.shape) != 2 or output.shape[1] not in (1, "num_labels"):
            raise ModelError(
                f"{graph} gives {output.name!r} of shape {output.shape}: it is no cross-encoder with one "
                "score (a sentence encoder perhaps: use BiEncoderReranker for it)"
            )

    def logits(self, queries: Sequence[Sequence[int]], parts: Sequence[Part]) -> FloatArray:
        """Score parts of passages beside their queries.

        :param queries: token ids, special tokens included.
        :param parts: n of them.
        :return: float32, shape (n, 1).
        """
        logits = np.empty((len(parts), 1), dtype=np.float32)
        for batch in _batches([len(queries[part.query]) + len(part.ids) for part in parts]):
            feed = self._feed(queries, [parts[place] for place in batch])
            logits[batch] = self._session.run(None, feed)[0].reshape(len(batch), 1)
        return logits

    def _feed(self, queries: Sequence[Sequence[int]], batch: Sequence[Part]) -> dict[str, NDArray[Any]]:
        """[CLS] query [SEP] passage [SEP], with segment 1 from the passage on where the model asks for it."""
        heads = [[*queries[part.query], *self._between] for part in batch]
        sequences = [[*head, *part.ids[1:]] for head, part in zip(heads, batch, strict=True)]
        ids, mask = pad(sequences, filling=self._padding)
        segments = np.zeros_like(ids)
        for row, head in enumerate(heads):
            segments[row, len(head) : len(sequences[row])] = 1
        offered = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": segments}
        return {name: value for name, value in offered.items() if name in self._inputs}


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of similar length together, each batch with at most so many tokens."""
    batches: list[list[int]] = []
    longest = 0
    for place in np.argsort(-np.array(lengths), kind="stable").tolist():
        if not batches or (len(batches[-1]) + 1) * longest > TOKENS_PER_BATCH:
            batches.append([])
            longest = lengths[place]
        batches[-1].append(place)
    return batches
