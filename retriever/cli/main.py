"""The `retriever` command: finds the sub-commands of all packages and turns errors into messages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from retriever.errors import RetrieverError

_GROUP = "retriever.commands"
_FIRST = ("demo", "index", "search", "info")  # what a newcomer needs, in the order of need
_INTERRUPTED = 130  # what shells report for a process stopped by Ctrl-C


class _Commands(TyperGroup):
    """Sub-commands from the entry points of installed packages, imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all sub-commands."""
        names = {entry.name for entry in entry_points(group=_GROUP)}
        return [name for name in _FIRST if name in names] + sorted(names.difference(_FIRST))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a sub-command; None if there is none of this name."""
        entry = next(iter(entry_points(group=_GROUP, name=cmd_name)), None)
        return None if entry is None else _load(entry)

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
            raise typer.Exit(_INTERRUPTED) from error


def _load(entry: EntryPoint) -> Any:
    """Import a sub-command's function and make a command of it."""
    try:
        function = entry.load()
    except (ImportError, AttributeError) as error:
        function = _broken(entry.name, error)
    single = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    single.command(entry.name)(function)
    return typer.main.get_command(single)


def _broken(name: str, error: Exception) -> Any:
    """Return a command that says why it is not there, so that the others go on working."""

    def unavailable() -> None:
        raise RetrieverError(f"the command {name!r} cannot be loaded ({error}); install the package again")

    unavailable.__doc__ = f"Not available: {error}."
    return unavailable


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
    """Two-stage retrieval: a static encoder finds, a cross-encoder decides."""


def main() -> None:
    """Run the command line."""
    app()
