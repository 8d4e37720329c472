"""What the cross-encoder said about each pair, kept so that a study can be interrupted and widened."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever.errors import SourceError

FloatArray = NDArray[np.float32]


class ScoreLog:
    """Logits and costs of (query, text) pairs, appended to a file a query at a time.

    A line that a killed process left unfinished is passed over when the file is read again.

    :param path: the file, made if absent; None keeps it in memory.
    :raises SourceError: if the file cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._known: dict[str, tuple[float, float]] = {}
        if path is not None:
            self._open(path)

    def __len__(self) -> int:
        return len(self._known)

    def missing(self, query: str, texts: Sequence[str], *, timed: bool = False) -> list[str]:
        """List the texts whose pair with the query has no score yet, each once, in order.

        :param query: the query's text.
        :param texts: candidate passages.
        :param timed: also those that have a score, and no time.
        :return: those to be scored.
        """
        unknown = (math.nan, math.nan)
        return [
            text
            for text in dict.fromkeys(texts)
            if math.isnan(self._known.get(_key(query, text), unknown)[1 if timed else 0])
        ]

    def add(
        self, query: str, texts: Sequence[str], logits: FloatArray, milliseconds: Sequence[float]
    ) -> None:
        """Keep scores, and write them down before anything else is done.

        :param query: the query's text.
        :param texts: n passages.
        :param logits: their scores, shape (n,).
        :param milliseconds: what each cost; NaN where that is not known.
        """
        entries = [
            (_key(query, text), float(logit), float(cost))
            for text, logit, cost in zip(texts, logits, milliseconds, strict=True)
        ]
        self._known.update((key, (logit, cost)) for key, logit, cost in entries)
        if self.path is not None and entries:
            line = [
                [key, logit, None if math.isnan(cost) else round(cost, 4)] for key, logit, cost in entries
            ]
            with self.path.open("a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")

    def look_up(self, query: str, texts: Sequence[str]) -> tuple[FloatArray, NDArray[np.float64]]:
        """Return scores and costs of pairs that were scored before.

        :param query: the query's text.
        :param texts: n passages.
        :return: logits, shape (n,), and milliseconds, shape (n,), NaN where not known.
        """
        found = [self._known[_key(query, text)] for text in texts]
        return (
            np.asarray([logit for logit, _ in found], dtype=np.float32),
            np.asarray([cost for _, cost in found], dtype=np.float64),
        )

    def _open(self, path: Path) -> None:
        """Read what there is and make sure that more can be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if text and not text.endswith("\n"):
                # What comes next must not be glued to an unfinished line.
                with path.open("a", encoding="utf-8") as out:
                    out.write("\n")
        except OSError as error:
            raise SourceError(
                f"cannot use {path}: {error.strerror or error}; choose another folder"
            ) from error
        for line in text.splitlines():
            try:
                self._known.update(
                    (key, (logit, math.nan if cost is None else cost))
                    for key, logit, cost in json.loads(line)
                )
            except (ValueError, TypeError):
                continue


def _key(query: str, text: str) -> str:
    """Name a pair by its content, so that the log holds whatever corpus or setting it came from."""
    return hashlib.blake2b(f"{query}\0{text}".encode(), digest_size=12).hexdigest()
