"""The budget is kept, the best candidates are scored first, and what was not reached is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank.budget import CostModel, score_within
from rerank.errors import InvalidInputError


class Machine:
    """A clock and a reranker that moves it: so many milliseconds a token."""

    window = 128

    def __init__(self, ms_per_token: float, jitter: float = 0.0) -> None:
        self.now, self.ms, self.jitter = 0.0, ms_per_token, jitter
        self.rng = np.random.default_rng(0)
        self.windows: list[int] = []

    def clock(self) -> float:
        return self.now

    def count_tokens(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text.split()) for text in texts], dtype=np.int64)

    def score(self, query: str, passages: Sequence[str], *, window: int | None = None) -> np.ndarray:
        size = self.window if window is None else window
        self.windows.append(size)
        tokens = sum(min(size, len(text.split()) + len(query.split()) + 4) for text in passages)
        self.now += tokens * self.ms * (1 + self.jitter * self.rng.random()) / 1e3
        return np.array([float(len(text)) for text in passages], dtype=np.float32)


def passages(count: int, words: int) -> list[str]:
    return ["word " * words + str(row) for row in range(count)]


def test_a_generous_budget_scores_everything() -> None:
    machine = Machine(0.01)
    got = score_within(
        machine, "a b", passages(30, 50), budget_ms=10_000, cost=CostModel(), clock=machine.clock
    )
    assert got.scored == 30
    assert np.isfinite(got.scores).all()
    assert got.window == 128


@given(budget=st.floats(5, 400), ms=st.floats(0.005, 0.2), jitter=st.floats(0, 0.15))
def test_a_warm_machine_keeps_the_budget(budget: float, ms: float, jitter: float) -> None:
    machine, cost = Machine(ms, jitter), CostModel()
    for _ in range(6):  # what the first calls teach
        score_within(machine, "a b", passages(40, 60), budget_ms=1e6, cost=cost, clock=machine.clock)
    got = score_within(machine, "a b", passages(50, 60), budget_ms=budget, cost=cost, clock=machine.clock)
    assert got.elapsed_ms <= 1.15 * budget
    assert np.isfinite(got.scores[: got.scored]).all()
    assert np.isnan(got.scores[got.scored :]).all()


def test_short_time_narrows_the_window_before_it_gives_up_depth() -> None:
    machine, cost = Machine(0.1), CostModel()
    score_within(machine, "a b", passages(20, 120), budget_ms=1e6, cost=cost, clock=machine.clock)
    got = score_within(machine, "a b", passages(50, 120), budget_ms=100, cost=cost, clock=machine.clock)
    assert got.window is not None
    assert got.window < 128
    assert got.scored >= 8


def test_a_reranker_without_a_window_is_served_too() -> None:
    class Plain:
        def score(self, query: str, passages: Sequence[str]) -> np.ndarray:
            return np.arange(len(passages), dtype=np.float32)

    got = score_within(Plain(), "q", ["a", "b", "c"], budget_ms=1e5, cost=CostModel())
    assert got.window is None
    assert got.scored == 3


def test_nothing_to_score() -> None:
    assert score_within(Machine(1.0), "q", [], budget_ms=10, cost=CostModel()).scored == 0


@pytest.mark.parametrize("budget", [0, -5, float("nan")])
def test_a_budget_is_a_positive_number(budget: float) -> None:
    with pytest.raises(InvalidInputError, match="budget_ms"):
        score_within(Machine(1.0), "q", ["a"], budget_ms=budget, cost=CostModel())


def test_costs_are_learnt_and_kept(tmp_path: Path) -> None:
    cost = CostModel(tmp_path / "cost.json")
    for _ in range(30):
        cost.learn(np.array([100] * 4), 80.0)
    assert cost.predict(np.array([100])) == pytest.approx(20.0, rel=0.1)
    assert cost.predict(np.array([200])) == pytest.approx(40.0, rel=0.3)
    cost.save()
    assert CostModel(tmp_path / "cost.json").predict(np.array([100])) == pytest.approx(20.0, rel=0.1)
    (tmp_path / "cost.json").write_text("[broken")
    assert CostModel(tmp_path / "cost.json").predict(np.array([100])) > 0
