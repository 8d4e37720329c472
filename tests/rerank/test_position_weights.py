"""What a token counts by its place."""

from __future__ import annotations

import numpy as np
import pytest

from rerank.errors import InvalidInputError
from rerank.position_weights import position_weights


def test_they_fall_from_one_by_the_square_root() -> None:
    weights = position_weights(8.0, places=25)
    assert weights.dtype == np.float32
    assert weights[[0, 8, 24]].tolist() == pytest.approx([1, 2**-0.5, 0.5])
    assert (np.diff(weights) < 0).all()


@pytest.mark.parametrize("wrong", [{"decay": 0.0}, {"decay": float("nan")}, {"places": 0}, {"places": 2.5}])
def test_what_they_cannot_be_made_of(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        position_weights(**wrong)  # type: ignore[arg-type]
