import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.losses import (
    MASKED,
    cosines,
    duplicate_mask,
    margin_loss,
    matryoshka_widths,
    ranking_loss,
    target_distribution,
)
from retriever.errors import InvalidInputError


def similarities(seed: int, rows: int = 4, columns: int = 6) -> torch.Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def no_mask(rows: int, columns: int) -> torch.Tensor:
    return torch.zeros(rows, columns, dtype=torch.bool)


def test_loss_is_small_where_the_diagonal_wins():
    assert ranking_loss(torch.eye(3), torch.eye(3), no_mask(3, 3), temperature=0.05) < 1e-6
    assert ranking_loss(1 - torch.eye(3), torch.eye(3), no_mask(3, 3), temperature=0.05) > 10


def test_masked_passages_are_no_negatives():
    mask = torch.tensor([[False, True], [True, False]])
    assert ranking_loss(similarities(0, 2, 2), torch.eye(2), mask, temperature=0.1) == pytest.approx(
        0, abs=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_no_table_comes_nearer_to_the_teacher_than_the_teacher(seed):
    teacher, mask = similarities(seed), no_mask(4, 6)
    wanted = target_distribution(mask, teacher, temperature=0.1, teacher_weight=1.0)
    best = ranking_loss(teacher, wanted, mask, temperature=0.1)
    assert best < ranking_loss(similarities(seed + 1), wanted, mask, temperature=0.1)
    assert margin_loss(teacher, teacher) == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_targets_are_distributions_without_the_masked(seed, weight):
    mask = similarities(seed) > 0.5
    mask[torch.arange(4), torch.arange(4)] = False
    wanted = target_distribution(mask, similarities(seed + 1), temperature=0.05, teacher_weight=weight)
    torch.testing.assert_close(wanted.sum(dim=1), torch.ones(4))
    assert wanted[mask].sum() == 0


def test_mixture_is_the_weighted_sum_of_both_losses():
    given_, teacher, mask = similarities(2), similarities(3), no_mask(4, 6)
    losses = [
        ranking_loss(
            given_,
            target_distribution(mask, teacher, temperature=0.1, teacher_weight=weight),
            mask,
            temperature=0.2,
        )
        for weight in (0.0, 1.0, 0.25)
    ]
    assert losses[2] == pytest.approx(float(0.75 * losses[0] + 0.25 * losses[1]), rel=1e-5)


def test_a_masked_logit_is_finite():
    assert np.isfinite(MASKED)
    assert torch.isfinite(torch.log_softmax(torch.tensor([MASKED, 20.0]), dim=0)).all()


def test_cosines_are_cosines():
    left, right = torch.randn(3, 8), torch.randn(4, 8)
    expected = torch.nn.functional.cosine_similarity(left[:, None], right[None], dim=2)
    torch.testing.assert_close(cosines(left, right), expected, atol=0.01, rtol=0)


def test_margins_ignore_the_level():
    teacher = similarities(1, 3, 3)
    assert margin_loss(teacher + 0.25, teacher) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("dimensions", "widths"), [(256, [32, 64, 128, 256]), (300, [32, 64, 128, 256, 300]), (16, [16])]
)
def test_widths_double_up_to_the_full_one(dimensions, widths):
    assert matryoshka_widths(dimensions) == widths


def test_duplicates_are_masked_and_the_right_passage_never():
    # Rows 0 and 2 ask the same; rows 0 and 1 are answered by the same text; column 3 is a mined negative.
    mask = duplicate_mask(*(np.array(numbers) for numbers in ([7, 8, 7], [1, 1, 2], [1, 1, 2, 3])))
    assert mask.tolist() == [
        [False, True, True, False],
        [True, False, False, False],
        [True, False, False, False],
    ]


@pytest.mark.parametrize("smallest", [0, -4])
def test_a_width_that_doubling_never_widens_is_refused(smallest):
    with pytest.raises(InvalidInputError, match="smallest must be a whole number of at least 1"):
        matryoshka_widths(64, smallest=smallest)
