"""Training of rerankers; needs the extra `train`.

>>> from rerank.train import RankingList, train  # doctest: +SKIP
>>> lists = [RankingList("q", ("right", "wrong"), (1.0, 0.0))]
>>> train(lists, start="encoder", out="mine")  # doctest: +SKIP
"""

from __future__ import annotations

from rerank.train.lists import RankingList, read_lists, write_lists
from rerank.train.pairs import mine_lists, read_training_pairs

__all__ = [
    "RankingList",
    "Settings",
    "StudentSettings",
    "Trained",
    "mine_lists",
    "read_lists",
    "read_training_pairs",
    "shorten",
    "train",
    "write_lists",
]


def __getattr__(name: str) -> object:
    """Import what needs torch on first use (PEP 562)."""
    if name in ("Trained", "shorten", "train"):
        from rerank.train import api

        return getattr(api, name)
    if name == "Settings":
        from rerank.train.trainer import Settings

        return Settings
    if name == "StudentSettings":
        from rerank.train.student import StudentSettings

        return StudentSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
