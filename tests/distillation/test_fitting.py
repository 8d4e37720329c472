import numpy as np
import pytest

from distillation.fitting import FittingConfig, fit, principal_basis
from distillation.tables import token_rows
from retriever.errors import InvalidInputError
from tests.distillation.factories import WORDS, encoder


def teacher_texts(count=400, dimensions=12):
    """Texts whose vectors are the means of hidden word vectors."""
    generator = np.random.default_rng(0)
    hidden = {word: generator.standard_normal(dimensions) for word in WORDS}
    texts = [" ".join(generator.choice(WORDS, 6)) for _ in range(count)]
    vectors = np.stack([np.mean([hidden[w] for w in text.split()], axis=0) for text in texts])
    return texts, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def agreement(model, texts, vectors):
    given, wanted = model.encode(texts), vectors.astype(np.float32)
    return float(np.corrcoef((given @ given.T).ravel(), (wanted @ wanted.T).ravel())[0, 1])


@pytest.mark.parametrize("loss", ["cosine", "mse"])
def test_the_table_learns_the_teachers_similarities(loss):
    texts, vectors = teacher_texts()
    config = FittingConfig(epochs=40, batch_size=64, learning_rate=0.05, loss=loss)
    fitted = fit(encoder(), texts, vectors, config=config)
    assert agreement(fitted, texts, vectors) > 0.9


def test_more_dimensions_than_the_teacher_are_left_empty():
    texts, vectors = teacher_texts()
    fitted = fit(encoder(), texts, vectors, dimensions=20, config=FittingConfig(epochs=1))
    table = token_rows(fitted)
    assert table.shape[1] == 20
    assert not table[:, 12:].any()
    assert table[:, :12].any(axis=0).all()


def test_leading_dimensions_carry_most():
    _, vectors = teacher_texts()
    basis = principal_basis(vectors, 12)
    energy = ((vectors.astype(np.float32) @ basis) ** 2).sum(axis=0)
    assert (np.diff(energy) <= 1e-3).all()
    np.testing.assert_allclose(basis.T @ basis, np.eye(12), atol=1e-5)


def test_same_seed_same_table():
    texts, vectors = teacher_texts(100)
    one, two = (fit(encoder(), texts, vectors, config=FittingConfig(epochs=2)) for _ in range(2))
    np.testing.assert_array_equal(token_rows(one), token_rows(two))


def test_what_does_not_fit_is_named():
    with pytest.raises(InvalidInputError, match="3 texts and 2 teacher vectors"):
        fit(encoder(), ["bal"] * 3, np.ones((2, 4), dtype=np.float32))


def test_texts_without_tokens_are_named():
    with pytest.raises(InvalidInputError, match="none of the 2 texts has a token"):
        fit(encoder(), ["", "\u200b"], np.ones((2, 4), np.float32))


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": "cosin"}, {"epochs": -1}, {"batch_size": 0}, {"max_length": 0}, {"seed": -1},
        {"learning_rate": 0.0}, {"learning_rate": float("nan")},
    ],
)  # fmt: skip
def test_settings_are_checked(changed):
    with pytest.raises(InvalidInputError, match=next(iter(changed))):
        FittingConfig(**changed)


def test_after_no_epoch_the_table_is_what_least_squares_make_of_it():
    texts, vectors = teacher_texts(100)
    fitted = fit(encoder(), texts, vectors, config=FittingConfig(epochs=0))
    assert agreement(fitted, texts, vectors) > agreement(encoder(), texts, vectors)


@pytest.mark.parametrize("dimensions", [0, -3])
def test_a_table_has_dimensions(dimensions):
    with pytest.raises(InvalidInputError, match="dimensions must be a whole number of at least 1"):
        fit(encoder(), *teacher_texts(10), dimensions=dimensions)


def test_vectors_that_are_not_finite_are_named():
    texts, vectors = teacher_texts(10)
    vectors[4, 2] = np.inf
    with pytest.raises(InvalidInputError, match="not finite, first in row 4"):
        fit(encoder(), texts, vectors)
