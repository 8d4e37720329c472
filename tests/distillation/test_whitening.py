import numpy as np

from distillation.whitening import whitening


def test_half_strength_whitens_and_none_changes_nothing():
    vectors = np.random.default_rng(0).standard_normal((500, 4)) * [1, 2, 3, 4]
    whole = vectors.astype(np.float32) @ whitening(vectors.astype(np.float32), 0.5)
    np.testing.assert_allclose(np.cov(whole.T), np.eye(4), atol=0.02)
    np.testing.assert_allclose(whitening(vectors.astype(np.float32), 0.0), np.eye(4), atol=1e-5)
