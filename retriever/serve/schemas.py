"""What requests look like, with an example each; FastAPI checks them and writes the OpenAPI document."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from retriever.errors import FilterError, InvalidInputError
from retriever.types import Depth

_DEEPEST = 32  # levels of nested JSON; people write two or three
_MOST_VALUES = 10_000
_LARGEST_INTEGER = 2**63 - 1  # what SQLite holds
_LONGEST_QUERY = 10_000  # characters; a query is a question, not a document


def check_json(value: Any, what: str = "the filter", *, deepest: int = _DEEPEST) -> int:
    """Refuse JSON that no database holds or that would exhaust it; count its values.

    :param value: parsed JSON.
    :param what: its name in messages.
    :param deepest: levels allowed from here.
    :raises InvalidInputError: if it is too deep or too large, or holds what cannot be stored.
    """
    if deepest < 0:
        raise FilterError(f"{what} is nested more than {_DEEPEST} levels deep")
    _check_leaf(value, what)
    below: list[Any] = [*value, *value.values()] if isinstance(value, dict) else []
    below += value if isinstance(value, list) else []
    count = 1 + sum(check_json(part, what, deepest=deepest - 1) for part in below)
    if count > _MOST_VALUES:
        raise InvalidInputError(f"{what} has more than {_MOST_VALUES:,} values")
    return count


def _check_leaf(value: Any, what: str) -> None:
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(f"{what} holds a lone surrogate, which is no valid Unicode")
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise InvalidInputError(f"{what} holds {str(value)[:20]}…, which needs more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"{what} holds NaN or infinity, which is no JSON")


def _checked_filter(value: dict[str, Any]) -> dict[str, Any]:
    check_json(value)
    return value


def _checked_metadata(value: dict[str, Any]) -> dict[str, Any]:
    check_json(value, "metadata")
    return value


Query = Annotated[str, Field(min_length=1, max_length=_LONGEST_QUERY)]
FilterObject = Annotated[dict[str, Any], AfterValidator(_checked_filter)]
MetadataObject = Annotated[dict[str, Any], AfterValidator(_checked_metadata)]


class _Body(BaseModel):
    """A request of ours: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class SearchOptions(_Body):
    """What a search and a batch of searches have in common."""

    collection: str | None = Field(default=None, description="Its name; not needed where there is one.")
    k: int = Field(default=10, ge=1, description="At most this many results.")
    depth: Depth | None = Field(
        default=None, description="Candidates the reranker reads; 'auto' stops when no other matters."
    )
    filter: FilterObject | None = Field(
        default=None, description='On metadata, as {"lang": "en", "year": {"gte": 2020}}.'
    )
    rerank: bool | None = Field(default=None, description="Whether the reranker decides the order.")
    budget_ms: float | None = Field(
        default=None, gt=0, description="Milliseconds for the search; the reranker stops in time."
    )
    min_probability: float | None = Field(
        default=None, ge=0, le=1, description="Drop what is less likely relevant, and what was not read."
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="Search by the leading dimensions alone, exactly, in vectors made for it in memory.",
    )
    include_text: bool = Field(default=True, description="Whether results carry the whole text.")
    matched: bool = Field(default=False, description="Whether results list the words that BM25 matched.")


class SearchRequest(SearchOptions):
    """One question."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": "How do I read a file line by line?", "k": 3},
                {"query": "storm at sea", "filter": {"year": {"gte": 2020}}, "depth": 20, "dimensions": 64},
            ]
        },
    )
    query: Query


class BatchSearchRequest(SearchOptions):
    """Many questions; the reranker's batches are shared between them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"queries": ["Where is the cat?", "What fell today?"], "k": 1}]},
    )
    queries: list[Query] = Field(min_length=1)


class DocumentBody(_Body):
    """A document; without an id it gets one made from its content."""

    id: str | None = Field(default=None, min_length=1, max_length=1024)
    title: str = ""
    text: str
    metadata: MetadataObject = Field(default_factory=dict)


class DocumentsRequest(_Body):
    """Documents to be written in one go."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "documents": [
                        {
                            "id": "cat",
                            "title": "Pets",
                            "text": "The cat sat on the mat.",
                            "metadata": {"lang": "en", "year": 2019},
                        }
                    ]
                }
            ]
        },
    )
    documents: list[DocumentBody] = Field(min_length=1)
    collection: str | None = None


class EmbeddingsRequest(BaseModel):
    """OpenAI's request for embeddings; fields we have no use for are passed over, as `user`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "docs", "input": ["one text", "another"]}]}
    )
    model: str = Field(description="Name of a collection, whose encoder is used.")
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, description="Leading dimensions kept, renormalised.")


class TextObject(BaseModel):
    """A passage as an object; other fields are passed over."""

    text: str


class RerankRequest(BaseModel):
    """Cohere's and Jina's request; fields we have no use for are passed over."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "docs",
                    "query": "Where is the cat?",
                    "documents": ["The cat sat on the mat.", "Stocks fell sharply today."],
                    "top_n": 1,
                }
            ]
        }
    )
    model: str | None = Field(default=None, description="Name of a collection, whose reranker is used.")
    query: Query
    documents: list[str | TextObject] = Field(min_length=1)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False
