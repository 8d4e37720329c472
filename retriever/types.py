"""What goes in and what comes out: frozen, slotted, and plain Python values throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Metadata = Mapping[str, Any]
Filter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be found.

    :param id: unique in its collection.
    :param text: what is searched; not empty.
    :param title: searched together with the text, shown apart.
    :param metadata: any JSON object; `filter=` selects on it.
    """

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class StageScore:
    """A document's place in one stage.

    :param rank: 1 for the best; None where the stage knows the score but did not put it on its list.
    :param score: what the stage ranks by; its unit is the stage's own.
    """

    rank: int | None
    score: float


@dataclass(frozen=True, slots=True)
class StageScores:
    """Where each stage put a document; None where the stage is off or did not see it.

    :param dense: cosine similarity of the static encoder's vectors.
    :param lexical: BM25.
    :param fused: the two combined; what the first stage hands on.
    :param reranked: the reranker's logit.
    """

    dense: StageScore | None = None
    lexical: StageScore | None = None
    fused: StageScore | None = None
    reranked: StageScore | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A document found, with its best passage and what every stage thought of it.

    :param id: the document's id.
    :param text: the document's text, whole.
    :param title: the document's title, or "".
    :param metadata: the document's metadata.
    :param score: what the list is ordered by; comparable within one result list only.
    :param rank: 1 for the best.
    :param passage: the passage that matched best.
    :param span: where the passage is in `text`, as [start, end) in characters.
    :param stages: rank and score in each stage.
    :param probability: how likely the document is relevant, 0 to 1, comparable between queries; None where
        the reranker did not read it or has no fitted calibration.
    """

    id: str
    text: str
    title: str
    metadata: Metadata
    score: float
    rank: int
    passage: str
    span: tuple[int, int]
    stages: StageScores
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON-ready values; `json.dumps` takes it as it is."""
        return asdict(self) | {"span": list(self.span)}

    model_dump = to_dict


@dataclass(frozen=True, slots=True)
class SearchTimings:
    """How long the stages of one search took.

    :param first_stage_ms: encoding, both indexes, fusion and reading the texts, in milliseconds.
    :param rerank_ms: the reranker, in milliseconds.
    :param reranked: how many candidates were scored by the reranker.
    """

    first_stage_ms: float
    rerank_ms: float
    reranked: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document in the short list that the first stage hands to the second.

    :param id: the document's id.
    :param title: the document's title, or "".
    :param text: the document's text, whole.
    :param metadata: the document's metadata as JSON.
    :param span: where its best passage is in the text, as [start, end) in characters.
    :param fused: rank and score in the first stage.
    :param dense: rank and score by vectors; None where they are off.
    :param lexical: rank and score by BM25; None where it is off.
    :param vector: of its best passage, as the index keeps it, shape (d,); None where vectors are off.
    """

    id: str
    title: str
    text: str
    metadata: str
    span: tuple[int, int]
    fused: StageScore
    dense: StageScore | None
    lexical: StageScore | None
    vector: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    @property
    def passage(self) -> str:
        """The document's best passage."""
        start, stop = self.span
        return self.text[start:stop]

    @property
    def rerank_text(self) -> str:
        """What the reranker reads: the title, then the passage."""
        return f"{self.title} {self.passage}".strip()


@dataclass(frozen=True, slots=True)
class WriteSummary:
    """What a write did.

    :param added: documents that are new.
    :param updated: documents whose content was replaced.
    :param unchanged: documents that were there already just as given.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0

    @property
    def total(self) -> int:
        """How many documents were given."""
        return self.added + self.updated + self.unchanged

    def __add__(self, other: WriteSummary) -> WriteSummary:
        return WriteSummary(
            self.added + other.added, self.updated + other.updated, self.unchanged + other.unchanged
        )


Depth = Annotated[int, Field(ge=1)] | Literal["auto"]
"""Candidates that are read; "auto" stops when no other is likely to matter."""


class SearchOptions(TypedDict, total=False):
    """What a search can be told; `Retriever.search` explains each."""

    k: int
    depth: Depth | None
    filter: Filter | None
    rerank: bool
    budget_ms: float | None
    min_probability: float | None
