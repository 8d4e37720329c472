"""The training mixture of the bundled encoder: which files, how much of each, and in what order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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

# Share of a batch, in per cent. A file of ninety manuals must not count ninety times, and the small
# collections of real questions must not be learned by heart.
SHARES = {
    "enwiki_sections": 20,
    "enwiki_passages": 20,
    "documentation": 14,
    "squad_questions": 11,
    "questions_mixed": 11,
    "medquad": 6,
    "wordnet_glosses": 5,
    "debian_packages": 5,
    "natural_questions": 4,
    "documentation_faq": 2,
    "pubmedqa_questions": 2,
    "climate_claims": 2,
    "scifact_claims": 1,
}

# Whole sources that the bundled encoder never sees: what it is worth on other domains is measured on them.
HELD_OUT = frozenset(
    {
        "natural_questions",
        "questions_mixed/qed_nq_dev",
        "questions_mixed/covidqa_papers",
        "pubmedqa_questions",
        "questions_mixed/se_beer",
        "questions_mixed/se_coffee",
        "questions_mixed/tatqa_text",
        "climate_claims",
        "documentation/gnucash_help",
        "documentation/kmymoney_kde",
        "documentation/lilypond_docs",
        "documentation/csound_manual",
        "documentation_faq/lilypond_docs",
        "documentation_faq/kmymoney_kde",
        "documentation_faq/gnucash_help",
    }
)


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


def proportions(pairs: Sequence[Pair]) -> dict[str, float]:
    """Return each source's share of a batch.

    :param pairs: the mixture.
    :return: source → share: a file's `SHARES`, divided among its sources by the square root of their size.
    """
    sizes = Counter(pair.source for pair in pairs)
    roots: dict[str, float] = {}
    for source, size in sizes.items():
        file = source.split("/")[0]
        roots[file] = roots.get(file, 0.0) + size**0.5
    return {
        source: SHARES[source.split("/")[0]] * size**0.5 / roots[source.split("/")[0]]
        for source, size in sizes.items()
    }
