"""From ranking lists to tensors: token ids in chunks of similar length, labels and teachers in matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from rerank.parts import pad
from rerank.train.lists import RankingList

TOKENS_PER_CHUNK = 8192  # keeps a chunk's activations near the caches; larger was not faster


@dataclass(frozen=True, slots=True)
class Chunk:
    """Passages of similar length, padded together.

    :param passage_ids: int64 (n, length).
    :param passage_mask: float32 (n, length).
    :param query_index: int64 (n,), row in the batch's queries.
    """

    passage_ids: Tensor
    passage_mask: Tensor
    query_index: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Several ranking lists as tensors.

    :param query_ids: int64 (lists, length).
    :param query_mask: float32 (lists, length).
    :param chunks: the passages; their logits, concatenated, are put in place by `order`.
    :param order: int64 (pairs,), flat place (list * width + number) of each concatenated logit.
    :param labels: float32 (lists, width).
    :param present: bool (lists, width).
    :param teacher: float32 (lists, width), in units of logits; 0 where `taught` is False.
    :param taught: bool (lists,), whether a list has scores of a teacher that counts.
    """

    query_ids: Tensor
    query_mask: Tensor
    chunks: tuple[Chunk, ...]
    order: Tensor
    labels: Tensor
    present: Tensor
    teacher: Tensor
    taught: Tensor


@dataclass(frozen=True, slots=True)
class Collator:
    """Makes batches.

    :param tokenizer: adds the special tokens; neither truncates nor pads.
    :param max_query: tokens read of a query.
    :param max_passage: tokens read of a passage.
    :param teachers: weight of each teacher in the blend of their z-scores; others are left out.
    :param sharpness: logits a standard deviation of the blend is worth.
    """

    tokenizer: Tokenizer
    max_query: int
    max_passage: int
    teachers: Mapping[str, float]
    sharpness: float

    def __call__(self, lists: Sequence[RankingList]) -> Batch:
        """Put lists into tensors."""
        width = max(len(one.passages) for one in lists)
        queries = self.query_ids([one.query for one in lists])
        passages = self.passage_ids([text for one in lists for text in one.passages])
        owner = np.repeat(np.arange(len(lists)), [len(one.passages) for one in lists])
        number = np.concatenate([np.arange(len(one.passages)) for one in lists])
        chunks, order = [], []
        for rows in _by_length([len(ids) for ids in passages]):
            ids, mask = map(torch.from_numpy, pad([passages[row] for row in rows]))
            chunks.append(Chunk(ids, mask, torch.from_numpy(owner[rows])))
            order.append(owner[rows] * width + number[rows])
        labels = np.zeros((len(lists), width), np.float32)
        present = np.zeros((len(lists), width), bool)
        teacher = np.zeros((len(lists), width), np.float32)
        for row, one in enumerate(lists):
            labels[row, : len(one.labels)] = one.labels
            present[row, : len(one.labels)] = True
            teacher[row, : len(one.labels)] = self._blend(one)
        query_ids, query_mask = map(torch.from_numpy, pad(queries))
        taught = torch.tensor([is_taught(one, self.teachers) for one in lists])
        return Batch(
            query_ids,
            query_mask,
            tuple(chunks),
            torch.from_numpy(np.concatenate(order)),
            labels=torch.from_numpy(labels),
            present=torch.from_numpy(present),
            teacher=torch.from_numpy(teacher),
            taught=taught,
        )

    def query_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of queries as they are read."""
        return self._ids(texts, self.max_query)

    def passage_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of passages as they are read."""
        return self._ids(texts, self.max_passage)

    def _ids(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """Token ids, cut to the limit with the closing token kept."""
        found = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]
        return [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in found]

    def _blend(self, one: RankingList) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """Weighted mean of the teachers' z-scores within the list, in units of logits."""
        total, weights = np.zeros(len(one.passages), np.float32), 0.0
        for name, weight in self.teachers.items():
            if name in one.teachers:
                scores = np.array(one.teachers[name], np.float32)
                total += weight * (scores - scores.mean()) / max(float(scores.std()), 1e-6)
                weights += weight
        return self.sharpness * total / weights if weights else total


def is_taught(one: RankingList, teachers: Mapping[str, float]) -> bool:
    """Return whether a list has scores of a teacher that counts.

    :param one: the list.
    :param teachers: weight of each teacher.
    """
    return any(teachers.get(name) for name in one.teachers)


def _by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Rows in chunks of similar length, each with at most so many tokens."""
    chunks: list[list[int]] = [[]]
    for row in np.argsort(np.array(lengths), kind="stable").tolist():
        if chunks[-1] and (len(chunks[-1]) + 1) * lengths[row] > TOKENS_PER_CHUNK:
            chunks.append([])
        chunks[-1].append(row)
    return chunks
