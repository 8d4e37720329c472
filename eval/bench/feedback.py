"""What relevance feedback gives and costs, by its share: many answers a query, and a single one.

    python -m eval.bench.feedback --data DATA --out eval/results/feedback.json

DATA/eval holds judged corpora; DATA/train the training pairs, of which those that the bundled encoder was not
trained on are asked for, each with the one passage that it came with. The bundled reranker reads 50
candidates.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from eval.bench.rerank import CORPORA
from eval.bench.rerank_fit import unseen_data
from eval.bench.short_lists import FloatArray, ShortLists
from eval.datasets import Dataset, load_beir
from eval.environment import environment
from eval.metrics import score
from rerank.onnx_runtime import OnnxReranker
from retriever import Retriever, RetrieverConfig
from retriever.reranking import bundled_model

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
DEPTH = 50
MEASURES = ("first_stage", "recall_100", "reranked", "auto", "read")


class _Remembering:
    """Scores every pair once, whatever list it is on."""

    def __init__(self, reranker: OnnxReranker) -> None:
        self._reranker = reranker
        self._known: dict[tuple[str, str], float] = {}

    def score(self, query: str, passages: Sequence[str]) -> FloatArray:
        return self.score_pairs([(query, passage) for passage in passages])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        missing = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        if missing:
            scores = self._reranker.score_pairs(missing)
            self._known.update(zip(missing, scores.tolist(), strict=True))
        return np.array([self._known[pair] for pair in pairs], dtype=np.float32)


def measure(data: Dataset, reranker: OnnxReranker, shares: Sequence[float]) -> dict[str, dict[str, float]]:
    """Measure one corpus with each share.

    :param data: queries, judgments and documents.
    :param reranker: reads the candidates.
    :param shares: of the feedback, after fusion and after reranking alike.
    :return: share to nDCG@10 of the first stage, its recall@100, nDCG@10 reranked, with `depth="auto"`, and
        the share of the candidates that this reads.
    """
    remembering, weight = _Remembering(reranker), reranker.recommended_weight
    found = {}
    for share in shares:
        config = RetrieverConfig(reranker=None, feedback=share)
        with Retriever.from_corpus(data.documents or (), config=config) as retriever:
            long = ShortLists.of(data, retriever, 100)
            lists = ShortLists.of(data, retriever, DEPTH)
        logits = lists.logits(remembering)
        seen, read = lists.read(logits, weight, float(reranker.config["stopping_tolerance"]))
        found[str(share)] = {
            "first_stage": round(lists.ndcg(), 4),
            "recall_100": round(float(score(long.qrels, long.ids, ["R@100"]).values["R@100"].mean()), 4),
            "reranked": round(lists.ndcg(logits, weight), 4),
            "auto": round(lists.ndcg(seen, weight), 4),
            "read": round(read, 3),
        }
    return found


def _measured(
    sets: Iterable[Dataset], reranker: OnnxReranker, shares: Sequence[float]
) -> dict[str, dict[str, dict[str, float]]]:
    """Measure several corpora and take the mean."""
    found = {}
    for data in sets:
        found[data.name] = measure(data, reranker, shares)
        Console(stderr=True).print(data.name, found[data.name])
    mean = {
        str(share): {
            name: round(float(np.mean([of[str(share)][name] for of in found.values()])), 4)
            for name in MEASURES
        }
        for share in shares
    }
    return {**found, "mean": mean}


def main() -> None:
    """Measure the shares on both kinds of sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with eval and train")
    parser.add_argument("--corpora", nargs="*", default=CORPORA)
    parser.add_argument("--queries", type=int, default=200, help="training pairs a file")
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES)
    parser.add_argument("--reranker", type=Path, default=bundled_model())
    parser.add_argument("--out", type=Path, help="write the figures here")
    options = parser.parse_args()
    reranker = OnnxReranker(options.reranker)
    judged = (load_beir(options.data / "eval" / name) for name in options.corpora)
    result: dict[str, Any] = {
        "judged": _measured(judged, reranker, options.shares),
        "single_answers": _measured(
            unseen_data(options.data / "train", options.queries), reranker, options.shares
        ),
        "environment": environment(),
    }
    Console().print_json(json.dumps({key: result[key]["mean"] for key in ("judged", "single_answers")}))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
