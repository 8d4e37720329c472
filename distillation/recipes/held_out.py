"""Retrieval sets out of the sources that the bundled encoder never saw: what it is worth on other domains."""

from __future__ import annotations

from hashlib import md5
from pathlib import Path

from distillation.recipes.measure import TestSet
from distillation.recipes.mixture import HELD_OUT, LIMITS
from distillation.sources import Pair, read_pairs

QUERIES = 250  # a set; chosen by the hash of their text
SETS = {
    "web-questions": ("natural_questions", "questions_mixed/qed_nq_dev"),
    "covid-papers": ("questions_mixed/covidqa_papers",),
    "research-questions": ("pubmedqa_questions",),
    "drink": ("questions_mixed/se_beer", "questions_mixed/se_coffee"),
    "finance": ("questions_mixed/tatqa_text",),
    "climate-claims": ("climate_claims",),
    "music-manuals": (
        "documentation/lilypond_docs",
        "documentation/csound_manual",
        "documentation_faq/lilypond_docs",
    ),
    "accounting-manuals": (
        "documentation/gnucash_help",
        "documentation/kmymoney_kde",
        "documentation_faq/gnucash_help",
        "documentation_faq/kmymoney_kde",
    ),
}


def held_out_sets(folder: Path) -> list[TestSet]:
    """Make the sets: queries find their own passage among all passages of their sources.

    :param folder: holds the training pairs.
    :return: eight sets of at most `QUERIES` queries.
    """
    files = sorted({source.split("/")[0] for source in HELD_OUT} & set(LIMITS))
    pairs = [pair for name in files for pair in read_pairs(folder / f"{name}.jsonl.gz")]
    return [_set(name, [pair for pair in pairs if pair.source in sources]) for name, sources in SETS.items()]


def _set(name: str, pairs: list[Pair]) -> TestSet:
    """Make one set."""
    passages = list(dict.fromkeys(pair.positive for pair in pairs))
    place = {text: str(row) for row, text in enumerate(passages)}
    judged: dict[str, dict[str, int]] = {}
    for pair in pairs:
        judged.setdefault(pair.query, {})[place[pair.positive]] = 1
    queries = sorted(judged, key=lambda text: md5(text.encode(), usedforsecurity=False).hexdigest())[:QUERIES]
    return TestSet(name, passages, queries, {str(row): judged[query] for row, query in enumerate(queries)})
