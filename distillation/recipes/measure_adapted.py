"""Measure what `adapt` gains on BEIR folders, whose questions and judgments it does not see.

python -m distillation.recipes.measure_adapted DATA --reranker bundled --json out.json
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distillation import adapt
from distillation.recipes.measure import SETS, load_test_set, measure
from rerank.protocol import Reranker
from retriever.encoder import StaticEncoder
from retriever.ingest import read_sources
from retriever.loading import load_named_reranker


def main() -> None:
    """Adapt the encoder to each corpus, and measure it before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the BEIR folders")
    parser.add_argument("--sets", nargs="*", default=SETS, help="which of them")
    parser.add_argument("--encoder", help="folder or hub id", default="bundled")
    parser.add_argument("--reranker", help="'bundled', a folder or a hub id; 'none'", default="bundled")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    encoder = StaticEncoder.load(options.encoder)
    teacher = None if options.reranker == "none" else load_named_reranker(options.reranker)
    console = Console()
    results: dict[str, Any] = {}
    for name in options.sets:
        results[name] = found = _measured(options.data / name, encoder, teacher)
        console.print(name, found)
    rows = list(results.values())
    results["mean"] = {
        when: {key: float(np.mean([row[when][key] for row in rows])) for key in rows[0][when]}
        for when in ("before", "after")
    }
    console.print("mean", results["mean"])
    if options.json:
        record = {"encoder": options.encoder, "reranker": options.reranker, **results}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _measured(folder: Path, encoder: StaticEncoder, teacher: Reranker | None) -> dict[str, Any]:
    """Adapt to one corpus and measure."""
    test = load_test_set(folder)
    documents = list(read_sources([folder / "corpus.jsonl"]))
    started = time.perf_counter()
    adapted = adapt(encoder, documents, teacher=teacher)
    seconds = time.perf_counter() - started
    return {
        "documents": len(documents),
        "before": measure(encoder.encode, test),
        "after": measure(adapted.encoder.encode, test),
        "changes": list(adapted.changes),
        "held_before": adapted.before,
        "held_after": adapted.after,
        "held": adapted.held_back,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
