"""Measure the bundled reranker: quality over the first stage, minimal pairs, speed, budgets.

python -m eval.bench.rerank quality --data DATA/eval --out rerank/results/quality.json [--against FLOAT32]
python -m eval.bench.rerank probe --out rerank/results/probe.json
python -m eval.bench.rerank speed --encoder all-MiniLM-L6-v2 --out rerank/results/speed.json
python -m eval.bench.rerank budget --out rerank/results/budget.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from eval.bench.short_lists import ShortLists
from eval.datasets import load_beir
from eval.environment import environment
from rerank.budget import CostModel, score_within
from rerank.calibration import Calibration, expected_calibration_error
from rerank.onnx_runtime import OnnxReranker
from rerank.recipes.held_out import held_out_pairs
from retriever import Retriever, RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.reranking import bundled_model

CORPORA = ("scifact", "cranfield", "cacm", "med", "time", "wikiqa")
LENGTHS = (32, 64, 128, 256)  # tokens of query and passage together
DEPTH = 50  # that quality is measured at
DEPTHS = (10, 20, 50, 100)  # that a list is timed at
BUDGETS = (50, 100, 200, 400)  # milliseconds
WORDS = ("the", "river", "of", "old", "stone", "houses", "runs", "slowly", "through", "a", "quiet", "town")
FRAMES, SENSES = 600, 100  # lists of what was kept from training
PROBE = Path("tests/rerank/data/probe.jsonl")


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """nDCG@10 of first stage, blend, blend at half the depth, reranker alone, depth "auto"; calibration."""
    reranker = OnnxReranker(options.reranker)
    other = None if options.against is None else OnnxReranker(options.against)
    weight, tolerance = reranker.recommended_weight, float(reranker.config["stopping_tolerance"])
    calibration = Calibration.from_config(reranker.config)
    found = _measured(options.out)  # corpora measured by an earlier call are kept
    for name in options.corpora:
        data = load_beir(options.data / name).sample(options.queries)
        with Retriever.from_corpus(data.documents or (), config=RetrieverConfig(reranker=None)) as retriever:
            lists = ShortLists.of(data, retriever, DEPTH)
        logits = lists.logits(reranker)
        row: dict[str, Any] = {
            "queries": len(data.queries),
            "first_stage": round(lists.ndcg(), 4),
            "blend": round(lists.ndcg(logits, weight), 4),
            "half_depth": round(lists.ndcg(logits, weight, DEPTH // 2), 4),
            "alone": round(lists.ndcg(logits), 4),
        }
        seen, share = lists.read(logits, weight, tolerance)
        row["auto"] = round(lists.ndcg(seen, weight), 4)
        row["auto_share_read"] = round(share, 3)
        if other is not None:
            row["against"] = round(lists.ndcg(lists.logits(other), weight), 4)
        if calibration is not None:
            stated = np.concatenate([calibration.probability(logits[query]) for query in lists.ids])
            relevant = np.concatenate([lists.relevant(query) for query in lists.ids])
            row["calibration_error"] = round(expected_calibration_error(stated, relevant), 4)
        found[name] = row
        result = {"weight": weight, "depth": DEPTH, "mean": _means(found), "corpora": found}
        _write(options.out, result)
        Console(stderr=True).print(name, row)
    return {"weight": weight, "depth": DEPTH, "mean": _means(found), "corpora": found}


def _measured(path: Path | None) -> dict[str, Any]:
    """Corpora that a result file has."""
    if path is None or not path.is_file():
        return {}
    corpora: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["corpora"]
    return corpora


def _means(found: dict[str, Any]) -> dict[str, float]:
    """Means over the corpora."""
    measures = ("first_stage", "blend", "half_depth", "alone", "auto", "auto_share_read", "against")
    return {
        measure: round(float(np.mean([row[measure] for row in found.values()])), 4)
        for measure in measures
        if all(measure in row for row in found.values())
    }


def _write(path: Path | None, result: dict[str, Any]) -> None:
    """Write a result file, if one is wanted."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def probe(options: argparse.Namespace) -> dict[str, Any]:
    """Share of minimal pairs with the right passage first, by sort; of held-out frames, too."""
    reranker = OnnxReranker(options.reranker)
    pairs = [json.loads(line) for line in PROBE.read_text(encoding="utf-8").splitlines()]
    right = reranker.score_pairs([(pair["query"], pair["right"]) for pair in pairs])
    wrong = reranker.score_pairs([(pair["query"], pair["wrong"]) for pair in pairs])
    won: dict[str, list[bool]] = defaultdict(list)
    for pair, better in zip(pairs, right > wrong, strict=True):
        won[pair["sort"]].append(bool(better))
    shares = {sort: round(float(np.mean(values)), 3) for sort, values in won.items()}
    share = round(float(np.mean(right > wrong)), 3)
    return {
        "pairs": len(pairs),
        "all": share,
        "by_sort": shares,
        "static_encoder": _by_vectors(pairs),
        "held_out_frames": _frames(reranker),
    }


