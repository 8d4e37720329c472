"""Scores of pairs seen before: the same question over the same passages costs nothing the second time."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InvalidInputError
from rerank.protocol import FloatArray, PairReranker, Reranker, TextReader, WindowedReranker

LOG = logging.getLogger(__name__)

ENTRY_BYTES = 160  # of one score in the dictionary: key, float, links; measured, rounded up
KEY_BYTES = 16
DEFAULT_BYTES = 32 * 2**20
WAIT = 0.05  # seconds for another process that writes; what is not kept then is only scored again


class PairCache:
    """Remembers scores by model and texts, the least recently used given up first; safe for many threads.

    :param max_bytes: memory it may take.
    :param path: an SQLite file that keeps the scores too, at most as many; None keeps them in memory alone.
    :raises InvalidInputError: if `max_bytes` cannot hold one score.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_BYTES, path: Path | None = None) -> None:
        self.capacity = max_bytes // ENTRY_BYTES
        if self.capacity < 1:
            raise InvalidInputError(f"max_bytes is {max_bytes}; one score takes {ENTRY_BYTES}")
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = self.misses = 0
        self._disk = None if path is None else _open_disk(path)
        if self._disk is not None:
            newest = "SELECT rowid FROM scores ORDER BY rowid DESC LIMIT ?"
            with self._disk:
                self._disk.execute(f"DELETE FROM scores WHERE rowid NOT IN ({newest})", (self.capacity,))
            self._scores.update(self._disk.execute("SELECT key, score FROM scores ORDER BY rowid").fetchall())

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def nbytes(self) -> int:
        """Memory taken, in bytes; never above `max_bytes`."""
        return len(self._scores) * ENTRY_BYTES

    def get(self, keys: Sequence[bytes]) -> FloatArray:
        """Look up scores.

        :param keys: n keys of `pair_key`.
        :return: float32, shape (n,), NaN where a score is not known.
        """
        found = np.full(len(keys), np.nan, dtype=np.float32)
        with self._lock:
            for row, key in enumerate(keys):
                score = self._scores.get(key)
                if score is not None:
                    self._scores.move_to_end(key)
                    found[row] = score
            known = int(np.isfinite(found).sum())
            self.hits += known
            self.misses += len(keys) - known
        return found

    def knows(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Say which scores are known, without counting this as a use of them.

        :param keys: n keys of `pair_key`.
        :return: bool, shape (n,).
        """
        with self._lock:
            return np.array([key in self._scores for key in keys], dtype=np.bool_)

    def put(self, keys: Sequence[bytes], scores: FloatArray) -> None:
        """Remember scores.

        :param keys: n keys of `pair_key`.
        :param scores: float32, shape (n,); what is not finite is not remembered.
        """
        entries = [(key, float(score)) for key, score in zip(keys, scores, strict=True) if np.isfinite(score)]
        with self._lock:
            for key, score in entries:
                self._scores[key] = score
                self._scores.move_to_end(key)
            gone = [self._scores.popitem(last=False)[0] for _ in range(len(self._scores) - self.capacity)]
            self._keep(entries, gone)

    def _keep(self, entries: Sequence[tuple[bytes, float]], gone: Sequence[bytes]) -> None:
        """Write to the file what is new; a cache that cannot be written never fails a search."""
        if self._disk is None:
            return
        try:
            with self._disk:
                self._disk.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", entries)
                self._disk.executemany("DELETE FROM scores WHERE key = ?", [(key,) for key in gone])
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                LOG.warning("scores are kept in memory alone from now on: %s", error)
                self._disk.close()
                self._disk = None

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self._lock:
            self._scores.clear()
            if self._disk is not None:
                with self._disk:
                    self._disk.execute("DELETE FROM scores")

    def close(self) -> None:
        """Close the file, if there is one."""
        with self._lock:
            if self._disk is not None:
                self._disk.close()
                self._disk = None


class CachedReranker:
    """A reranker that asks the cache first; its scores are those of the reranker inside.

    What else the inner one offers (its fitted configuration, a window, a reader) is offered here too.

    :param reranker: scores what the cache does not know.
    :param cache: shared or own.
    :param fingerprint: tells models apart in the cache; None takes the reranker's own.
    :raises InvalidInputError: if neither is there: scores of two models would be mixed.
    """

    def __init__(self, reranker: Reranker, cache: PairCache, *, fingerprint: str | None = None) -> None:
        own = fingerprint or getattr(reranker, "fingerprint", None) or getattr(reranker, "name", None)
        if not own:
            raise InvalidInputError(
                f"{type(reranker).__name__} has no fingerprint; give one with fingerprint="
            )
        self.reranker, self.cache, self.fingerprint = reranker, cache, str(own)

    @property
    def recommended_weight(self) -> float:
        """The inner reranker's share in the blend with the first stage."""
        return float(getattr(self.reranker, "recommended_weight", 1.0))

    @property
    def name(self) -> str:
        """The inner reranker's name."""
        return str(getattr(self.reranker, "name", type(self.reranker).__name__))

    @property
    def config(self) -> dict[str, Any]:
        """What was fitted with the inner reranker: calibration, stopping rule."""
        return dict(getattr(self.reranker, "config", {}))

    @property
    def window(self) -> int | None:
        """Tokens the inner reranker reads at once; None where it cannot be told to read less."""
        return self.reranker.window if isinstance(self.reranker, WindowedReranker) else None

    @property
    def reader(self) -> TextReader | None:
        """The inner reranker's reader of single texts, if it has one."""
        found: TextReader | None = getattr(self.reranker, "reader", None)
        return found

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Count the tokens of texts.

        :param texts: n texts.
        :return: int64, shape (n,).
        :raises InvalidInputError: if the inner reranker cannot.
        """
        if not isinstance(self.reranker, WindowedReranker):
            raise InvalidInputError(f"{self.name} does not count tokens")
        return self.reranker.count_tokens(texts)

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> FloatArray:
        """Score each passage for the query.

        :param query: the question.
        :param passages: n texts.
        :param window: tokens read at once in this call; None for the model's own.
        :return: float32 logits, shape (n,), in the order of the passages.
        """
        return self.score_pairs([(query, passage) for passage in passages], window=window)

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, window: int | None = None) -> FloatArray:
        """Score (query, passage) pairs.

        :param pairs: n pairs of query and passage; queries may differ.
        :param window: tokens read at once in this call; None for the model's own.
        :return: float32 logits, shape (n,), in the order of the pairs.
        """
        keys = self._keys(pairs, window)
        scores = self.cache.get(keys)
        missing = np.flatnonzero(np.isnan(scores))
        if len(missing):
            fresh = self._fresh([pairs[int(row)] for row in missing], window)
            scores[missing] = fresh
            self.cache.put([keys[int(row)] for row in missing], fresh)
        return scores

    def known(self, query: str, passages: Sequence[str], *, window: int | None = None) -> NDArray[np.bool_]:
        """Say which passages would cost nothing to score.

        :param query: the question.
        :param passages: n texts.
        :param window: as in `score`.
        :return: bool, shape (n,).
        """
        return self.cache.knows(self._keys([(query, passage) for passage in passages], window))

    def _keys(self, pairs: Sequence[tuple[str, str]], window: int | None) -> list[bytes]:
        """Keys of pairs; read with a smaller window, a pair may score otherwise."""
        own = self.window
        model = self.fingerprint
        if window is not None and own is not None and window < own:
            model += f" within {window}"
        return [pair_key(model, query, passage) for query, passage in pairs]

    def _fresh(self, pairs: Sequence[tuple[str, str]], window: int | None) -> FloatArray:
        """Score pairs by the inner reranker, in one call where it can."""
        options = {} if window is None else {"window": window}
        call: Any = self.reranker
        if isinstance(self.reranker, PairReranker):
            return np.asarray(call.score_pairs(pairs, **options), dtype=np.float32)
        scores = np.empty(len(pairs), dtype=np.float32)
        by_query: dict[str, list[int]] = {}
        for row, (query, _) in enumerate(pairs):
            by_query.setdefault(query, []).append(row)
        for query, rows in by_query.items():
            scores[rows] = call.score(query, [pairs[row][1] for row in rows], **options)
        return scores


def pair_key(fingerprint: str, query: str, passage: str) -> bytes:
    """Key of a pair: a hash over the model and both texts, each with its length, so that no two run together.

    :param fingerprint: of the model.
    :param query: the query.
    :param passage: the passage.
    :return: 16 bytes.
    """
    digest = blake2b(digest_size=KEY_BYTES)
    for text in (fingerprint, query, passage):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def _open_disk(path: Path) -> sqlite3.Connection:
    """Open or make the file; a cache may lose its last scores in a crash, so it never waits for the disk."""
    try:
        connection = sqlite3.connect(path, timeout=WAIT, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, score REAL NOT NULL)")
    except sqlite3.Error as error:
        raise InvalidInputError(
            f"{path} cannot be used as a cache ({error}); delete it, or name a file in a folder that is there"
        ) from error
    return connection
