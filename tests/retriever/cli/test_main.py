"""The door: sub-commands are found, errors become messages, and nothing heavy is imported for help."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer

from retriever.cli import main


def test_help_lists_what_a_newcomer_needs_first(run):
    result = run("--help")
    assert result.exit_code == 0
    places = [result.output.index(f"│ {name} ") for name in ("demo", "index", "search", "info")]
    assert places == sorted(places)


def test_no_arguments_show_the_help_as_wrong_use(run):
    result = run()
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_version(run):
    assert run("--version").output.startswith("two-stage-retriever ")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["search"], ["search", "d", "q", "-k", "0"], ["index", "x"]]
)
def test_wrong_use_is_exit_code_2(run, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_a_users_mistake_is_a_message_and_exit_code_1(run, tmp_path):
    result = run("search", tmp_path / "gone", "question")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no collection in")
    assert result.stdout == ""


def test_ctrl_c_is_130(run, monkeypatch):
    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("retriever.cli.opening.Retriever.open", stop)
    result = run("info", "anywhere")
    assert result.exit_code == 130
    assert "stopped" in result.stderr


def test_a_command_that_cannot_be_loaded_says_so_and_the_others_work(run, monkeypatch):
    broken = EntryPoint(name="broken", value="no.such.module:run", group="retriever.commands")
    working = EntryPoint(name="info", value="retriever.cli.info:info", group="retriever.commands")

    def entries(*, group, name=None):
        return [entry for entry in (broken, working) if name in (None, entry.name)]

    monkeypatch.setattr(main, "entry_points", entries)
    assert "Not available; install the package again." in run("--help").output
    result = run("broken")
    assert result.exit_code == 1
    assert "the command 'broken' cannot be loaded" in result.stderr


def test_completion_is_typers():
    command = typer.main.get_command(main.app)
    assert {"--install-completion", "--show-completion"} <= {
        option for parameter in command.params for option in parameter.opts
    }


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from retriever.cli.main import app\n"
        f"sys.argv = ['retriever', *{arguments!r}]\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n"
        "    heavy = {'torch', 'faiss', 'onnxruntime', 'numba', 'transformers'} & set(sys.modules)\n"
        "    sys.exit(f'imported {heavy}' if heavy else stop.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
