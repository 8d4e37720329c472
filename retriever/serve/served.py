"""The collections a server serves, each with what requests share."""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rerank.protocol import Reranker
from retriever.errors import CollectionLockedError, ConfigError, InvalidInputError
from retriever.narrowed_collection import NarrowedCollection
from retriever.pipeline import Retriever
from retriever.serve.problems import RefusedError

Answer = TypeVar("Answer")

_VIEWS_KEPT = 4  # dimensions at a time; each holds all vectors at that width
_SAMPLED = 2_000  # documents looked at for the fields that filters can use
_VALUES_SHOWN = 20
_LOCK_PAUSE_S = 0.02


class Served:
    """One collection with its views and the writer's turn.

    :param name: what requests call it.
    :param retriever: the open collection; closed by `close`.
    :param shared: whether other processes write to it too, so that the lock goes back after each write.
    """

    def __init__(self, name: str, retriever: Retriever, *, shared: bool) -> None:
        self.name, self.retriever = name, retriever
        self._shared = shared and retriever.collection.path is not None
        self._views: OrderedDict[int, Retriever] = OrderedDict()
        self._lock = threading.Lock()
        self._fields: tuple[int, dict[str, list[Any]]] = -1, {}

    @property
    def dimensions(self) -> int:
        """The encoder's dimensions."""
        return self.retriever.encoder.dimensions

    def at(self, dimensions: int | None) -> Retriever:
        """Return the retriever, or a view of it with fewer dimensions.

        :raises InvalidInputError: if there are not so many, or vectors are off.
        """
        if dimensions is None or dimensions == self.dimensions:
            return self.retriever
        if not self.retriever.config.dense:
            raise InvalidInputError(f"{self.name} is searched by words alone; leave dimensions out")
        if dimensions > self.dimensions:
            raise InvalidInputError(f"dimensions is {dimensions}, but {self.name} has {self.dimensions}")
        with self._lock:
            view = self._views.pop(dimensions, None)
            if view is None:
                narrowed = NarrowedCollection(self.retriever.collection, dimensions)
                with narrowed.reading():  # its vectors are made here and not in the time of a search
                    pass
                view = Retriever(narrowed, reranker=self.reranker)
            self._views[dimensions] = view
            while len(self._views) > _VIEWS_KEPT:
                self._views.popitem(last=False)
            return view

    @property
    def reranker(self) -> Reranker | None:
        """The second stage; None where the collection has none."""
        return self.retriever.reranker

    def write(self, change: Callable[[], Answer], *, timeout_s: float) -> Answer:
        """Change the collection when no other process does, then let others see it and write.

        :param change: called when it is our turn; called again where another process was faster.
        :param timeout_s: seconds to wait for the other processes.
        :raises CollectionLockedError: if one of them does not finish in time.
        """
        until = time.monotonic() + timeout_s
        while True:
            try:
                answer = change()
                break
            except CollectionLockedError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_LOCK_PAUSE_S)
        if self._shared:
            self.retriever.collection.hand_over()
        return answer

    def fields(self) -> dict[str, list[Any]]:
        """Return the metadata fields of a sample of documents, each with some of its values."""
        count = len(self.retriever)
        if self._fields[0] != count:
            found: dict[str, dict[Any, None]] = {}
            for document in itertools.islice(self.retriever, _SAMPLED):
                for field, value in _leaves(document.metadata):
                    found.setdefault(field, {})[value] = None
            shown = {
                field: list(itertools.islice(values, _VALUES_SHOWN))
                for field, values in sorted(found.items())
            }
            self._fields = count, shown
        return self._fields[1]

    def warm(self, *, rerank: bool) -> None:
        """Load and compile what the first search would wait for."""
        self.retriever.collection.encoder.compile()
        self.retriever.search("warm up", k=1, rerank=rerank)

    def close(self) -> None:
        """Close the collection."""
        self._views.clear()
        self.retriever.close()


class Catalogue:
    """All collections by name.

    :param served: the collections; at least one.
    """

    def __init__(self, served: Sequence[Served]) -> None:
        self._by_name = {one.name: one for one in served}

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def find(self, name: str | None, *, what: str = "collection") -> Served:
        """Return a collection; without a name the only one there is.

        :param what: how the request calls it, for the message.
        :raises RefusedError: if the name is unknown, or needed and absent.
        """
        names = ", ".join(self._by_name)
        if name is None:
            if len(self._by_name) == 1:
                return next(iter(self._by_name.values()))
            raise RefusedError(
                422, "invalid_input", f"there are several collections; give {what}, one of: {names}"
            )
        if name not in self._by_name:
            raise RefusedError(
                404, f"{what}_not_found", f"there is no {what} of that name; there are: {names}"
            )
        return self._by_name[name]

    def close(self) -> None:
        """Close all collections."""
        for one in self._by_name.values():
            one.close()


def names_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Name each collection after its folder.

    :raises ConfigError: if two folders have one name.
    """
    names: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in names:
            raise ConfigError(
                f"{names[name]} and {folder} would both be called {name!r}; rename one of the folders"
            )
        names[name] = folder
    return names


def _leaves(metadata: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return dotted fields with their values; of arrays, each element."""
    leaves: list[tuple[str, Any]] = []
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            values = value if isinstance(value, list) else [value]
            leaves += [(prefix + key, one) for one in values if isinstance(one, str | int | float)]
    return leaves
