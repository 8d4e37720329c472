"""Our encoder and model2vec's in turn, in one process, on the same table and the same real texts.

``python -m eval.bench.encode --data ../shared/data --out eval/bench/results/encode.json``
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from model2vec import StaticModel
from numpy.typing import NDArray
from rich.table import Table

from eval.bench.bench_texts import passages, translated_messages
from eval.bench.new_words import measure_first_call, measure_new_words
from eval.cli.console import out, write_json
from eval.environment import cpu_model, environment
from rerank.cores import usable_cores
from retriever.encoder import StaticEncoder

_VERSIONS = ("model2vec", "tokenizers", "numba", "sentence-transformers", "torch")
_QUERY = "what is the capital of france"
_FEWER = 256  # dimensions, measured beside the bundled table's own
_COPIED = 1 << 26  # float32 values copied to measure the memory: 256 MB, more than a usual cache
Encode = Callable[[], object]


def main(
    *,
    data: Annotated[Path, typer.Option(help="Folder with train/enwiki_passages.jsonl.gz.")] = Path(
        "../shared/data"
    ),
    locales: Annotated[Path, typer.Option(help="Message catalogues.")] = Path("/usr/share/locale"),
    transformer: Annotated[
        str, typer.Option(help="Folder or hub id.")
    ] = "sentence-transformers/all-MiniLM-L6-v2",
    rounds: Annotated[int, typer.Option(min=1, help="Times everything is measured.")] = 5,
    out_file: Annotated[Path | None, typer.Option("--out", help="JSON file to write.")] = None,
) -> None:
    """Measure texts a second, cold and warm, on one thread and all; print medians, ratios and spread."""
    english = "English encyclopedia passages"
    sets = {
        "english-100": (f"{english}, 100 characters", passages(data, 10_000, 100)),
        "english-760": (f"{english}, 760 characters", passages(data, 10_000, 760)),
        "english-5000": (f"{english}, 5,000 characters, cut at 512 tokens", passages(data, 1200, 5000)),
        "french-500": (
            "French translations of this system's program messages, 500 characters",
            translated_messages(locales, ("fr",), 5000, 500),
        ),
        "cjk-300": (
            "Chinese and Japanese translations of this system's program messages, 300 characters",
            translated_messages(locales, ("zh_CN", "ja"), 3000, 300),
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        _dequantized().save(folder)
        ours, theirs = StaticEncoder.load(folder), StaticModel.from_pretrained(folder)
        ours.compile()
        bandwidth = {threads: _bandwidth(threads) for threads in (1, usable_cores())}
        result: dict[str, Any] = {
            "command": f"python -m eval.bench.encode --rounds {rounds} --transformer MODEL_FOLDER",
            "table": "bundled, as float32",
            "tokens": len(ours.tokenizer.get_vocab()),
            "dimensions": ours.dimensions,
            "rounds": rounds,
            "memory_gb_per_second": {
                str(threads): round(speed / 1e9, 1) for threads, speed in bandwidth.items()
            },
            "sets": {
                name: _measure_set(what, texts, folder, ours, theirs, rounds, bandwidth)
                for name, (what, texts) in sets.items()
            }
            | {
                f"english-760, {_FEWER} dimensions": _measure_fewer(
                    *sets["english-760"], Path(folder) / str(_FEWER), ours, rounds, bandwidth
                )
            },
            "position_weights": _measure_position_weights(sets["english-760"][1], ours, rounds),
            "new_words": measure_new_words(folder, rounds),
            "first_call_seconds": measure_first_call(folder),
            "query": _measure_query(ours, theirs, rounds),
            "transformer": _measure_transformer(transformer, sets["english-760"][1], ours, rounds),
            "peak_memory_mb": {which: _peak_memory(which, folder, data) for which in ("ours", "model2vec")},
            "environment": environment()
            | {"cpu": cpu_model(), "versions": {name: version(name) for name in _VERSIONS}},
        }
    if out_file is not None:
        write_json(out_file, result)
    _print(result)


def _dequantized() -> StaticEncoder:
    """Return the bundled encoder with a float32 table and no weights: the case model2vec is fastest at.

    Position weights, which it does not know, are measured apart.
    """
    return StaticEncoder.load().quantize("float32").with_position_weights(None)


def _seconds(run: Encode) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _bandwidth(threads: int) -> float:
    """Return bytes a second that numpy reads and writes, copying, on some threads."""
    source = np.ones(_COPIED, dtype=np.float32)
    target = np.zeros_like(source)
    parts = [slice(i * _COPIED // threads, (i + 1) * _COPIED // threads) for i in range(threads)]

    def copy(part: slice) -> None:
        target[part] = source[part]

    with ThreadPoolExecutor(threads) as executor:
        best = min(_seconds(lambda: list(executor.map(copy, parts))) for _ in range(5))
    return 2 * source.nbytes / best


def _measure_set(
    what: str,
    texts: list[str],
    folder: str,
    ours: StaticEncoder,
    theirs: StaticModel,
    rounds: int,
    bandwidth: dict[int, float],
) -> dict[str, Any]:
    """Time both encoders on one set in turn."""
    cores = usable_cores()
    difference = float(np.abs(ours.encode(texts) - theirs.encode(texts)).max())
    runs: dict[str, Callable[[], float]] = {
        "model2vec": lambda: _seconds(lambda: theirs.encode(texts)),
        "ours": lambda: _seconds(lambda: ours.encode(texts)),
        "ours, new object": lambda: _cold(folder, texts),
        "model2vec, one thread": lambda: _one_thread(theirs, texts),
        "ours, one thread": lambda: _seconds(lambda: ours.encode(texts, threads=1)),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(run())
    floor = _floor_bytes(texts, ours)
    rates = {name: _rate(len(texts), seconds) for name, seconds in times.items()}
    for name, threads in (("ours", cores), ("ours, new object", cores), ("ours, one thread", 1)):
        least = floor / bandwidth[threads]
        rates[name] |= {
            "floor_seconds": round(least, 5),
            "times_the_floor": round(statistics.median(times[name]) / least, 2),
        }
    return {
        "what": what,
        "texts": len(texts),
        "characters_mean": round(statistics.mean(map(len, texts)), 1),
        "ascii_share": round(sum(text.isascii() for text in texts) / len(texts), 3),
        "tokens_mean": round(
            float(np.minimum(ours.count_tokens(texts), ours.max_length or 1 << 40).mean()), 1
        ),
        "largest_difference": difference,
        "texts_a_second": rates,
        "ratio_warm": _ratio(times["model2vec"], times["ours"]),
        "ratio_cold": _ratio(times["model2vec"], times["ours, new object"]),
        "ratio_one_thread": _ratio(times["model2vec, one thread"], times["ours, one thread"]),
    }


def _measure_fewer(
    what: str,
    texts: list[str],
    folder: Path,
    whole: StaticEncoder,
    rounds: int,
    bandwidth: dict[int, float],
) -> dict[str, Any]:
    """Time both encoders on one set with the table's leading dimensions, saved in a folder of their own."""
    whole.truncate(_FEWER).save(folder)
    ours, theirs = StaticEncoder.load(folder), StaticModel.from_pretrained(folder)
    entry = _measure_set(what, texts, str(folder), ours, theirs, rounds, bandwidth)
    return {"dimensions": _FEWER} | entry


