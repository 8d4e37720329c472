"""A million short texts embedded while a transformer is still loading its weights.

Two fresh processes, one after the other: one imports sentence-transformers and loads all-MiniLM-L6-v2, the
other imports the encoder, loads the bundled table and embeds a million texts.

``python -m eval.bench.million --data ../shared/data --out eval/bench/results/million.json``
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.bench.bench_texts import short_texts
from eval.cli.console import out, write_json
from eval.environment import cpu_model, environment

_VERSIONS = ("tokenizers", "numba", "sentence-transformers", "torch")


def main(
    *,
    data: Annotated[Path, typer.Option(help="Folder with train/.")] = Path("../shared/data"),
    transformer: Annotated[
        str, typer.Option(help="Folder or hub id.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    texts: Annotated[int, typer.Option(min=1, help="How many texts.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times both are measured.")] = 3,
    out_file: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
) -> None:
    """Time both processes from their first import on; print the times."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        corpus = short_texts(data, texts)
        path.write_text(json.dumps(corpus), encoding="utf-8")
        characters = statistics.mean(map(len, corpus))
        del corpus
        runs: dict[str, list[dict[str, float]]] = {"transformer": [], "ours": []}
        for _ in range(rounds):
            runs["transformer"].append(_child("transformer", transformer))
            runs["ours"].append(_child("ours", str(path)))
    medians = {
        name: {key: round(statistics.median(run[key] for run in each), 2) for key in each[0]}
        for name, each in runs.items()
    }
    result: dict[str, Any] = {
        "command": f"python -m eval.bench.million --rounds {rounds} --transformer MODEL_FOLDER",
        "texts": texts,
        "characters_mean": round(characters, 1),
        "rounds": rounds,
        "seconds_median": medians,
        "seconds_all": {name: [round(run["total"], 2) for run in each] for name, each in runs.items()},
        "environment": environment()
        | {"cpu": cpu_model(), "versions": {name: version(name) for name in _VERSIONS}},
    }
    if out_file is not None:
        write_json(out_file, result)
    out.print(f"all-MiniLM-L6-v2 imported and loaded: {medians['transformer']['total']:.2f} s")
    out.print(f"{texts:,} texts embedded, import and loading included: {medians['ours']['total']:.2f} s")


def _child(which: str, argument: str) -> dict[str, float]:
    """Run one side in a fresh process; return its seconds."""
    command = [sys.executable, "-m", "eval.bench.million", "child", which, argument]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def _load_transformer(name: str) -> dict[str, float]:
    """Import sentence-transformers and load a model."""
    begin = time.perf_counter()
    from sentence_transformers import SentenceTransformer

    imported = time.perf_counter()
    SentenceTransformer(name, device="cpu")
    loaded = time.perf_counter()
    return {"import": imported - begin, "load": loaded - imported, "total": loaded - begin}


def _embed(path: str) -> dict[str, float]:
    """Import the encoder, load the bundled table, embed the texts; reading those from disk is not counted."""
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    begin = time.perf_counter()
    from retriever.encoder import StaticEncoder

    imported = time.perf_counter()
    encoder = StaticEncoder.load()
    loaded = time.perf_counter()
    vectors = encoder.encode(texts)
    done = time.perf_counter()
    if len(vectors) != len(texts):
        raise SystemExit(1)
    return {
        "import": imported - begin,
        "load": loaded - imported,
        "encode": done - loaded,
        "total": done - begin,
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps((_load_transformer if sys.argv[2] == "transformer" else _embed)(sys.argv[3])))
    else:
        typer.run(main)
