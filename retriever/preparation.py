"""From documents to what is stored and indexed: passages, stems, vectors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from retriever.config import RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.errors import DuplicateIdError, RetrieverError
from retriever.ingest.splitting import Splitter
from retriever.store.content_id import content_id
from retriever.store.records import Span, StoredDocument

FloatArray = NDArray[np.float32]

BATCH = (
    4096  # documents a transaction: large enough to fill the encoder's threads, small enough to lose little
)
_BATCH_SECONDS = 2.0  # what a stopped process loses of documents that are slow to read, such as PDF


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch ready to be written.

    :param documents: with their passages.
    :param stems: one text a passage, in order, see `BM25Index.stem`; none where the collection has no BM25.
    :param vectors: one a passage, shape (n, d); empty where the collection has no vectors.
    :param given: how many documents there were before those that are there already were left out.
    """

    documents: list[StoredDocument]
    stems: list[str]
    vectors: FloatArray
    given: int

    @classmethod
    def nothing(cls, dimensions: int) -> Prepared:
        """Return a batch without documents."""
        return cls([], [], np.empty((0, dimensions), dtype=np.float32), 0)

    @property
    def passages(self) -> int:
        """How many passages the documents have."""
        return sum(len(document.spans) for document in self.documents)

    def only(self, kept: Sequence[StoredDocument]) -> Prepared:
        """Return the batch with some of its documents."""
        if len(kept) == len(self.documents):
            return self
        chosen = set(map(id, kept))
        mask = np.repeat(
            [id(document) in chosen for document in self.documents],
            [len(document.spans) for document in self.documents],
        )
        return replace(
            self,
            documents=list(kept),
            stems=[*compress(self.stems, mask)],
            vectors=self.vectors[mask] if len(self.vectors) else self.vectors,
        )


class PassageSplitter:
    """Splits texts that are longer than a passage, as the encoder counts them; safe to use from any thread.

    :param encoder: counts the tokens.
    :param passage_tokens: longest passage in tokens; None never splits.
    :param overlap: greatest number of tokens that neighbouring passages share.
    """

    def __init__(self, encoder: StaticEncoder, *, passage_tokens: int | None, overlap: int) -> None:
        self._encoder = encoder
        self._limit = passage_tokens
        self._splitter = Splitter(
            encoder.tokenizer,
            passage_tokens=passage_tokens,
            overlap=overlap,
            count=lambda text: int(encoder.count_tokens([text])[0]),
        )

    def spans(self, texts: Sequence[str]) -> dict[int, tuple[Span, ...]]:
        """Return the passages of the texts that are longer than one, by the text's place."""
        limit = self._limit
        if limit is None:
            return {}
        # A token has at least one character, so most texts need no counting.
        long = [place for place, text in enumerate(texts) if len(text) > limit]
        counts = self._encoder.count_tokens([texts[place] for place in long]).tolist()
        return {
            place: tuple(self._splitter.spans(texts[place], count))
            for place, count in zip(long, counts, strict=True)
            if count > limit
        }


class Preparation:
    """Makes batches ready; safe to use from any thread.

    :param config: how long passages are, and whether vectors are wanted.
    :param encoder: makes the vectors.
    :param stem: makes the stems for BM25, None where there is none.
    """

    def __init__(
        self,
        config: RetrieverConfig,
        encoder: StaticEncoder,
        stem: Callable[[Sequence[str]], list[str]] | None,
    ) -> None:
        self._config = config
        self._encoder = encoder
        self._stem = stem
        self._splitter = PassageSplitter(
            encoder, passage_tokens=config.passage_tokens, overlap=config.passage_overlap
        )

    def prepare(self, documents: Sequence[StoredDocument], *, given: int) -> Prepared:
        """Split and encode documents."""
        split = self._split(documents)
        texts = [
            f"{document.title} {document.text[start:stop]}".strip()
            for document in split
            for start, stop in document.spans
        ]
        vectors = self._encoder.encode(texts) if self._config.dense else np.empty((0, 0), dtype=np.float32)
        return Prepared(split, [] if self._stem is None else self._stem(texts), vectors, given)

    def _split(self, documents: Sequence[StoredDocument]) -> list[StoredDocument]:
        """Give every document its passages."""
        split = list(documents)
        for place, spans in self._splitter.spans([document.text for document in documents]).items():
            split[place] = split[place]._replace(spans=spans)
        return split


def select(
    docs: Sequence[StoredDocument], existing: Mapping[str, bytes], *, replace: bool
) -> list[StoredDocument]:
    """Drop what is there already as given; refuse ids that clash.

    :param docs: what was given.
    :param existing: digests of those that exist.
    :param replace: whether an existing document may be replaced.
    :raises DuplicateIdError: if an id is given twice, or exists and may not be replaced.
    """
    chosen: dict[str, StoredDocument] = {}
    for doc in docs:
        before = chosen[doc.id].digest if doc.id in chosen else existing.get(doc.id)
        if before is None:
            chosen[doc.id] = doc
            continue
        if before == doc.digest and (
            # An id made from the content says that the same text came twice, which is no mistake.
            (replace and doc.id not in chosen) or doc.id == content_id(doc.title, doc.text)
        ):
            continue
        if doc.id in chosen:
            raise DuplicateIdError(f"the id {doc.id!r} is given to two documents; ids must be unique")
        if not replace:
            raise DuplicateIdError(
                f"a document with the id {doc.id!r} exists already; use upsert to replace it"
            )
        chosen[doc.id] = doc
    return list(chosen.values())


def batches(docs: Iterable[StoredDocument]) -> Iterator[list[StoredDocument]]:
    """Yield documents by the batch, smaller ones where they come slowly and before an error is raised."""
    batch: list[StoredDocument] = []
    started = time.monotonic()
    source = iter(docs)
    stopped: RetrieverError | KeyboardInterrupt | None = None
    while True:
        try:
            batch.append(next(source))
        except StopIteration:
            break
        except (RetrieverError, KeyboardInterrupt) as error:
            stopped = error
            break
        if len(batch) >= BATCH or time.monotonic() - started > _BATCH_SECONDS:
            yield batch
            batch, started = [], time.monotonic()
    if batch:
        yield batch
    if stopped is not None:
        raise stopped
