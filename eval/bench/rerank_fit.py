"""Fit what a reranker's folder keeps beside its weights: share in the blend, calibration, and when to stop.

    python -m eval.bench.rerank_fit --data DATA/train --reranker retriever/models/reranker

All are fitted on training pairs that the bundled encoder was not trained on (it took only a part of the large
files), each query reranked over this project's own first stage. On pairs that it was trained on, the first
stage is better than it will ever be again, and gets too great a share. Share and calibration are fitted
without relevance feedback: a pair has a single right passage, where feedback by its nature takes away, and
the share would make up for that. When to stop is fitted with it, as it is used. No evaluation corpus is
looked at.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distillation.recipes.mixture import load_mixture
from distillation.sources import Pair, cloze_pairs, read_pairs, read_passages
from eval.bench.short_lists import FloatArray, ShortLists
from eval.datasets import Dataset
from eval.environment import environment
from rerank.calibration import Calibration, expected_calibration_error
from rerank.onnx_runtime import OnnxReranker
from retriever import Retriever, RetrieverConfig
from retriever.types import Document

DEPTH = 50
FILES = (
    "medquad",
    "documentation",
    "enwiki_sections",
    "debian_packages",
    "enwiki_passages",
    "wordnet_glosses",
)  # of which the encoder's recipe takes a part
DISTRACTORS = 6_000  # further passages of the file that a query is searched in
TOLERANCES = (0.1, 0.3, 0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
READ = 0.5  # share of the pairs that early stopping may read here
WEIGHTS = np.round(np.arange(0.0, 1.01, 0.05), 2)


def unseen_lists(folder: Path, queries: int, config: RetrieverConfig) -> list[ShortLists]:
    """Search with queries that the bundled encoder was not trained on, in passages of their own file.

    :param folder: holds the training pairs.
    :param queries: how many a file, chosen by the hash of their text.
    :param config: how they are searched.
    :return: short lists by file.
    """
    found = []
    for data in unseen_data(folder, queries):
        with Retriever.from_corpus(data.documents or (), config=config) as retriever:
            found.append(ShortLists.of(data, retriever, DEPTH))
    return found


def unseen_data(folder: Path, queries: int) -> Iterator[Dataset]:
    """Make data sets of queries that the bundled encoder was not trained on, with passages of their own file.

    :param folder: holds the training pairs.
    :param queries: how many a file, chosen by the hash of their text.
    :return: a set a file.
    """
    seen = {pair.query for pair in load_mixture(folder)}
    for name in FILES:
        path = folder / f"{name}.jsonl.gz"
        if name == "enwiki_passages":
            pairs = cloze_pairs(read_passages(path), source=name, seed=0)
        else:
            pairs = read_pairs(path)
        asked = sorted({pair.query for pair in pairs} - seen, key=_hash)[:queries]
        qrels = _qrels(pairs, asked)
        wanted = {text for grades in qrels.values() for text in grades}
        others = sorted({pair.positive for pair in pairs} - wanted, key=_hash)[:DISTRACTORS]
        documents = [Document(id=text, text=text) for text in [*sorted(wanted, key=_hash), *others]]
        yield Dataset(name, {query: query for query in asked}, qrels, documents)


def _hash(text: str) -> str:
    """A stable place in an arbitrary order."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _qrels(pairs: Sequence[Pair], asked: Sequence[str]) -> dict[str, dict[str, int]]:
    """The relevant passages of each query; a passage's text is its id."""
    qrels: dict[str, dict[str, int]] = {query: {} for query in asked}
    for pair in pairs:
        if pair.query in qrels:
            qrels[pair.query][pair.positive] = 1
    return qrels


def fit_weight(
    lists: Sequence[ShortLists], logits: Sequence[Mapping[str, FloatArray]]
) -> tuple[float, dict[str, float]]:
    """Choose the reranker's share: the least that is no worse than the best one.

    Means are over sources, each counting the same; no worse is within one standard error of the difference,
    query by query (the rule of Breiman et al. 1984, "Classification and Regression Trees").
    The first stage is the safer half where texts are unlike those that a reranker learnt from.

    :param lists: short lists by source.
    :param logits: of their candidates.
    :return: the share, and the mean nDCG@10 of each share tried.
    """
    tried = {
        float(weight): [
            some.ndcg_by_query(scored, float(weight)) for some, scored in zip(lists, logits, strict=True)
        ]
        for weight in WEIGHTS
    }
    means = {weight: float(np.mean([found.mean() for found in by])) for weight, by in tried.items()}
    best = max(means, key=lambda weight: means[weight])
    for weight in sorted(means):
        behind = [ahead - found for ahead, found in zip(tried[best], tried[weight], strict=True)]
        error = float(np.sqrt(sum(gap.var() / len(gap) for gap in behind))) / len(behind)
        if means[best] - means[weight] <= error:
            break
    return weight, {str(one): round(value, 4) for one, value in means.items()}


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
    """Choose how many risers `depth="auto"` may expect and still stop: the fewest for which half is read.

    :param lists: short lists by source.
    :param logits: of their candidates.
    :param weight: share of the reranker in the blend.
    :return: the tolerance, and for each one tried the mean nDCG@10 and the share of the pairs read.
    """
    tried: dict[float, tuple[float, float]] = {}
    for tolerance in TOLERANCES:
        read = [some.read(scored, weight, tolerance) for some, scored in zip(lists, logits, strict=True)]
        gained = [some.ndcg(seen, weight) for some, (seen, _) in zip(lists, read, strict=True)]
        tried[tolerance] = (float(np.mean(gained)), float(np.mean([share for _, share in read])))
    chosen = min(
        (tolerance for tolerance, (_, read) in tried.items() if read <= READ), default=TOLERANCES[-1]
    )
    return chosen, {str(key): (round(value, 4), round(share, 3)) for key, (value, share) in tried.items()}


def main() -> None:
    """Read the options, fit, and write into the folder's config.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training pairs")
    parser.add_argument("--reranker", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=200, help="queries a file")
    parser.add_argument("--out", type=Path, help="write the report here too")
    options = parser.parse_args()
    reranker = OnnxReranker(options.reranker)
    plain = RetrieverConfig(reranker=None, feedback=0.0)
    lists = unseen_lists(options.data, options.queries, plain)
    logits = [some.logits(reranker) for some in lists]
    weight, tried = fit_weight(lists, logits)
    calibration, error = fit_calibration(lists, logits)
    fed_back = unseen_lists(options.data, options.queries, RetrieverConfig(reranker=None))
    tolerance, stops = fit_stopping(fed_back, [some.logits(reranker) for some in fed_back], weight)
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
        "environment": environment(),
    }
    Console().print_json(json.dumps(report))
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
