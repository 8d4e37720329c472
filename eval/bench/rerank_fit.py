"""Fit what a reranker's folder keeps beside its weights: share in the blend, calibration, and when to stop.

    python -m eval.bench.rerank_fit --lists lists.jsonl.gz --reranker retriever/models/reranker

All are fitted on lists that the training held out (the first `--held-out` of the file), each query reranked
over this project's own first stage in the pool of its source. The evaluation corpora are not looked at.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from eval.bench.short_lists import FloatArray, ShortLists
from eval.datasets import Dataset
from rerank.calibration import Calibration, expected_calibration_error
from rerank.onnx_runtime import OnnxReranker
from rerank.train.lists import RankingList, read_lists
from retriever import Retriever, RetrieverConfig
from retriever.types import Document

DEPTH = 50
TOLERANCES = (0.1, 0.3, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
STOPPING_LOSS = 0.002  # share of the nDCG that early stopping may cost on the lists it is fitted on
WEIGHTS = np.round(np.arange(0.0, 1.01, 0.05), 2)


def held_out_lists(lists: Sequence[RankingList], held_out: int, limit: int) -> list[ShortLists]:
    """Search each held-out query in the passages of its own source.

    :param lists: the training's lists, the held-out ones first.
    :param held_out: how many those are.
    :param limit: queries a source at most.
    :return: short lists by source.
    """
    pools: dict[str, dict[str, str]] = defaultdict(dict)
    for one in lists:
        if one.teachers:  # lists made of near copies of one passage are no corpus to search
            for text in one.passages:
                pools[one.kind].setdefault(text, f"p{len(pools[one.kind])}")
    found = []
    for kind, pool in sorted(pools.items()):
        asked = [one for one in lists[:held_out] if one.kind == kind and one.teachers][:limit]
        if not asked:
            continue
        qrels = {f"q{n}": _grades(one, pool) for n, one in enumerate(asked)}
        queries = {f"q{n}": one.query for n, one in enumerate(asked)}
        documents = [Document(id=name, text=text) for text, name in pool.items()]
        with Retriever.from_corpus(documents, config=RetrieverConfig(reranker=None)) as retriever:
            found.append(ShortLists.of(Dataset(kind, queries, qrels, documents), retriever, DEPTH))
    return found


def fit_weight(
    lists: Sequence[ShortLists], logits: Sequence[Mapping[str, FloatArray]]
) -> tuple[float, dict[str, float]]:
    """Choose the reranker's share: the best mean over sources, each counting the same.

    :param lists: short lists by source.
    :param logits: of their candidates.
    :return: the share, and the mean nDCG@10 of each share tried.
    """
    tried = {
        float(weight): float(
            np.mean([some.ndcg(scored, float(weight)) for some, scored in zip(lists, logits, strict=True)])
        )
        for weight in WEIGHTS
    }
    return max(tried, key=lambda weight: tried[weight]), {
        str(weight): round(value, 4) for weight, value in tried.items()
    }


def fit_calibration(
    lists: Sequence[ShortLists], logits: Sequence[Mapping[str, FloatArray]]
) -> tuple[Calibration, float]:
    """Fit logits to relevance over all candidates, each source counting the same.

    :param lists: short lists by source.
    :param logits: of their candidates.
    :return: the map, and its expected calibration error on the same lists.
    """
    scores, truth, weights = [], [], []
    for some, scored in zip(lists, logits, strict=True):
        flat = np.concatenate([scored[name] for name in some.ids])
        scores.append(flat)
        truth.append(np.concatenate([some.relevant(name) for name in some.ids]))
        weights.append(np.full(len(flat), 1.0 / len(flat)))
    x, y, w = np.concatenate(scores), np.concatenate(truth), np.concatenate(weights)
    fitted = Calibration.fit(x, y, weights=w * len(x) / w.sum())
    return fitted, expected_calibration_error(fitted.probability(x), y)


def fit_stopping(
    lists: Sequence[ShortLists], logits: Sequence[Mapping[str, FloatArray]], weight: float
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Choose how many risers `depth="auto"` may expect and still stop: the most that costs next to nothing.

    :param lists: short lists by source.
    :param logits: of their candidates.
    :param weight: share of the reranker in the blend.
    :return: the tolerance, and for each one tried the mean nDCG@10 and the share of the pairs read.
    """
    whole = float(np.mean([some.ndcg(scored, weight) for some, scored in zip(lists, logits, strict=True)]))
    pairs = sum(len(scores) for some in lists for scores in some.scores.values())
    tried: dict[float, tuple[float, float]] = {}
    for tolerance in TOLERANCES:
        gained, read = [], 0
        for some, scored in zip(lists, logits, strict=True):
            depths = some.settled(scored, weight, tolerance)
            gained.append(some.ndcg(scored, weight, depths))
            read += sum(depths.values())
        tried[tolerance] = (float(np.mean(gained)), read / pairs)
    kept = [tolerance for tolerance, (value, _) in tried.items() if value >= whole * (1 - STOPPING_LOSS)]
    chosen = max(kept, default=min(TOLERANCES))
    return chosen, {str(key): (round(value, 4), round(share, 3)) for key, (value, share) in tried.items()}


def main() -> None:
    """Read the options, fit, and write into the folder's config.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--reranker", type=Path, required=True)
    parser.add_argument("--held-out", type=int, default=240)
    parser.add_argument("--limit", type=int, default=20, help="queries a source")
    options = parser.parse_args()
    reranker = OnnxReranker(options.reranker)
    lists = held_out_lists(list(read_lists(options.lists)), options.held_out, options.limit)
    logits = [some.logits(reranker) for some in lists]
    weight, tried = fit_weight(lists, logits)
    calibration, error = fit_calibration(lists, logits)
    tolerance, stops = fit_stopping(lists, logits, weight)
    path = options.reranker / "config.json"
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    config |= {
        "recommended_weight": weight,
        "calibration": calibration.to_dict(),
        "stopping_tolerance": tolerance,
    }
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    by_source = {
        some.name: {"first_stage": round(some.ndcg(), 4), "blend": round(some.ndcg(scored, weight), 4)}
        for some, scored in zip(lists, logits, strict=True)
    }
    report = {
        "weight": weight,
        "by_weight": tried,
        "calibration_error": round(error, 4),
        "stopping": {"tolerance": tolerance, "ndcg_and_share_read": stops},
        "by_source": by_source,
    }
    Console().print_json(json.dumps(report))


def _grades(one: RankingList, pool: Mapping[str, str]) -> dict[str, int]:
    """The relevant passages of a list."""
    return {pool[text]: int(label) for text, label in zip(one.passages, one.labels, strict=True) if label > 0}


if __name__ == "__main__":
    main()
