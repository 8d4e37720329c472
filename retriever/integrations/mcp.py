"""A server for the Model Context Protocol: agents search collections and read documents through it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from retriever.integrations.extras import missing_extra

try:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
    from mcp.server.mcpserver.resources import ResourceSecurity
    from mcp.server.mcpserver.tools import Tool
    from mcp.types import CallToolResult, TextContent, ToolAnnotations
except ImportError as error:
    raise missing_extra("the MCP server", "mcp", "mcp") from error

from retriever.errors import InvalidInputError, RetrieverError
from retriever.integrations.citations import (
    MIN_BUDGET,
    CountTokens,
    Source,
    cite,
    cut_to_budget,
    token_counter,
)
from retriever.integrations.tool import MAX_K
from retriever.pipeline import Retriever
from retriever.types import Document

DEFAULT_K = 5
DEFAULT_MAX_TOKENS = 4000

_SAMPLED = 200  # documents looked at to tell a model which metadata fields there are
_EXAMPLES = 5  # values shown of each field
_LONGEST_EXAMPLE = 40  # characters; longer values are prose, nothing to filter on
_READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)

_INSTRUCTIONS = (
    "Searches the user's own documents. Call search with a question or keywords; it returns the best "
    "passages as numbered sources. Cite them by number and id. Call get_document to read around a passage, "
    "and list_collections to see what there is and which metadata fields a filter may use."
)


class FoundPassage(BaseModel):
    """One passage found."""

    number: int = Field(description="Cite the passage by this number, as in [1].")
    id: str = Field(description="The document's id, for get_document.")
    title: str
    uri: str = Field(description="The document as an MCP resource.")
    passage: str
    complete: bool = Field(description="False where the passage was cut to stay within the token budget.")
    start: int = Field(description="Where the passage starts in the document, in characters.")
    end: int
    score: float = Field(description="Higher is better; comparable within this answer only.")
    metadata: dict[str, Any]
    stages: dict[str, Any] = Field(description="Rank and score in each stage of the search.")


class SearchOutput(BaseModel):
    """What a search found."""

    collection: str
    passages: list[FoundPassage]
    omitted: int = Field(description="How many more were found and left out to stay within the token budget.")


class DocumentOutput(BaseModel):
    """A document, or a part of it."""

    collection: str
    id: str
    title: str
    uri: str
    metadata: dict[str, Any] = Field(description="Without what is too long for the token budget.")
    text: str
    start: int = Field(description="Where this part starts in the document, in characters.")
    end: int
    length: int = Field(description="Length of the whole document in characters.")
    next_start: int | None = Field(description="Pass this as start to read on; null at the end.")


class CollectionOutput(BaseModel):
    """A collection, and what can be filtered on."""

    name: str
    documents: int
    fields: dict[str, list[Any]] = Field(description="Metadata fields with some of their values.")


class CollectionsOutput(BaseModel):
    """All collections."""

    collections: list[CollectionOutput]


Collection = Annotated[
    str | None, Field(description="The collection's name; may be left out where there is only one.")
]
Budget = Annotated[
    int | None,
    Field(ge=MIN_BUDGET, description="Longest answer in tokens; left out, the server's own limit."),
]


def build_server(collections: Mapping[str, Retriever], *, max_tokens: int = DEFAULT_MAX_TOKENS) -> MCPServer:
    """Make a server of open collections.

    :param collections: retrievers by the names that agents call them by; at least one.
    :param max_tokens: longest answer of a tool, in tokens.
    :return: the server; run it over stdio or mount its streamable HTTP application.
    :raises InvalidInputError: if there is no collection, or the budget is too small.
    """
    if not collections:
        raise InvalidInputError("there is no collection to serve; give at least one")
    if max_tokens < MIN_BUDGET:
        raise InvalidInputError(f"max_tokens is {max_tokens}; give at least {MIN_BUDGET}")
    tools = CollectionTools(collections, max_tokens)
    server = MCPServer(
        "retriever",
        title="Document search",
        instructions=_INSTRUCTIONS,
        version=version("two-stage-retriever"),
        tools=[
            _tool(tools.search, "Search documents", collections),
            _tool(tools.get_document, "Read a document", collections),
            _tool(tools.list_collections, "List collections", collections),
        ],
        log_level="WARNING",
    )
    _add_resources(server, tools)
    return server


class CollectionTools:
    """The tools, as plain methods over open collections."""

    def __init__(self, collections: Mapping[str, Retriever], max_tokens: int) -> None:
        self.collections = dict(collections)
        self._max_tokens = max_tokens
        self._counts = {name: token_counter(one.encoder) for name, one in self.collections.items()}

    def search(
        self,
        query: Annotated[
            str,
            Field(
                min_length=1,
                description="What to look for: a full question or a few keywords, in the language of the "
                "documents.",
            ),
        ],
        collection: Collection = None,
        k: Annotated[int, Field(ge=1, le=MAX_K, description="At most this many passages.")] = DEFAULT_K,
        filter: Annotated[
            dict[str, Any] | None,
            Field(
                description="Only documents whose metadata passes, for example "
                '{"lang": "en", "year": {"gte": 2020}}. '
                "Operators: eq, ne, in, gt, gte, lt, lte, prefix, contains, exists; and, or, not combine "
                "filters. list_collections tells which fields there are."
            ),
        ] = None,
        max_tokens: Budget = None,
    ) -> Annotated[CallToolResult, SearchOutput]:
        """Search the user's documents and return the best passages as numbered sources, best first.

        Use it whenever a question may be answered by these documents. Each source has a number to cite it by,
        the document's id and where the passage is in it. If nothing fits, try other words before giving up;
        to read around a passage, call get_document with its id.
        """
        with _told_to_the_model(ToolError):
            name, retriever = self._chosen(collection)
            results = retriever.search(query, k=k, filter=filter or None)
            found = cite(results, max_tokens=self._budget(max_tokens), count=self._counts[name])
        output = SearchOutput(
            collection=name,
            passages=[_passage(name, source) for source in found.sources],
            omitted=found.omitted,
        )
        return _result(found.text, output)

    def get_document(
        self,
        id: Annotated[str, Field(description="The document's id, as search returned it.")],
        collection: Collection = None,
        start: Annotated[int, Field(ge=0, description="The character to start at; 0 is the beginning.")] = 0,
        max_tokens: Budget = None,
    ) -> Annotated[CallToolResult, DocumentOutput]:
        """Read a document, or a part of it where it is longer than the token budget.

        Pass a passage's start, or somewhat less, to read what stands around it. The answer says where to read
        on.
        """
        with _told_to_the_model(ToolError):
            name, retriever = self._chosen(collection)
            document = retriever.get(id)
            length = len(document.text)
            if start > length:
                raise InvalidInputError(f"start is {start}, but the document has {length} characters")
            budget = self._budget(max_tokens)
        count = self._counts[name]
        frame = DocumentOutput(
            collection=name,
            id=id,
            title=cut_to_budget(document.title, max_tokens=budget // 4, count=count),
            uri=document_uri(name, id),
            metadata=_short(document.metadata, max_tokens=budget // 4, count=count),
            text="",
            start=start,
            end=length,
            length=length,
            next_start=length,
        )
        room = max(1, budget - count(_shown(frame)))
        text = cut_to_budget(document.text[start:], max_tokens=room, count=count)
        end = start + len(text)
        more = end if end < length else None
        output = frame.model_copy(update={"text": text, "end": end, "next_start": more})
        return _result(_shown(output), output)

    def list_collections(self) -> Annotated[CallToolResult, CollectionsOutput]:
        """List the collections: how many documents each has, and which metadata fields a filter may use."""
        with _told_to_the_model(ToolError):
            described = [self.describe(name) for name in self.collections]
        count = next(iter(self._counts.values()))
        # Examples go first where all together would be too long, then the fields, then collections.
        without = [
            one.model_copy(update={"fields": {field: [] for field in one.fields}}) for one in described
        ]
        bare = [one.model_copy(update={"fields": {}}) for one in described]
        for listed in (described, without, bare):
            text = "\n".join(map(_described_line, listed))
            if count(text) <= self._max_tokens:
                break
        text = cut_to_budget(text, max_tokens=self._max_tokens, count=count)
        return _result(text, CollectionsOutput(collections=listed[: text.count("\n") + 1]))

    def describe(self, name: str) -> CollectionOutput:
        """Return a collection's size and fields, the fields from its first documents."""
        retriever = self.collections[name]
        return CollectionOutput(
            name=name, documents=len(retriever), fields=_fields(islice(retriever, _SAMPLED))
        )

    def document(self, collection: str, id: str) -> Document:
        """Return a whole document.

        :raises RetrieverError: if there is no such collection or document.
        """
        return self._chosen(collection)[1].get(id)

    def _chosen(self, name: str | None) -> tuple[str, Retriever]:
        """Return the collection that a call means."""
        names = ", ".join(self.collections)
        if name is None:
            if len(self.collections) > 1:
                raise InvalidInputError(f"there are several collections; pass one of {names} as collection")
            return next(iter(self.collections.items()))
        if name not in self.collections:
            raise InvalidInputError(f"there is no collection {name!r}; use one of {names}")
        return name, self.collections[name]

    def _budget(self, asked: int | None) -> int:
        return self._max_tokens if asked is None else min(asked, self._max_tokens)


