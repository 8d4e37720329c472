import numpy as np
import torch

from distillation.bags import TokenBags
from distillation.lexical import K1, B, BatchBM25, hybrid_scores


def bags_of(texts):
    lengths = [len(text) for text in texts]
    ids = np.array([token for text in texts for token in text], dtype=np.int32)
    return TokenBags(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def test_scores_follow_the_formula():
    passages = [[1, 1, 2], [2, 3], [4], [2, 4, 5, 5, 5]]
    scores = BatchBM25(bags_of(passages), 6).scores(
        bags_of([[1, 5, 5]]), bags_of(passages[:1] + passages[3:])
    )
    mean = 11 / 4

    def part(count, length, frequency):
        idf = np.log(1 + (4 - frequency + 0.5) / (frequency + 0.5))
        return idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))

    np.testing.assert_allclose(scores.numpy(), [[part(2, 3, 1), part(3, 5, 1)]], rtol=1e-5)


def test_both_halves_weigh_the_same():
    one, two = torch.randn(3, 50), torch.randn(3, 50)
    torch.testing.assert_close(hybrid_scores(one, two), hybrid_scores(two * 100 + 3, one))


def test_constant_scores_do_no_harm():
    scores = hybrid_scores(torch.randn(2, 5), torch.zeros(2, 5))
    assert torch.isfinite(scores).all()
