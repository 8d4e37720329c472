"""Every knob of the retriever with its default, its unit and the reason for it."""

from __future__ import annotations

from difflib import get_close_matches
from os.path import isdir
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from retriever.errors import ConfigError
from retriever.types import Depth

BUNDLED = "bundled"
FAST = "fast"


class RetrieverConfig(BaseModel):
    """How a collection is built and searched.

    Saved with the collection. The defaults suit English text on a laptop.

    :raises ConfigError: if a key is unknown or a value is out of range.

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
    index: Literal["auto", "flat", "fp16", "sq8", "refined", "ivf", "hnsw", "funnel"] = Field(
        default="auto",
        description="Vector index. 'auto' goes by size, memory and recall; `retriever info` says why.",
    )
    memory_limit: ByteSize = Field(
        default=ByteSize(1_000_000_000),
        description="Memory for vectors, in bytes or as '2GB'. 'auto' keeps within it where it can.",
    )
    target_recall: float = Field(
        default=0.98,
        gt=0.0,
        le=1.0,
        description="Share of the exact 100 nearest passages that an approximate index has to find.",
    )
    lexical: bool = Field(
        default=True,
        description="Search by BM25 too. It finds names and rare words that averaging blurs.",
    )
    candidates: int = Field(
        default=200,
        ge=1,
        description="Passages each index hands to fusion. Cheap, so wide; at least depth and k are used.",
    )
    fusion: Literal["zscore", "rrf"] = Field(
        default="zscore",
        description="How two lists become one: weighted z-scores keep score gaps, rrf only ranks.",
    )
    dense_weight: float = Field(
        default=0.6,
        ge=0.0,
        le=1.0,
        description="Share of the dense score in fusion, 0 to 1; the rest is BM25's.",
    )
    feedback: float = Field(
        default=0.15,
        ge=0.0,
        le=1.0,
        description="How much documents like the best-placed ones gain, after fusion and after reranking; 0 "
        "is off. It helps where many documents answer, and costs a little where a single one does. It needs "
        "vectors, and leaves the order of a reranker alone whose weight is 1.",
    )
    reranker: str | None = Field(
        default=BUNDLED,
        description="Reranker: 'bundled', 'fast' (half the time, less of the gain), an ONNX or "
        "sentence-transformers folder, a hub id, or None.",
    )
    depth: Depth = Field(
        default=50,
        description="Documents reranked for a query; the time grows with it. 'auto' reads about half of 50, "
        "the most promising first, and stops when no other is likely to matter.",
    )
    budget_ms: float | None = Field(
        default=None,
        gt=0.0,
        description="Milliseconds for a whole search; reranking stops in time, while the first stage always "
        "ends. None reads to the depth.",
    )
    pair_cache: ByteSize | None = Field(
        default=None,
        ge=1024,
        description="Memory for scores of queries and passages reranked before, in bytes or as '32MB': the "
        "same question again costs nothing. A collection's folder keeps them, too. None keeps none.",
    )
    rerank_weight: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="Share of the reranker in the final score; 1 is the reranker alone, "
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

    @model_validator(mode="wrap")
    @classmethod
    def _reported(cls, values: Any, handler: ModelWrapValidatorHandler[RetrieverConfig]) -> RetrieverConfig:
        """Say what is wrong in our words; pydantic's would not say what to do."""
        try:
            config = handler(values)
        except ValidationError as error:
            problems = [
                _explain(problem["type"], problem["loc"], problem["msg"]) for problem in error.errors()
            ]
            raise ConfigError("; ".join(dict.fromkeys(problems))) from error
        config._check_consistent()
        return config

    @field_validator("encoder", "reranker")
    @classmethod
    def _found_from_anywhere(cls, name: str | None, field: ValidationInfo) -> str | None:
        """Write a folder out from the root: the collection may be opened from another one."""
        bundled = (BUNDLED, FAST) if field.field_name == "reranker" else (BUNDLED,)
        # `isdir` of os.path says no to what cannot be a path, where that of Path raises.
        return str(Path(name).absolute()) if name and name not in bundled and isdir(name) else name

    def _check_consistent(self) -> None:
        """Refuse values that are fine alone and not together."""
        if not (self.dense or self.lexical):
            raise ConfigError("dense and lexical are both off: nothing would be searched; turn one on")
        if self.passage_tokens is not None and self.passage_overlap >= self.passage_tokens:
            raise ConfigError(
                f"passage_overlap ({self.passage_overlap}) must be below passage_tokens "
                f"({self.passage_tokens})"
            )


_WANTED = {  # of fields that pydantic has several messages for, some of them wide of the mark (NaN)
    "depth": "give a whole number of at least 1, or 'auto'",
    "budget_ms": "give milliseconds above 0, or None",
    "dense_weight": "give a number from 0 to 1",
    "feedback": "give a number from 0 to 1",
    "rerank_weight": "give a number from 0 to 1, or None",
    "target_recall": "give a number above 0, at most 1",
    "pair_cache": "give a size such as '32MB', of at least 1 KiB, or None",
}


def _explain(kind: str, place: tuple[int | str, ...], message: str) -> str:
    """Name the key and the remedy."""
    key = str(place[0]) if place else ""  # what follows names the branch of a union
    if kind == "extra_forbidden":
        known = list(RetrieverConfig.model_fields)
        close = get_close_matches(key, known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys are {', '.join(known)}"
        return f"unknown configuration key {key!r}; {remedy}"
    return f"{key}: {_WANTED.get(key, message)}" if key else message
