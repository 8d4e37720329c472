"""What a collection holds, which vector index it chose, why, and how well that does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from retriever.collection_vectors import CollectionVectors
from retriever.encoder import StaticEncoder
from retriever.store.document_store import DocumentStore


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection in figures.

    :param documents: documents in it.
    :param passages: passages they were split into.
    :param dimensions: width of the vectors.
    :param index: the vector index in use; None where the collection searches by BM25 alone.
    :param index_reason: why this one.
    :param index_settings: what was tuned of it (nprobe, efSearch, rescored candidates).
    :param vector_bytes: memory that the vectors take.
    :param recall: share of the exact 100 nearest passages that the index found when it was last measured;
        1 for exact search; None where it was not measured yet.
    :param latency_ms: median time of one vector search for 100 passages then; None where not measured.
    :param measured_passages: how many passages there were then; over how many of them exact search was done.
    :param filtered_fields: metadata fields with an index for filters.
    :param changes: number of the last change.
    """

    documents: int
    passages: int
    dimensions: int
    index: str | None
    index_reason: str
    index_settings: dict[str, int]
    vector_bytes: int
    recall: float | None
    latency_ms: float | None
    measured_passages: tuple[int, int] | None
    filtered_fields: list[str]
    changes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON-ready values."""
        return asdict(self)


def collection_info(
    store: DocumentStore, encoder: StaticEncoder, vectors: CollectionVectors | None, *, changes: int
) -> CollectionInfo:
    """Gather what a collection's parts say of it; nobody may write meanwhile."""
    index = None if vectors is None else vectors.index
    settling = None if vectors is None else vectors.settling
    measured = None if settling is None else settling.measured
    exact = index is not None and index.name == "flat"
    return CollectionInfo(
        documents=store.count_documents(),
        passages=store.count_passages(),
        dimensions=encoder.dimensions,
        index=None if index is None else index.name,
        index_reason="" if index is None or settling is None else settling.chosen(len(index)).reason,
        index_settings={} if index is None else index.settings(),
        vector_bytes=0 if index is None else round(index.bytes_per_passage() * len(index)),
        recall=1.0 if exact else None if measured is None else measured.recall,
        latency_ms=None if measured is None else measured.latency_ms,
        measured_passages=None if measured is None else (measured.passages, measured.sampled),
        filtered_fields=store.indexed_fields(),
        changes=changes,
    )
