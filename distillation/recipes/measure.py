"""Measure encoders on BEIR folders: alone, with BM25, truncated, and beside a teacher.

    python -m distillation.recipes.measure DATA ENCODER... --json out.json [--teacher TEACHER --cache DIR]

Search is exact. BM25 is bm25s with an English stemmer and stop words. The hybrid is the mean of z-scores,
each taken over all documents for a query.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bm25s
import ir_measures
import numpy as np
import Stemmer  # type: ignore[import-not-found]
from ir_measures import R, nDCG
from numpy.typing import NDArray
from rich.console import Console

from distillation.cache import TeacherCache
from distillation.teacher import Teacher
from rerank.position_weights import position_weights
from retriever.encoder import StaticEncoder

SETS = ("scifact", "cranfield", "cacm", "med", "time", "wikiqa")
_MEASURES = (nDCG @ 10, R @ 100)
Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(slots=True)
class TestSet:
    """A corpus with judged queries, and BM25's scores for all pairs.

    :param name: the folder's name.
    :param passages: texts of the documents.
    :param queries: texts of the judged queries.
    :param qrels: judgments, query number → document number → grade, as strings for trec_eval.
    """

    name: str
    passages: list[str]
    queries: list[str]
    qrels: dict[str, dict[str, int]]
    _lexical: NDArray[np.float32] | None = field(default=None)

    @property
    def lexical(self) -> NDArray[np.float32]:
        """BM25 scores, float32 (queries, passages), computed once."""
        if self._lexical is None:
            self._lexical = _bm25(self.passages, self.queries)
        return self._lexical


def load_test_set(folder: Path, *, split: str = "test") -> TestSet:
    """Read a BEIR folder.

    :param folder: with corpus.jsonl, queries.jsonl and qrels/<split>.tsv.
    :param split: which judgments.
    :return: the set, with judged queries only.
    """
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    queries = {
        q["_id"]: q["text"] for q in map(json.loads, (folder / "queries.jsonl").open(encoding="utf-8"))
    }
    place = {document["_id"]: str(row) for row, document in enumerate(corpus)}
    judged: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8") as file:
        for query, document, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            judged.setdefault(query, {})[place[document]] = int(grade)
    names = [name for name in judged if any(grade > 0 for grade in judged[name].values())]
    passages = [f"{document.get('title', '')} {document['text']}".strip() for document in corpus]
    qrels = {str(row): judged[name] for row, name in enumerate(names)}
    return TestSet(folder.name, passages, [queries[name] for name in names], qrels)


def measure(encode: Encode, test: TestSet, *, hybrid: bool = True) -> dict[str, float]:
    """Measure vectors on one set, alone and with BM25.

    :param encode: texts to L2-normalised vectors.
    :param test: the set.
    :param hybrid: also measure with BM25.
    :return: "ndcg", "recall" and, with BM25, "hybrid_ndcg", "hybrid_recall".
    """
    dense = encode(test.queries) @ encode(test.passages).T
    found = _scores(dense, test)
    result = {"ndcg": found[0], "recall": found[1]}
    if hybrid:
        found = _scores((_z(dense) + _z(test.lexical)) / 2, test)
        result |= {"hybrid_ndcg": found[0], "hybrid_recall": found[1]}
    return result


def measure_all(encode: Encode, tests: Sequence[TestSet], *, hybrid: bool = True) -> dict[str, Any]:
    """Measure on several sets and take the mean.

    :return: set name → measures, and "mean".
    """
    table: dict[str, Any] = {test.name: measure(encode, test, hybrid=hybrid) for test in tests}
    first = next(iter(table.values()))
    table["mean"] = {key: float(np.mean([row[key] for row in table.values()])) for key in first}
    return table


def _scores(scores: NDArray[np.floating[Any]], test: TestSet) -> tuple[float, float]:
    """Return nDCG@10 and recall@100 of a score matrix, by trec_eval."""
    depth = min(100, scores.shape[1])
    top = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    run = {
        str(query): {str(row): float(scores[query, row]) for row in top[query]}
        for query in range(len(scores))
    }
    values = ir_measures.calc_aggregate(_MEASURES, test.qrels, run)
    return float(values[_MEASURES[0]]), float(values[_MEASURES[1]])


def _z(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each row with mean 0 and standard deviation 1."""
    spread = scores.std(axis=1, keepdims=True)
    standard: NDArray[np.float32] = (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-9)
    return standard


def _bm25(passages: Sequence[str], queries: Sequence[str]) -> NDArray[np.float32]:
    """Score all pairs with bm25s at its defaults."""
    stemmer = Stemmer.Stemmer("english")
    options = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(passages), **options), show_progress=False)
    words = bm25s.tokenize(list(queries), return_ids=False, **options)
    return np.stack([index.get_scores(query).astype(np.float32) for query in words])


def main() -> None:
    """Measure the encoders named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the BEIR folders")
    parser.add_argument("encoders", nargs="*", help="'bundled', folders or hub ids")
    parser.add_argument("--teacher", help="also measure this sentence-transformers model")
    parser.add_argument("--cache", type=Path, help="where the teacher's vectors are kept")
    parser.add_argument("--held-out", type=Path, help="measure on held-out sources of these pairs instead")
    parser.add_argument("--shares", type=float, nargs="*", default=[1.0, 0.5, 0.25], help="of the dimensions")
    parser.add_argument(
        "--decays", type=float, nargs="*", default=[], help="of position weights to try; 0 is without"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    tests = [load_test_set(options.data / name) for name in SETS if (options.data / name).is_dir()]
    if options.held_out:
        from distillation.recipes.held_out import held_out_sets

        tests = held_out_sets(options.held_out)
    results: dict[str, Any] = {}
    if options.teacher:
        teacher = Teacher(options.teacher, max_length=256)
        cache = TeacherCache.beside(options.cache, teacher)

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            cache.fill(teacher, texts)
            return np.asarray(cache.vectors[cache.rows(texts)], dtype=np.float32)

        results[teacher.name] = measure_all(encode, tests)
    for name in options.encoders:
        whole = StaticEncoder.load(name)
        for share in options.shares:
            encoder = whole.truncate(max(1, round(share * whole.dimensions)))
            for decay in options.decays or [None]:
                label = f"{name} {encoder.dimensions}d"
                if decay is not None:
                    label += f", decay {decay:g}"
                    encoder = encoder.with_position_weights(position_weights(decay) if decay else None)
                results[label] = measure_all(encoder.encode, tests)
    console = Console()
    for name, table in results.items():
        console.print(name, {key: round(value, 4) for key, value in table["mean"].items()})
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
