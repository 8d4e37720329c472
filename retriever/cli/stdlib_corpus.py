"""The demo's corpus: the documentation strings of Python's standard library, which every machine has.

Importing a module may do anything (open a browser, print a poem), so it happens in a process of its own:
`stdlib_documents` starts this file as a program and reads one JSON object a line from it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from retriever.errors import RetrieverError
from retriever.types import Document

# These act when imported (a browser, a poem, a window), or hold tests and examples and no documentation.
_LEFT_OUT = frozenset(
    {
        "antigravity",
        "this",
        "idlelib",
        "turtledemo",
        "test",
        "tests",
        "__main__",
        "lib2to3",
        "pip",
        "setuptools",
    }
)
# What `os` and `os.path` are made of; people know them by these two names.
_SYSTEM = {"posix": "os", "nt": "os", "posixpath": "os.path", "ntpath": "os.path"}
_SHORTEST = 20  # characters; a shorter docstring says less than the name


def stdlib_documents() -> Iterator[Document]:
    """Yield one document for each documented module, class, function, method and property.

    The id is the qualified name, the text the docstring; metadata has `module`, `kind` and `signature`.

    :raises RetrieverError: if the process that imports the modules fails.
    """
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"}
    # No -I: the program has to find this package where it was found now.
    command = [sys.executable, "-c", f"from {__name__} import write_documents; write_documents()"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        encoding="utf-8",
    ) as process:
        if process.stdout is not None:
            for line in process.stdout:
                yield Document(**json.loads(line))
    if process.returncode:
        raise RetrieverError(
            f"reading the standard library's documentation failed (exit status {process.returncode}); "
            f"run {' '.join(command[:2])} {command[2]!r} to see why"
        )


def write_documents() -> None:
    """Print every document as a line of JSON, whatever the imported modules do to the standard output."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    warnings.simplefilter("ignore")
    for document in documents_of(sorted(sys.stdlib_module_names)):
        lines.write(json.dumps(document.to_dict()) + "\n")
    lines.flush()
    # Threads and exit handlers of a hundred modules have nothing to say any more.
    os._exit(0)


def documents_of(names: Iterable[str]) -> Iterator[Document]:
    """Yield the documents of modules and of all modules inside them; each docstring once.

    :param names: top-level modules; those that cannot be imported here are passed over.
    """
    seen: set[str] = set()
    for name in _module_names(names):
        module = _imported(name)
        if module is None:
            continue
        for document in _module_documents(module, name):
            # Aliases and inherited methods repeat docstrings word for word.
            if seen.isdisjoint((document.id, document.text)):
                seen.update((document.id, document.text))
                yield document


def _module_names(names: Iterable[str]) -> Iterator[str]:
    """Yield public names of modules, packages before what is inside them."""
    for name in names:
        last = name.rsplit(".", 1)[-1]
        if last.startswith("_") or last in _LEFT_OUT or name in _SYSTEM:
            continue
        yield name
        if name == "os":
            yield "os.path"
        inside = pkgutil.iter_modules(getattr(_imported(name), "__path__", []), f"{name}.")
        yield from _module_names(inner.name for inner in inside)


def _imported(name: str) -> ModuleType | None:
    """Import a module; one that this machine lacks the libraries for is passed over."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit):  # noqa: BLE001 - a module may raise anything when imported elsewhere
        return None


def _module_documents(module: ModuleType, name: str) -> Iterator[Document]:
    """Yield the documents of a module and of what it is the public home of, functions before classes.

    `random.choice` is `random.Random.choice`, and the shorter name is the one people know.
    """
    yield from _document(module, name, name, "module")
    public = {
        attribute: value
        for attribute, value in sorted(vars(module).items())
        if not attribute.startswith("_") and _belongs(value, attribute, module, name)
    }
    prefix = "" if name == "builtins" else f"{name}."
    for attribute, value in public.items():
        if inspect.isroutine(value):
            yield from _document(value, prefix + attribute, name, "function")
    for attribute, value in public.items():
        if inspect.isclass(value):
            yield from _document(value, prefix + attribute, name, "class")
            yield from _members(value, prefix + attribute, name)


def _members(owner: type, path: str, module: str) -> Iterator[Document]:
    """Yield the documents of what a class defines itself."""
    for attribute, value in sorted(vars(owner).items()):
        if attribute.startswith("_") and not attribute.endswith("__"):
            continue
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if inspect.isroutine(value) and not inspect.isdatadescriptor(value):
            yield from _document(value, f"{path}.{attribute}", module, "method")
        elif inspect.isdatadescriptor(value):
            yield from _document(value, f"{path}.{attribute}", module, "property")


def _belongs(value: Any, attribute: str, module: ModuleType, name: str) -> bool:
    """Tell whether a module is the public home of a value; C accelerators and inner modules have none."""
    home = getattr(value, "__module__", None) or name
    home = _SYSTEM.get(home, home)
    if name == "builtins":
        return True
    if home.startswith(f"{name}."):
        return attribute in getattr(module, "__all__", ())
    return home == name or home.startswith("_")


def _document(value: Any, path: str, module: str, kind: str) -> Iterator[Document]:
    """Yield the document of a value that has a docstring worth finding."""
    docstring = getattr(value, "__doc__", None)
    if not isinstance(docstring, str) or len(docstring) < _SHORTEST:
        return
    # A docstring may hold half of a character, which no file can.
    text = inspect.cleandoc(docstring).encode("utf-8", "replace").decode()
    metadata = {"module": module, "kind": kind, "signature": _signature(value)}
    yield Document(id=path, text=text, title=path, metadata=metadata)


def _signature(value: Any) -> str:
    """Return a signature where there is one to be had."""
    if not callable(value) or inspect.ismodule(value):
        return ""
    try:
        signature = str(inspect.signature(value))
    except Exception:  # noqa: BLE001 - it evaluates defaults of C functions, which may raise anything
        return ""
    # Addresses differ from run to run, and say nothing.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", signature)
