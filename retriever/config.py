"""Every knob of the retriever with its default, its unit and the reason for it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

BUNDLED = "bundled"


class RetrieverConfig(BaseModel):
    """How a collection is built and searched.

    Saved with the collection. Unknown keys are errors. The defaults suit English text on a laptop.

    >>> RetrieverConfig(depth=20, fusion="rrf").depth
    20
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str = Field(
        default=BUNDLED,
        description="Static encoder: 'bundled', a folder or a hub id. The bundled one needs no download.",
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="Leading vector dimensions kept; None for all. Fewer are faster and smaller.",
    )
    dense: bool = Field(default=True, description="Search by vectors. Off leaves BM25 alone.")
    index: Literal["flat"] = Field(
        default="flat",
        description="Vector index. 'flat' is exact, and the fastest up to about 100,000 passages.",
    )
    lexical: bool = Field(
        default=True,
        description="Search by BM25 too. It finds names and rare words that averaging blurs.",
    )
    candidates: int = Field(
        default=200,
        ge=1,
        description="Passages each index hands to fusion. Cheap, so wide; at least the depth is used.",
    )
    fusion: Literal["zscore", "rrf"] = Field(
        default="zscore",
        description="How two lists become one: weighted z-scores keep score gaps, rrf only ranks.",
    )
    dense_weight: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="Share of the dense list in fusion, 0 to 1; the rest is BM25's.",
    )
    reranker: str | None = Field(
        default=BUNDLED,
        description="Cross-encoder: 'bundled', an ONNX or sentence-transformers folder, a hub id, or None.",
    )
    depth: int = Field(
        default=50,
        ge=1,
        description="Documents reranked for a query. The cross-encoder's time grows with it.",
    )
    rerank_weight: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Share of the cross-encoder in the final score; 1 is the cross-encoder alone, "
        "None takes what was fitted with the model.",
    )
    passage_tokens: int | None = Field(
        default=512,
        ge=16,
        description="Longest passage in tokens; longer documents are split. None never splits.",
    )
    passage_overlap: int = Field(
        default=64,
        ge=0,
        description="Tokens shared by neighbouring passages, so that no sentence loses its context.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> RetrieverConfig:
        if not (self.dense or self.lexical):
            raise ValueError("dense and lexical are both off: nothing would be searched; turn one on")
        if self.passage_tokens is not None and self.passage_overlap >= self.passage_tokens:
            raise ValueError(
                f"passage_overlap ({self.passage_overlap}) must be below passage_tokens ({self.passage_tokens})"
            )
        return self
