from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.bags import SparsePool, TokenBags, concatenate, pooled, tokenize
from distillation.tables import token_rows
from distillation.whitening import unit_vectors
from tests.distillation.factories import encoder


def bags_of(texts: list[list[int]]) -> TokenBags:
    lengths = [len(text) for text in texts]
    ids = np.array([token for text in texts for token in text], dtype=np.int32)
    return TokenBags(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 19), max_size=9), min_size=1, max_size=7))
def test_pool_is_the_mean_of_the_rows(texts):
    table = torch.randn(20, 4)
    pool = SparsePool(bags_of(texts))
    pooled = pool(table[pool.tokens])
    for text, vector in zip(texts, pooled, strict=True):
        expected = table[text].mean(dim=0) if text else torch.zeros(4)
        torch.testing.assert_close(vector, expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 19), max_size=9), min_size=1, max_size=7),
    st.lists(st.floats(0.125, 3, width=32), min_size=1, max_size=12),
)
def test_tokens_count_by_their_place(texts, weights):
    bags = replace(bags_of(texts), position_weights=np.array(weights, dtype=np.float32))
    chosen = np.arange(len(texts))[::-1]
    means = pooled(np.eye(20, dtype=np.float32), concatenate(bags.select(chosen), bags))
    for text, mean in zip([*texts[::-1], *texts], means, strict=True):
        expected = np.zeros(20)
        for place, token in enumerate(text):
            expected[token] += weights[min(place, len(weights) - 1)] / len(text)
        np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_texts_are_pooled_as_the_encoder_pools_them():
    made = encoder().with_position_weights([2.0, 1.0, 0.5])
    texts = ["bal bem don dor dul", "dul", "don € dor", ""]
    np.testing.assert_allclose(
        unit_vectors(token_rows(made), tokenize(made, texts)), made.encode(texts), atol=1e-6
    )


def test_gradient_agrees_with_dense_arithmetic():
    texts = [[1, 2, 2], [3], [], [2, 5]]
    pool = SparsePool(bags_of(texts))
    rows = torch.randn(len(pool.tokens), 3, dtype=torch.float32, requires_grad=True)
    target = torch.randn(4, 3)
    (pool(rows) * target).sum().backward()
    place = {int(token): row for row, token in enumerate(pool.tokens)}
    expected = torch.zeros_like(rows)
    for text, wanted in zip(texts, target, strict=True):
        for token in text:
            expected[place[token]] += wanted / len(text)
    torch.testing.assert_close(rows.grad, expected, atol=1e-5, rtol=1e-5)


def test_select_and_concatenate_keep_the_texts():
    bags = bags_of([[1], [2, 3], [], [4, 5, 6]])
    both = concatenate(bags.select(np.array([3, 0])), bags.select(np.array([2, 1])))
    assert both.ids.tolist() == [4, 5, 6, 1, 2, 3]
    assert both.offsets.tolist() == [0, 3, 4, 4, 6]


def test_tokenize_cuts_and_drops():
    made = encoder()
    words = made.tokenizer
    bags = tokenize(made, ["bal € bem", "", "don dor dul"], max_length=2)
    assert [words.id_to_token(token) for token in bags.ids] == ["bal", "don", "dor"]
    assert bags.offsets.tolist() == [0, 1, 1, 3]


def test_no_texts_give_no_bags():
    assert len(tokenize(encoder(), [])) == 0


def test_an_empty_batch_row_has_no_direction_but_is_finite():
    pool = SparsePool(bags_of([[], [1]]))
    assert pool(torch.ones(1, 2)).tolist() == [[0, 0], [1, 1]]
