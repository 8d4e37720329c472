"""The README is run: every Python block, every command, and every figure against its committed run."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from retriever import StaticEncoder

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands():
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if shlex.split(line, comments=True)]


@pytest.fixture
def workplace(tmp_path):
    """A folder with what the README's commands name."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "backup.md").write_text("# Backups\n\nRestore a backup with `restore --from DATE`.\n")
    (notes / "travel.md").write_text("# Travel\n\nTrains are booked in second class.\n")
    for number in range(60):  # `adapt` wants something to learn from
        (notes / f"{number}.md").write_text(
            f"# Room {number}\n\nIt is blue. Its key has the number {number * 7}.\n"
        )
    StaticEncoder.load().save(tmp_path / "my-encoder")  # where `adapt` gains nothing it writes nothing
    dataset = tmp_path / "dataset"
    (dataset / "qrels").mkdir(parents=True)
    (dataset / "corpus.jsonl").write_text(
        '{"_id": "1", "title": "Cats", "text": "The cat sat on the mat."}\n'
        '{"_id": "2", "title": "Stocks", "text": "Stocks fell sharply today."}\n'
    )
    (dataset / "queries.jsonl").write_text('{"_id": "q", "text": "where is the cat"}\n')
    (dataset / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return tmp_path


def test_python_blocks_run_in_order(workplace):
    program = "\n".join(blocks("python"))
    assert program
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=workplace, timeout=180
    )
    assert done.returncode == 0, done.stderr
    for promised in re.findall(r"# prints: (.*)", program):
        assert promised in done.stdout


def test_commands_run(workplace):
    ours = [command for command in commands() if command[0] == "retriever"]
    assert len(ours) >= 4
    for command in ours:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "retriever"), *command[1:]],
            capture_output=True,
            text=True,
            cwd=workplace,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_make_targets_exist():
    targets = {argument for command in commands() if command[0] == "make" for argument in command[1:]}
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"\[([a-z-]+(?:,[a-z-]+)*)\]['\"]?$", README, re.MULTILINE)
    for extra in ",".join(named).split(","):
        assert not extra or extra in project["optional-dependencies"]


def test_files_named_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("corpus", ["scifact", "cranfield", "cacm", "med", "time", "wikiqa"])
def test_figures_are_those_of_the_committed_runs(corpus):
    run = json.loads((ROOT / "eval" / "results" / f"{corpus}.json").read_text(encoding="utf-8"))
    row = next(line for line in README.splitlines() if line.startswith(f"| {corpus} |"))
    for stage in ("lexical", "dense", "hybrid", "reranked"):
        figure = f"{run['stages'][stage]['measures']['nDCG@10']['mean']:.3f}".removeprefix("0")
        assert figure in row
    assert f"| {run['queries']} |" in row
