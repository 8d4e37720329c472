"""The `retriever` command: finds the sub-commands of all packages and turns errors into messages."""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retriever.cli import STOPPED
from retriever.errors import RetrieverError

_GROUP = "retriever.commands"
_FIRST = ("demo", "index", "search", "info")  # what a newcomer needs, in the order of need


class _Commands(TyperGroup):
    """Sub-commands from the entry points of installed packages, imported only when they are run."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all sub-commands."""
        names = {entry.name for entry in entry_points(group=_GROUP)}
        return [name for name in _FIRST if name in names] + sorted(names.difference(_FIRST))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in that knows its help; None if there is no sub-command of this name."""
        entry = next(iter(entry_points(group=_GROUP, name=cmd_name)), None)
        return None if entry is None else _command(cmd_name, _nothing, summary=_summary(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the sub-command to run, imported now."""
        name, _, rest = super().resolve_command(ctx, args)
        entry = next(iter(entry_points(group=_GROUP, name=str(name))))
        return name, _command(entry.name, _function(entry)), rest

    def invoke(self, ctx: Any) -> Any:
        """Run a sub-command; a user's mistake becomes a message, never a traceback."""
        try:
            return super().invoke(ctx)
        except RetrieverError as error:
            # Unwrapped, so that a path or a pip line can be copied out of it.
            typer.secho(f"error: {error}", err=True, fg="red")
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.secho("stopped", err=True)
            raise typer.Exit(STOPPED) from error


def _command(name: str, function: Callable[..., Any], *, summary: str | None = None) -> Any:
    """Make a command of a function."""
    single = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    single.command(name, help=summary)(function)
    return typer.main.get_command(single)


def _function(entry: EntryPoint) -> Callable[..., Any]:
    """Import a sub-command's function.

    :raises RetrieverError: if that fails; the other sub-commands go on working.
    """
    try:
        function: Callable[..., Any] = entry.load()
    except (ImportError, AttributeError) as error:
        raise RetrieverError(
            f"the command {entry.name!r} cannot be loaded ({error}); install the package again"
        ) from error
    return function


def _summary(entry: EntryPoint) -> str:
    """Read a sub-command's docstring out of its source: importing every command takes a second."""
    try:
        spec = find_spec(entry.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except (ImportError, OSError):
        source = ""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return ast.get_docstring(node) or ""
    return "Not available; install the package again."


def _nothing() -> None:
    """Stand in for a sub-command that is only listed."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"two-stage-retriever {version('two-stage-retriever')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands,
    name="retriever",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Two-stage retrieval: a static encoder and BM25 find, a reranker decides."""


def main() -> None:
    """Run the command line."""
    app()
