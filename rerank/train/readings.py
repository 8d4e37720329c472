"""What a reader that is not trained says of every text: read once, kept on disk, looked up at every step."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rerank.train.model import CrossEncoderModel, Reading

LOG = logging.getLogger(__name__)
TOKENS_PER_RUN = 8192  # of texts of one length read together
LAYERS = ("states", "middle")

Ids = tuple[int, ...]


class Readings:
    """Final and middle states of texts in half precision, two arrays on disk.

    :param model: reads; on any device.
    :param texts: token ids of every text that will be asked for; each is read once.
    :param folder: gets the arrays; those of the same model and texts are used again.
    :param pool: reads on so many threads at once.
    """

    def __init__(
        self, model: CrossEncoderModel, texts: Iterable[Sequence[int]], folder: Path, pool: Executor
    ) -> None:
        self._model, self._device = model, next(model.parameters()).device
        unique = sorted({tuple(ids) for ids in texts}, key=lambda ids: (len(ids), ids))
        self._place = {ids: row for row, ids in enumerate(unique)}
        self._starts = np.concatenate([[0], np.cumsum([len(ids) for ids in unique])]).astype(np.int64)
        tokens, hidden = int(self._starts[-1]), model.shape.hidden
        done = folder / "read.json"
        mark = {"texts": len(unique), "tokens": tokens, "of": self._fingerprint(unique)}
        fresh = not done.exists() or json.loads(done.read_text(encoding="utf-8")) != mark
        if fresh:
            done.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
        self._kept = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy",
                "w+" if fresh else "r+",
                np.float16,
                (tokens, width) if fresh else None,
            )
            for name, width in zip(LAYERS, (hidden, 2 * hidden), strict=True)
        }
        if fresh:
            LOG.info("reading %d texts, %d tokens, once", len(unique), tokens)
            for number, _ in enumerate(pool.map(self._read, runs_of_one_length(unique, TOKENS_PER_RUN)), 1):
                if number % 200 == 0:
                    LOG.info("read %d runs", number)
            done.write_text(json.dumps(mark), encoding="utf-8")
        self._tensors = {name: torch.from_numpy(array) for name, array in self._kept.items()}

    def look_up(self, ids: Tensor, mask: Tensor) -> Reading:
        """What was read of padded texts.

        :param ids: int64 (texts, length).
        :param mask: 1.0 on tokens, alike.
        :return: the reading, float32, zeros on padding.
        """
        lengths = mask.sum(1).long()
        rows = [
            self._place[tuple(row[:length])]
            for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)
        ]
        at = torch.from_numpy(self._starts[rows])[:, None] + torch.arange(ids.shape[1])
        at = torch.where(mask > 0, at, at[:, :1])
        states, middle = (
            self._tensors[name][at].to(self._device).float() * mask.to(self._device)[:, :, None]
            for name in LAYERS
        )
        return Reading(states, middle, mask.to(self._device))

    def _read(self, run: list[Ids]) -> None:
        """Read texts of one length."""
        ids = torch.tensor(run, device=self._device)
        with torch.no_grad(), torch.autocast(self._device.type, torch.bfloat16, cache_enabled=False):
            read = self._model.read(ids, torch.ones(ids.shape, device=self._device))
        first = self._starts[self._place[run[0]]]  # texts of a run are neighbours
        for name, states in zip(LAYERS, (read.states, read.middle), strict=True):
            flat = states.float().cpu().numpy().reshape(-1, states.shape[-1])
            self._kept[name][first : first + len(flat)] = flat

    def _fingerprint(self, texts: Sequence[Ids]) -> str:
        """Hash of the reader and the texts."""
        digest = hashlib.sha256()
        for name, value in self._model.state_dict().items():
            if not name.startswith("comparison.") and not name.endswith("_scale"):
                digest.update(value.float().cpu().numpy().tobytes())
        for ids in texts:
            digest.update(np.array(ids, np.int32).tobytes())
        return digest.hexdigest()


def runs_of_one_length(texts: Sequence[Ids], tokens: int) -> list[list[Ids]]:
    """Put neighbours of one length together: nothing of what is read is padding.

    :param texts: token ids, ordered by length.
    :param tokens: at most so many together, unless one text alone has more.
    :return: the texts, in runs.
    """
    runs: list[list[Ids]] = []
    for ids in texts:
        if not runs or len(runs[-1][0]) != len(ids) or (len(runs[-1]) + 1) * len(ids) > tokens:
            runs.append([])
        runs[-1].append(ids)
    return runs