def document_uri(collection: str, id: str) -> str:
    """Return the resource URI of a document; ids may hold anything, slashes included."""
    return f"{_collection_uri(collection)}/documents/{quote(id, safe='')}"


def _collection_uri(name: str) -> str:
    return f"retriever://collections/{quote(name, safe='')}"


def _tool(function: Callable[..., Any], title: str, collections: Mapping[str, Retriever]) -> Tool:
    """Make a tool of a method; its schema names the collections there are."""
    tool = Tool.from_function(
        function,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        annotations=_READ_ONLY,
    )
    properties = tool.parameters.get("properties", {})
    if "collection" in properties:
        names = list(collections)
        description = properties["collection"]["description"]
        properties["collection"] = {"type": "string", "enum": names, "description": description}
        if len(names) > 1:
            properties["collection"]["description"] = "Which collection to use."
            tool.parameters.setdefault("required", []).append("collection")
    return tool


def _add_resources(server: MCPServer, tools: CollectionTools) -> None:
    """Let clients attach a collection's description, or a document, without a tool."""
    for name in tools.collections:
        server.resource(
            _collection_uri(name),
            name=name,
            title=f"Collection {name}",
            description="Number of documents, and metadata fields with some of their values.",
            mime_type="application/json",
        )(_describer(tools, name))

    # An id is a key in a database and no path: dots and slashes in it reach no file.
    @server.resource(
        "retriever://collections/{collection}/documents/{id}",
        name="document",
        title="A document",
        description="The whole text of a document, by its percent-encoded id.",
        mime_type="text/plain",
        security=ResourceSecurity(exempt_params={"collection", "id"}),
    )
    def document(collection: str, id: str) -> str:
        with _told_to_the_model(ResourceNotFoundError):
            found = tools.document(collection, id)
        return f"{found.title}\n\n{found.text}" if found.title else found.text


