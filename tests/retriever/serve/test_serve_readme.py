"""Every block of the server's page runs: Python as it is, commands against a server on a free port."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import retriever.serve

README = Path(retriever.serve.__file__).with_name("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [block for kind, block in BLOCKS if kind == "python"]
SHELL = [block for kind, block in BLOCKS if kind == "bash"]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.split("\n")[0])
def test_python_blocks_run(block, live, make):
    address = live(retriever=make(), name="notes")
    exec(compile(block.replace("http://127.0.0.1:8080", address), "README.md", "exec"), {})


def test_the_first_search_is_answered_as_curl_sends_it(live, make):
    address = live(retriever=make(), name="notes")
    command = next(block for block in SHELL if "curl" in block).replace("localhost:8080", address)
    answered = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    if answered.returncode == 127:
        pytest.skip("curl is not installed")
    assert '"results"' in answered.stdout


def test_every_option_named_exists():
    from typer.testing import CliRunner

    from retriever.cli.main import app

    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    for command in [line for block in SHELL for line in block.splitlines() if "retriever serve" in line]:
        for option in re.findall(r"--[a-z-]+", command):
            assert option in shown, command
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert option in shown, option


def test_the_example_client_asks_a_server(live, make):
    example = Path(__file__).parents[3] / "examples" / "http_client.py"
    command = [sys.executable, str(example), "where is the zebra?", "--url", live(retriever=make())]
    answered = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert answered.stdout.startswith("1. ")
    assert "first stage" in answered.stdout.splitlines()[-1]
