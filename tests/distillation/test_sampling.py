from collections import Counter

import numpy as np
import pytest

from distillation.sampling import BatchSampler, row_weights, topics
from retriever.errors import InvalidInputError

SOURCES = ["large"] * 900 + ["small"] * 100


def test_sources_weigh_by_the_square_root_of_their_size():
    weights = row_weights(SOURCES)
    assert weights.sum() == pytest.approx(1)
    assert weights[:900].sum() == pytest.approx(0.75)


def test_proportions_are_kept_in_the_batches():
    weights = row_weights(SOURCES, {"large": 1, "small": 3})
    sampler = BatchSampler(weights, np.zeros(1000, dtype=np.int64), batch_size=50, topics_per_batch=1, seed=0)
    drawn = Counter(SOURCES[row] for step in range(200) for row in sampler.draw(step))
    # Pairs drawn twice in one batch are kept once, which costs the small source a little.
    assert drawn["small"] / drawn["large"] == pytest.approx(3, rel=0.3)


@pytest.mark.parametrize(
    ("proportions", "message"),
    [
        ({"large": 1.0}, "lack the sources small"),
        ({"large": 1, "small": -1}, "negative"),
        ({"large": 1, "small": float("nan")}, "finite"),
    ],
)
def test_bad_proportions_are_named(proportions, message):
    with pytest.raises(InvalidInputError, match=message):
        row_weights(SOURCES, proportions)


def test_a_batch_depends_on_seed_and_step_alone():
    groups = np.arange(1000) % 10
    make = lambda seed: BatchSampler(  # noqa: E731
        row_weights(SOURCES), groups, batch_size=64, topics_per_batch=3, seed=seed
    )
    one, two = make(5), make(5)
    one.draw(0)
    assert np.array_equal(one.draw(7), two.draw(7))
    assert not np.array_equal(make(6).draw(7), two.draw(7))


def test_a_batch_stays_in_its_topics():
    groups = np.arange(1000) % 10
    sampler = BatchSampler(row_weights(SOURCES), groups, batch_size=64, topics_per_batch=3, seed=0)
    for step in range(5):
        batch = sampler.draw(step)
        assert len(set(groups[batch].tolist())) <= 3
        assert len(np.unique(batch)) == len(batch) <= 64


def test_topics_put_neighbours_together():
    generator = np.random.default_rng(0)
    centres = np.eye(4, 8, dtype=np.float32)
    vectors = np.repeat(centres, 50, axis=0) + 0.05 * generator.standard_normal((200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = topics(vectors, 4)
    assert all(len(set(groups[start : start + 50].tolist())) == 1 for start in range(0, 200, 50))