def _measure_position_weights(texts: list[str], plain: StaticEncoder, rounds: int) -> dict[str, Any]:
    """Time the encoder with the bundled one's position weights and without, in turn."""
    weighted = plain.with_position_weights(StaticEncoder.load().position_weights)
    times: dict[str, list[float]] = {"with": [], "without": []}
    for encoder in (weighted, plain):
        encoder.compile()
        encoder.encode(texts)
    for _ in range(rounds):
        for name, encoder in (("with", weighted), ("without", plain)):
            times[name].append(_seconds(partial(encoder.encode, texts)))
    rates = {name: _rate(len(texts), seconds) for name, seconds in times.items()}
    return {"texts_a_second": rates, "times_as_long": _ratio(times["with"], times["without"])}


def _cold(folder: str, texts: list[str]) -> float:
    """Time an encoder that has seen no word; the compiled code is loaded."""
    encoder = StaticEncoder.load(folder)
    return _seconds(lambda: encoder.encode(texts))


def _one_thread(model: StaticModel, texts: list[str]) -> float:
    """Time model2vec with its tokenizer on one thread."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        return _seconds(lambda: model.encode(texts, use_multiprocessing=False))
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = before or "true"


def _floor_bytes(texts: list[str], encoder: StaticEncoder) -> int:
    """Return the bytes of text up to the last token used, and of the rows added up."""
    row_bytes = encoder.dimensions * np.dtype(np.float32).itemsize
    counts = encoder.count_tokens(texts)
    used = np.minimum(counts, encoder.max_length or 1 << 40)
    text_bytes = sum(
        len(text.encode()) * kept / count
        for text, kept, count in zip(texts, used, counts, strict=True)
        if count
    )
    return int(text_bytes + used.sum() * row_bytes)


def _rate(count: int, seconds: list[float]) -> dict[str, Any]:
    """Return the median rate with its lowest and highest."""
    return {
        "median": round(count / statistics.median(seconds)),
        "low": round(count / max(seconds)),
        "high": round(count / min(seconds)),
    }


def _ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    """Return the ratio of medians, and the lowest and highest of one round."""
    each = [a / b for a, b in zip(slow, fast, strict=True)]
    return {
        "of_medians": round(statistics.median(slow) / statistics.median(fast), 1),
        "low": round(min(each), 1),
        "high": round(max(each), 1),
    }


def _measure_query(ours: StaticEncoder, theirs: StaticModel, rounds: int) -> dict[str, Any]:
    """Time single short queries in turn, in microseconds."""
    times: dict[str, list[float]] = {"ours": [], "model2vec": []}
    calls: dict[str, Encode] = {
        "ours": lambda: ours.encode(_QUERY),
        "model2vec": lambda: theirs.encode(_QUERY),
    }
    for _ in range(rounds):
        for name, call in calls.items():
            times[name] += [_seconds(call) * 1e6 for _ in range(400)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "query": _QUERY,
        "microseconds_median": {name: round(value, 1) for name, value in medians.items()},
        "microseconds_p95": {
            name: round(float(np.percentile(values, 95)), 1) for name, values in times.items()
        },
        "ratio": round(medians["model2vec"] / medians["ours"], 1),
    }


def _measure_transformer(name: str, texts: list[str], ours: StaticEncoder, rounds: int) -> dict[str, Any]:
    """Time a transformer on a sample, in turn with ours on all texts."""
    from sentence_transformers import SentenceTransformer

    model, sample = SentenceTransformer(name, device="cpu"), texts[:: len(texts) // 64][:64]
    model.encode(sample[:8])
    slow, fast = [], []
    for _ in range(min(rounds, 3)):
        slow.append(_seconds(lambda: model.encode(sample)) / len(sample))
        fast.append(_seconds(lambda: ours.encode(texts)) / len(texts))
    return {
        "model": "all-MiniLM-L6-v2",
        "sample": len(sample),
        "texts_a_second": _rate(1, slow),
        "ours_texts_a_second": _rate(1, fast),
        "ratio": _ratio(slow, fast),
    }


def _peak_memory(which: str, folder: str, data: Path) -> dict[str, float]:
    """Return what a fresh process takes before it encodes, and at most."""
    command = [sys.executable, "-m", "eval.bench.encode", "peak", which, folder, str(data)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, most = map(float, done.stdout.split())
    return {"loaded": before, "peak": most}


def _print_peak(which: str, folder: str, data: str) -> None:
    """Encode 6,000 passages with one encoder; print the memory in use before, and the most, in MB."""
    texts = passages(Path(data), 6000, 760)
    model: Any = StaticEncoder.load(folder) if which == "ours" else StaticModel.from_pretrained(folder)
    before = _memory("VmRSS")
    vectors: NDArray[np.float32] = model.encode(texts)
    print(before, _memory("VmHWM") if vectors.size else 0)


def _memory(field: str) -> float:
    """Return a line of /proc/self/status in MB; getrusage would count the parent process too."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1000, 1)


