"""Measuring a retriever: metrics, the trade-off study, attribution, significance, reports, benchmarks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.attribution import Attribution, attribute, perfect_reranking
    from eval.datasets import (
        Dataset,
        load_beir,
        load_ir_datasets,
        load_questions,
        load_topics,
        write_beir,
    )
    from eval.evaluation import Evaluation, evaluate
    from eval.metrics import score
    from eval.questions import make_questions
    from eval.recommendation import Recommendation, recommend
    from eval.runs import read_qrels, read_run, write_qrels, write_run
    from eval.significance import Comparison, Interval, compare, interval
    from eval.study_result import Setting, TradeoffResult
    from eval.tradeoff import TradeoffStudy

__all__ = [
    "Attribution",
    "Comparison",
    "Dataset",
    "Evaluation",
    "Interval",
    "Recommendation",
    "Setting",
    "TradeoffResult",
    "TradeoffStudy",
    "attribute",
    "compare",
    "evaluate",
    "interval",
    "load_beir",
    "load_ir_datasets",
    "load_questions",
    "load_topics",
    "make_questions",
    "perfect_reranking",
    "read_qrels",
    "read_run",
    "recommend",
    "score",
    "write_beir",
    "write_qrels",
    "write_run",
]

_MODULES = {
    "attribution": ("Attribution", "attribute", "perfect_reranking"),
    "datasets": ("Dataset", "load_beir", "load_ir_datasets", "load_questions", "load_topics", "write_beir"),
    "evaluation": ("Evaluation", "evaluate"),
    "metrics": ("score",),
    "questions": ("make_questions",),
    "recommendation": ("Recommendation", "recommend"),
    "runs": ("read_qrels", "read_run", "write_qrels", "write_run"),
    "significance": ("Comparison", "Interval", "compare", "interval"),
    "study_result": ("Setting", "TradeoffResult"),
    "tradeoff": ("TradeoffStudy",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that the command line stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'eval' has no attribute {name!r}")
    return getattr(import_module(f"eval.{_HOMES[name]}"), name)
