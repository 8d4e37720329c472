"""What is fitted beside a reranker's weights."""

from __future__ import annotations

import numpy as np

from eval.bench.rerank_fit import fit_weight
from eval.bench.short_lists import ShortLists

DEPTH = 12


def lists(right_rows: list[int]) -> ShortLists:
    """Short lists whose first stage has the right document at a row, the scores falling evenly."""
    names = [f"q{number}" for number in range(len(right_rows))]
    return ShortLists(
        name="made",
        qrels={name: {f"d{row}": 1} for name, row in zip(names, right_rows, strict=True)},
        queries={name: name for name in names},
        ids={name: [f"d{row}" for row in range(DEPTH)] for name in names},
        texts={name: [f"d{row}" for row in range(DEPTH)] for name in names},
        scores={name: np.linspace(1.0, 0.0, DEPTH, dtype=np.float32) for name in names},
        vectors=dict.fromkeys(names),
        feedback=0.0,
    )


def told(made: ShortLists, rows: list[int]) -> dict[str, np.ndarray]:
    """Logits of a reranker that finds one row of each list to be right."""
    return {name: np.eye(DEPTH, dtype=np.float32)[row] for name, row in zip(made.ids, rows, strict=True)}


def test_a_reranker_that_knows_gets_as_much_as_it_needs() -> None:
    rows = [5, 6, 7, 8] * 5
    made = lists(rows)
    weight, tried = fit_weight([made], [told(made, rows)])
    assert tried[str(weight)] == max(tried.values()) == 1.0
    assert 0.0 < weight < 0.9  # more would be no better


def test_a_reranker_that_is_wrong_gets_nothing() -> None:
    made = lists([0] * 20)
    weight, _ = fit_weight([made], [told(made, [11] * 20)])
    assert weight == 0.0


def test_a_gain_within_its_own_error_is_none() -> None:
    # Right once more than wrong: too little to say that it helps.
    rows = [1] * 11 + [0] * 10
    made = lists(rows)
    weight, tried = fit_weight([made], [told(made, [1] * 21)])
    assert max(tried.values()) > tried["0.0"]
    assert weight == 0.0
