"""Every block of the integrations' README is run; a small cross-encoder stands in for the bundled one."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rerank
import retriever.integrations
from retriever import Retriever, RetrieverConfig
from tests.factories import OverlapReranker, tiny_encoder

README = Path(retriever.integrations.__file__).with_name("README.md")
TEXT = README.read_text(encoding="utf-8")
HANDBOOK = [
    {"id": "leave", "text": "Employees have 28 days of leave a year.", "metadata": {"area": "people"}},
    {"id": "laptop", "text": "The IT desk repairs a laptop.", "metadata": {"area": "it"}},
]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the collection that the README names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rerank, "load_reranker", lambda name: OverlapReranker(), raising=False)
    tiny_encoder().save("encoder")
    config = RetrieverConfig(encoder=str(tmp_path / "encoder"), passage_overlap=0)
    Retriever.from_corpus(HANDBOOK, path="handbook", config=config).close()
    return tmp_path


@pytest.mark.parametrize("block", [one for one in blocks("python") if "asyncio" not in one])
def test_python_block(block, workplace, capsys):
    exec(compile(block, str(README), "exec"), {"__name__": "__main__"})
    assert "28 days of leave" in capsys.readouterr().out


def test_commands_and_client_find_an_answer_in_a_folder_of_markdown(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "leave.md").write_text("# Leave\n\nEmployees have 28 days of leave a year.\n")
    (commands,) = blocks("sh")
    install, index, serve = (shlex.split(line) for line in commands.splitlines())
    assert install == ["pip", "install", ".[mcp]"]
    assert serve == ["retriever", "mcp", "handbook"]
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (client,) = (one for one in blocks("python") if "asyncio" in one)
    for command in ([*index, "--reranker", "none"], [sys.executable, "-c", client]):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PATH": here},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
    assert "28 days of leave" in done.stdout


def test_settings_are_json():
    (settings,) = blocks("json")
    assert json.loads(settings)["mcpServers"]["handbook"]["command"] == "retriever"


def test_blocks_are_short_and_links_lead_somewhere():
    for block in blocks("python") + blocks("sh") + blocks("json"):
        assert len(block.splitlines()) < 15
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target