def _by_vectors(pairs: Sequence[dict[str, str]]) -> float:
    """Share of minimal pairs that the bundled encoder has right: it sees order by position weights alone."""
    encoder = StaticEncoder.load()
    query, right, wrong = (
        encoder.encode([pair[side] for pair in pairs]) for side in ("query", "right", "wrong")
    )
    return round(float(np.mean((query * (right - wrong)).sum(axis=1) > 0)), 3)


def _frames(reranker: OnnxReranker) -> dict[str, float]:
    """The same on frames that were kept from training: the right passage before the exchanged one."""
    won: dict[str, list[bool]] = defaultdict(list)
    for pair in held_out_pairs(FRAMES, SENSES):
        right, wrong = reranker.score(pair.query, [pair.right, pair.wrong])
        won[pair.sort].append(bool(right > wrong))
    every = [value for values in won.values() for value in values]
    return {sort: round(float(np.mean(values)), 3) for sort, values in {"all": every, **won}.items()}


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Pairs a second by length, in turn with sentence-transformers on a body of the same size and weights."""
    ours = OnnxReranker(options.reranker, window=384)
    rounds: dict[str, dict[int, list[float]]] = {"ours int8": defaultdict(list)}
    theirs = None if options.encoder is None else _sentence_transformers(options.encoder)
    if theirs is not None:
        rounds["sentence-transformers float32"] = defaultdict(list)
    for _ in range(options.rounds):
        for length in LENGTHS:
            query = _text(8, 0)  # one: a short list is of one question
            pairs = [(query, _text(length - 12, n + 1)) for n in range(32)]
            rounds["ours int8"][length].append(_rate(lambda p=pairs: ours.score_pairs(p), len(pairs)))
            if theirs is not None:
                rounds["sentence-transformers float32"][length].append(
                    _rate(lambda p=pairs: theirs.predict(p, show_progress_bar=False), len(pairs))
                )
    rates = {
        name: {length: round(float(np.median(r)), 1) for length, r in by.items()}
        for name, by in rounds.items()
    }
    query, latency = _text(10, 0), {}
    bundled = OnnxReranker(options.reranker)
    for depth in DEPTHS:
        passages = [_text(116, n) for n in range(depth)]
        times = [_milliseconds(lambda p=passages: bundled.score(query, p)) for _ in range(options.rounds * 3)]
        latency[depth] = {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95, 99)}
    return {
        "pairs_per_second": rates,
        "milliseconds_by_depth_at_128_tokens": latency,
        "rounds": options.rounds,
    }


def budget(options: argparse.Namespace) -> dict[str, Any]:
    """Time taken and depth reached under each budget: 100 candidates of 128 tokens, ten calls to learn."""
    reranker, cost = OnnxReranker(options.reranker), CostModel()
    passages = [_text(116, n) for n in range(100)]
    for n in range(10):
        score_within(reranker, _text(10, n), passages[:20], budget_ms=1e6, cost=cost)
    rows = {}
    for milliseconds in BUDGETS:
        calls = [
            score_within(reranker, _text(10, n), passages, budget_ms=milliseconds, cost=cost)
            for n in range(options.rounds * 6)
        ]
        taken = [call.elapsed_ms for call in calls]
        rows[milliseconds] = {
            "p50_ms": round(float(np.percentile(taken, 50)), 1),
            "p99_ms": round(float(np.percentile(taken, 99)), 1),
            "scored_median": int(np.median([call.scored for call in calls])),
        }
    return {"budgets": rows, "calls": options.rounds * 6}


def main() -> None:
    """Read the options, measure one part, print and write it."""
    parts = {"quality": quality, "probe": probe, "speed": speed, "budget": budget}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=sorted(parts))
    parser.add_argument("--reranker", type=Path, default=bundled_model())
    parser.add_argument("--data", type=Path, help="folder of BEIR folders")
    parser.add_argument("--corpora", nargs="+", default=CORPORA, choices=CORPORA)
    parser.add_argument("--encoder", type=Path, help="BERT folder to run in sentence-transformers beside")
    parser.add_argument("--against", type=Path, help="another export of the model, to compare quality with")
    parser.add_argument("--queries", type=int, default=10**9, help="queries a corpus, drawn at random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = parts[options.part](options) | {"environment": environment()}
    Console().print_json(json.dumps(found))
    _write(options.out, found)


def _sentence_transformers(encoder: Path) -> Any:
    """The same body as a CrossEncoder; its head is new, which costs the same time."""
    from sentence_transformers import CrossEncoder

    return CrossEncoder(str(encoder), num_labels=1, device="cpu")


def _text(words: int, seed: int) -> str:
    """Common words, one token each."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, size=max(1, words)))


def _milliseconds(call: Any) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1e3


def _rate(call: Any, pairs: int) -> float:
    """Pairs a second of one call."""
    return pairs / (_milliseconds(call) / 1e3)


if __name__ == "__main__":
    main()
