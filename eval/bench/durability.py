"""Kill a writer at random instants, and damage files at random places: what is lost, seen, or answered wrong.

``python -m eval.bench.durability run --kills 200 --damages 500 --out FILE``

A kill is right when every change that was reported done is there, nothing but those and the one under way is,
and both indexes find exactly what the store holds. A damage is right when it is noticed on opening or the
answers are what they were.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.cli.console import out, write_json
from eval.environment import environment
from retriever import Retriever, RetrieverConfig
from retriever.errors import RetrieverError

DOCUMENTS = 200  # those that are written to; the collection starts with twice as many
LONGEST_LIFE = 1.5  # seconds a writer works before it is killed, at most
PATIENCE = 60.0  # seconds after which an open or a search counts as hung
QUESTION = "a ship in the storm near the harbour"
SUBJECTS = ("ship", "storm", "engine", "library", "winter", "river", "market", "garden", "mountain")
END = ";"  # of a whole line: a kill may cut the last one

app = typer.Typer(add_completion=False)


def text_of(number: int, version: int) -> str:
    """The text of a document in one version: its own words and some that all have."""
    subject = SUBJECTS[(number + version) % len(SUBJECTS)]
    other = SUBJECTS[number % len(SUBJECTS)]
    return f"note{number} edition{version}: the {subject} and the {other} of the harbour"


def build(path: Path) -> dict[str, str]:
    """Make the collection that everything starts from; return its documents."""
    documents = {f"n{number}": text_of(number, 0) for number in range(2 * DOCUMENTS)}
    Retriever.from_corpus(list(documents.items()), path=path, config=RetrieverConfig(reranker=None)).close()
    return documents


def write_for_ever(path: Path, seed: int) -> None:
    """Add, change, delete and compact until killed, and say so before and after each change."""
    rng = random.Random(seed)
    retriever = Retriever.open(path)
    present = {document.id for document in retriever}
    print("ready", flush=True)
    while True:
        numbers = rng.sample(range(DOCUMENTS), rng.choice((1, 1, 3, 20)))
        ids = [f"n{number}" for number in numbers]
        turn, version = rng.random(), rng.randrange(1, 100_000)
        new = [number for number in numbers if f"n{number}" not in present]
        if turn < 0.45:
            changes = {f"n{number}": text_of(number, version) for number in numbers}
            _say("try", changes)
            retriever.upsert(list(changes.items()))
        elif turn < 0.65 and new:
            changes = {f"n{number}": text_of(number, version) for number in new}
            _say("try", changes)
            retriever.add(list(changes.items()))
        elif turn < 0.93:
            changes = dict.fromkeys(ids, "")
            _say("try", changes)
            retriever.delete(ids)
        else:
            retriever.compact()
            continue
        _say("done", changes)
        present = (present | {id for id, text in changes.items() if text}) - {
            id for id, text in changes.items() if not text
        }


def _say(what: str, changes: dict[str, str]) -> None:
    """One line a change: what, then id=edition pairs, an empty edition for a deletion."""
    pairs = " ".join(f"{id}={text.split()[1][7:-1] if text else ''}" for id, text in changes.items())
    print(what, pairs, END, flush=True)


def kill_once(path: Path, expected: dict[str, str], seed: int) -> str:
    """Let a writer work for a while, kill it, and look; `expected` becomes what is there.

    :return: "right", or what was wrong.
    """
    rng = random.Random(seed)
    command = [sys.executable, "-m", "eval.bench.durability", "write", str(path), str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("a pipe was asked for")
    first = process.stdout.readline().strip()
    killer = threading.Timer(rng.uniform(0.0, LONGEST_LIFE), os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    lines = process.stdout.read().splitlines()
    failure = process.stderr.read()
    killer.join()
    if first != "ready" or process.wait() != -signal.SIGKILL:
        return f"the writer failed: {failure.strip().splitlines()[-1:]}"
    tried = _replay(lines, expected)
    try:
        there, lexical, dense = _look(path)
    except RetrieverError as error:
        return f"refused: {error}"
    if there != expected and tried:
        _apply(expected, tried)  # the change that was under way may be there, whole
    if there != expected:
        wrong = {id for id in there.keys() | expected.keys() if there.get(id) != expected.get(id)}
        return f"the store differs on {sorted(wrong)[:5]}"
    if lexical != there.keys() or dense != there.keys():
        return f"an index differs: {len(lexical)} and {len(dense)} of {len(there)}"
    return "right"


def _replay(lines: list[str], expected: dict[str, str]) -> dict[str, str]:
    """Carry out what was reported done; return the change that was tried last and not reported."""
    tried: dict[str, str] = {}
    for line in lines:
        what, *pairs = line.split(" ")
        if pairs[-1:] != [END]:
            continue  # cut off by the kill
        if what == "try":
            tried = dict(pair.split("=") for pair in pairs[:-1])
        elif what == "done":
            _apply(expected, tried)
            tried = {}
    return tried


def _look(path: Path) -> tuple[dict[str, str], set[str], set[str]]:
    """What the store holds, what BM25 finds and what the vectors find."""
    with Retriever.open(path) as again:
        there = {document.id: document.text for document in again}
        found = again.search("harbour", k=10 * DOCUMENTS, rerank=False)
    scored = {result.id: result.stages.lexical for result in found}
    lexical = {id for id, stage in scored.items() if stage is not None and stage.score > 0}
    return there, lexical, set(scored)


def _apply(expected: dict[str, str], changes: dict[str, str]) -> None:
    """Carry out a change on what is expected."""
    for id, version in changes.items():
        if version:
            expected[id] = text_of(int(id[1:]), int(version))
        else:
            expected.pop(id, None)


def damage_once(path: Path, copy: Path, wanted: list[tuple[str, float]], seed: int) -> str:
    """Flip a bit or cut the end of one file, open, ask.

    :return: "noticed", "harmless", "wrong" or "hung".
    """
    rng = random.Random(seed)
    shutil.copytree(path, copy)
    victim = rng.choice(sorted(file for file in copy.rglob("*") if file.is_file() and file.stat().st_size))
    size = victim.stat().st_size
    with victim.open("r+b") as file:
        if rng.random() < 0.3:
            file.truncate(rng.randrange(size))
        else:
            place = rng.randrange(size)
            file.seek(place)
            byte = file.read(1)[0] ^ (1 << rng.randrange(8))
            file.seek(place)
            file.write(bytes([byte]))
    started = time.monotonic()
    try:
        with Retriever.open(copy) as again:
            answers = _answers(again)
        result = "harmless" if answers == wanted else f"wrong: {victim.name}"
    except RetrieverError:
        result = "noticed"
    finally:
        shutil.rmtree(copy)
    return result if time.monotonic() - started < PATIENCE else f"hung: {victim.name}"


def _answers(retriever: Retriever) -> list[tuple[str, float]]:
    """Ids and scores of a search that uses both indexes, and every text."""
    found = retriever.search(QUESTION, k=50, rerank=False)
    every = [(document.id + document.text, 0.0) for document in retriever]
    return [(result.id, round(result.score, 4)) for result in found] + sorted(every)


@app.command()
def write(path: Path, seed: int) -> None:
    """Write until killed (started by `run`)."""
    write_for_ever(path, seed)


@app.command()
def run(
    kills: Annotated[int, typer.Option(help="Writers killed.")] = 200,
    damages: Annotated[int, typer.Option(help="Files damaged, one at a time.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the instants and the places.")] = 0,
    out_file: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
) -> None:
    """Kill and damage, and count what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        expected = build(path)
        killed: Counter[str] = Counter()
        for number in range(kills):
            killed[kill_once(path, expected, seed + number)] += 1
        with Retriever.open(path) as retriever:
            wanted = _answers(retriever)
        damaged: Counter[str] = Counter()
        for number in range(damages):
            damaged[damage_once(path, Path(folder) / "copy", wanted, seed + number)] += 1
    result: dict[str, Any] = {
        "command": " ".join(["python -m eval.bench.durability", *sys.argv[1:]]),
        "kills": dict(killed),
        "damages": dict(damaged),
        "environment": environment(),
    }
    if out_file is not None:
        write_json(out_file, result)
    out.print_json(data=result)


if __name__ == "__main__":
    app()
