"""A search tool for language models: name, JSON schema and function, as tool calling wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retriever.errors import InvalidInputError, InvalidTypeError
from retriever.integrations.citations import MIN_BUDGET, cite, token_counter
from retriever.integrations.search_options import check_search
from retriever.pipeline import Retriever
from retriever.types import Depth, Filter

MAX_K = 50  # more sources than a model reads with care

DESCRIPTION = (
    "Search the document collection and return the best passages as numbered sources. Use it whenever a "
    "question may be answered by these documents. Cite the sources you use by their numbers, like [1]."
)
_PARAMETERS = {
    "query": "What to look for: a full question or a few keywords, in the language of the documents.",
    "k": "How many passages to return at most.",
    "filter": (
        'Only documents whose metadata passes, for example {"lang": "en", "year": {"gte": 2020}}. '
        "Operators: eq, ne, in, gt, gte, lt, lte, prefix, contains, exists; and, or, not combine filters. "
        "Leave it out to search everything."
    ),
}


class RetrieverTool:
    """A search tool; call it, or give its parts to a framework.

    :param retriever: an open retriever.
    :param name: letters, digits, `_` and `-`; what the model calls.
    :param description: what the documents are and when to search them.
    :param k: passages where the model does not say how many.
    :param max_tokens: longest answer, in tokens; passages that do not fit are cut or left out.
    :param depth: how many candidates the reranker reads; None takes the configuration's.
    :param filter: a filter on every search, beside the model's own.
    :param rerank: False leaves the order of the first stage.
    :raises InvalidInputError: if the name has other characters, or a number is out of range.
    :raises FilterError: if the filter is malformed.
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        name: str = "search_documents",
        description: str = DESCRIPTION,
        k: int = 5,
        max_tokens: int = 2000,
        depth: Depth | None = None,
        filter: Filter | None = None,
        rerank: bool = True,
    ) -> None:
        if not name.replace("_", "").replace("-", "").isalnum() or not name.isascii() or len(name) > 64:
            raise InvalidInputError(f"the tool's name is {name!r}; use 1 to 64 letters, digits, _ and -")
        if not 1 <= k <= MAX_K:
            raise InvalidInputError(f"k is {k}; give 1 to {MAX_K}")
        if max_tokens < MIN_BUDGET:
            raise InvalidInputError(f"max_tokens is {max_tokens}; give at least {MIN_BUDGET}")
        check_search(filter, depth)
        self.name = name
        self.description = description
        self._retriever = retriever
        self._k = k
        self._max_tokens = max_tokens
        self._depth = depth
        self._rerank = rerank
        self._filter = filter
        self._count = token_counter(retriever.encoder)

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return {
            "type": "object",
            "properties": {
                "query": {"type": "string", "minLength": 1, "description": _PARAMETERS["query"]},
                "k": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_K,
                    "default": self._k,
                    "description": _PARAMETERS["k"],
                },
                "filter": {"type": "object", "description": _PARAMETERS["filter"]},
            },
            "required": ["query"],
            "additionalProperties": False,
        }

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as an element of `tools` in OpenAI's chat completions."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    def __call__(self, query: str, k: int | None = None, filter: Filter | None = None) -> str:
        """Search and return numbered sources.

        :param query: a question or keywords; not empty.
        :param k: at most this many passages; None takes the tool's.
        :param filter: only documents whose metadata passes.
        :return: the sources as text, within the token budget.
        :raises RetrieverError: if the query is empty, a number out of range or the filter malformed.
        """
        number = self._k if k is None else k
        if number > MAX_K:
            raise InvalidInputError(f"k is {number}; ask for at most {MAX_K}")
        results = self._retriever.search(
            query, k=number, depth=self._depth, filter=self._both(filter), rerank=self._rerank
        )
        return cite(results, max_tokens=self._max_tokens, count=self._count).text

    def run(self, arguments: str | Mapping[str, Any]) -> str:
        """Answer a model's tool call; what the model did wrong is told to the model.

        :param arguments: the call's arguments, as the JSON text the model wrote or already read.
        :return: the content of the tool message: sources, or a line beginning with "error:".
        :raises RetrieverError: if something else is wrong, such as a collection that was closed.
        """
        try:
            given = _read(arguments) if isinstance(arguments, str) else dict(arguments)
            checked = _Arguments.model_validate(given)
            return self(checked.query, checked.k, checked.filter)
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            return f"error: {'; '.join(problems)}"
        except (InvalidInputError, InvalidTypeError) as error:
            return f"error: {error}"

    @property
    def function(self) -> Callable[..., str]:
        """The tool as a plain function with types and a docstring, for frameworks that read those.

        As with `run`, what the model did wrong is told to the model: an error would end the agent.
        """
        tool = self

        def search(query: str, k: int = self._k, filter: dict[str, Any] | None = None) -> str:
            return tool.run({"query": query, "k": k, "filter": filter})

        # Spelt out: frameworks read the annotations, and some cannot look names up.
        search.__annotations__ = {"query": str, "k": int, "filter": dict[str, Any] | None, "return": str}
        search.__name__ = search.__qualname__ = self.name
        lines = [f"    {name}: {text}" for name, text in _PARAMETERS.items()]
        # Google's form, the one that all of them read.
        search.__doc__ = "\n".join([self.description, "", "Args:", *lines])
        return search

    def _both(self, filter: Filter | None) -> Filter | None:
        """Return the tool's filter and the call's as one."""
        given = [one for one in (self._filter, filter) if one]
        if len(given) < 2:
            return given[0] if given else None
        return {"and": given}


class _Arguments(BaseModel):
    """What a model may send."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1)
    k: int | None = Field(default=None, ge=1, le=MAX_K)
    filter: dict[str, Any] | None = None


def _read(arguments: str) -> dict[str, Any]:
    """Read the JSON object that a model wrote."""
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise InvalidInputError(f"the arguments are no JSON ({error})") from error
    if not isinstance(given, dict):
        raise InvalidInputError('the arguments are no JSON object; for example {"query": "..."}')
    return given