def _print(result: dict[str, Any]) -> None:
    """Print the figures for a person."""
    table = Table(title="texts a second (median)")
    for column in ("set", "model2vec", "ours", "ratio", "cold", "one thread", "x floor"):
        table.add_column(column, justify="left" if column == "set" else "right")
    for name, entry in result["sets"].items():
        rates = entry["texts_a_second"]
        table.add_row(
            name,
            f"{rates['model2vec']['median']:,}",
            f"{rates['ours']['median']:,}",
            *(
                f"{entry[ratio]['of_medians']:.1f}"
                for ratio in ("ratio_warm", "ratio_cold", "ratio_one_thread")
            ),
            f"{rates['ours']['times_the_floor']:.2f}",
        )
    out.print(table)
    out.print(f"one query, µs: {result['query']['microseconds_median']}, {result['query']['ratio']} times")
    out.print(f"all-MiniLM-L6-v2: {result['transformer']['ratio']['of_medians']:,.0f} times")
    new_words = {script: entry["of_tokenizer"] for script, entry in result["new_words"].items()}
    out.print(f"new words, times the tokenizer's speed: {new_words}")
    longer = result["position_weights"]["times_as_long"]["of_medians"]
    out.print(f"with position weights: {longer} times as long")
    out.print(f"first call, seconds: {result['first_call_seconds']}")
    out.print(f"peak memory, MB: {result['peak_memory_mb']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        _print_peak(*sys.argv[2:])
    else:
        typer.run(main)