def _describer(tools: CollectionTools, name: str) -> Callable[[], str]:
    def describe() -> str:
        return tools.describe(name).model_dump_json(indent=2)

    return describe


@contextmanager
def _told_to_the_model(kind: type[Exception]) -> Iterator[None]:
    """Pass the message of an expected error on; the SDK hides all others from clients."""
    try:
        yield
    except RetrieverError as error:
        raise kind(str(error)) from error


def _passage(collection: str, source: Source) -> FoundPassage:
    plain = source.result.to_dict()
    return FoundPassage(
        number=source.number,
        id=source.result.id,
        title=source.result.title,
        uri=document_uri(collection, source.result.id),
        passage=source.passage,
        complete=source.complete,
        start=source.result.span[0],
        end=source.end,
        score=source.result.score,
        metadata=plain["metadata"],
        stages=plain["stages"],
    )


def _shown(output: DocumentOutput) -> str:
    """Write a document for reading, with where it goes on."""
    title = f"{output.title} " if output.title else ""
    lines = [f"{title}(id {output.id!r}, characters {output.start}–{output.end} of {output.length})"]
    lines.append(output.text)
    if output.next_start is not None:
        lines.append(f"(goes on; call get_document with start={output.next_start})")
    return "\n".join(lines)


def _fields(documents: Iterator[Document]) -> dict[str, list[Any]]:
    """Collect metadata fields and some of their values."""
    found: dict[str, list[Any]] = {}
    for document in documents:
        for field, value in document.metadata.items():
            examples = found.setdefault(field, [])
            new = len(examples) < _EXAMPLES and value not in examples
            if new and len(json.dumps(value)) <= _LONGEST_EXAMPLE:
                examples.append(value)
    return found


def _short(metadata: Mapping[str, Any], *, max_tokens: int, count: CountTokens) -> dict[str, Any]:
    """Return the leading fields of metadata that fit, those left out that are too long themselves."""
    kept: dict[str, Any] = {}
    for field, value in metadata.items():
        if count(json.dumps(kept | {field: value})) <= max_tokens:
            kept[field] = value
    return kept


def _described_line(one: CollectionOutput) -> str:
    return f"{one.name}: {one.documents} documents; metadata fields: {_fields_line(one.fields)}"


def _fields_line(fields: dict[str, list[Any]]) -> str:
    return (
        ", ".join(
            f"{field} (e.g. {', '.join(json.dumps(one, ensure_ascii=False) for one in examples)})"
            if examples
            else field
            for field, examples in fields.items()
        )
        or "none"
    )


def _result(text: str, output: BaseModel) -> CallToolResult:
    """Return an answer for models, which read text, and for programs, which read JSON."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=output.model_dump(mode="json")
    )
