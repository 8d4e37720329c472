import numpy as np
import pytest

from distillation.whitening import whiten, whitening
from retriever.errors import InvalidInputError
from tests.distillation.factories import encoder


def test_half_strength_whitens_and_none_changes_nothing():
    vectors = np.random.default_rng(0).standard_normal((500, 4)) * [1, 2, 3, 4]
    whole = vectors.astype(np.float32) @ whitening(vectors.astype(np.float32), 0.5)
    np.testing.assert_allclose(np.cov(whole.T), np.eye(4), atol=0.02)
    np.testing.assert_allclose(whitening(vectors.astype(np.float32), 0.0), np.eye(4), atol=1e-5)


def test_nothing_to_spread_over_is_named():
    for texts in ([], ["bal"], ["bal", "", "\u200b"]):
        with pytest.raises(InvalidInputError, match="have a vector; give at least two"):
            whiten(encoder(), texts, strength=0.1)
