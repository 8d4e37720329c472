"""The training mixture of the bundled encoder: which files, how much of each, and in what order."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distillation.sources import Pair, balanced_order, cloze_pairs, read_pairs, read_passages

# Pairs taken at most from a file. Small collections of real questions are taken whole; the large ones
# are many times as long and teach one style each.
LIMITS = {
    "enwiki_sections": 40_000,
    "enwiki_passages": 30_000,
    "documentation": 35_000,
    "wordnet_glosses": 20_000,
    "debian_packages": 12_000,
    "medquad": 8_000,
    "squad_questions": 20_000,
    "questions_mixed": 20_000,
    "natural_questions": 20_000,
    "documentation_faq": 20_000,
    "pubmedqa_questions": 20_000,
    "climate_claims": 20_000,
    "scifact_claims": 20_000,
}


def load_mixture(folder: str | Path, *, limits: dict[str, int] | None = None, seed: int = 0) -> list[Pair]:
    """Read the pairs of every file, each cut to its limit, interleaved so that any prefix is balanced.

    :param folder: holds `<name>.jsonl.gz` for each name in `limits`.
    :param limits: pairs taken at most from each file.
    :param seed: chooses which.
    :return: the pairs.
    """
    kept: list[Pair] = []
    place: list[float] = []
    for name, limit in (limits or LIMITS).items():
        path = Path(folder) / f"{name}.jsonl.gz"
        if name == "enwiki_passages":
            pairs = cloze_pairs(read_passages(path), source=name, seed=seed)
        else:
            pairs = read_pairs(path)
        order = balanced_order([pair.source for pair in pairs], seed=seed)[:limit]
        kept.extend(pairs[row] for row in order)
        place.extend((np.arange(len(order)) + 0.5) / len(order))
    return [kept[row] for row in np.argsort(place, kind="stable")]
