import numpy as np
import pytest

from distillation.distilling import distill
from distillation.reduction import principal_components
from distillation.tables import token_rows
from distillation.teacher import Teacher
from distillation.weighting import (
    counted_probabilities,
    sif_weights,
    zipf_probabilities,
)
from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError, InvalidTypeError
from tests.distillation.factories import teacher_folder, tokenizer


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return Teacher(teacher_folder(tmp_path_factory.mktemp("models") / "tiny"), bfloat16=False)


def test_rows_are_the_teachers_vectors_of_single_tokens(teacher):
    encoder = distill(teacher, dimensions=32, pca=False, weighting="none")
    np.testing.assert_allclose(encoder.encode(["bal", "gest"]), teacher.encode(["bal", "gest"]), atol=1e-4)


def test_what_is_made_can_be_saved_and_loaded(teacher, tmp_path):
    encoder = distill(teacher, dimensions=8)
    encoder.save(tmp_path / "made")
    loaded = StaticEncoder.load(tmp_path / "made")
    np.testing.assert_allclose(loaded.encode(["bal don"]), encoder.encode(["bal don"]), atol=1e-6)


def test_own_words_get_the_vector_of_their_pieces(teacher):
    encoder = distill(teacher, dimensions=32, pca=False, weighting="none", words=["balbem"])
    np.testing.assert_allclose(encoder.encode("balbem"), teacher.encode(["balbem"])[0], atol=1e-4)


def test_counted_frequencies_weigh_frequent_tokens_less(teacher):
    guessed = distill(teacher, dimensions=8)
    counted = distill(teacher, dimensions=8, corpus=(text for text in ["bal"] * 500 + ["don"]))
    row = {word: guessed.tokenizer.token_to_id(word) for word in ("bal", "don")}

    def ratio(encoder):
        norms = np.linalg.norm(token_rows(encoder), axis=1)
        return norms[row["bal"]] / norms[row["don"]]

    assert ratio(counted) < 0.1 * ratio(guessed)


def test_early_tokens_count_more_where_asked(teacher):
    plain, weighted = (distill(teacher, dimensions=8, position_decay=decay) for decay in (None, 2.0))
    assert np.array_equal(token_rows(plain), token_rows(weighted))
    assert plain.position_weights is None
    assert weighted.position_weights[:3].tolist() == pytest.approx([1, 1.5**-0.5, 2**-0.5])
    early = weighted.encode("bal don") @ weighted.encode(["bal", "don"]).T
    late = weighted.encode("don bal") @ weighted.encode(["bal", "don"]).T
    assert early[0] > late[0] and early[1] < late[1]


def test_progress_ends_at_the_number_of_rows(teacher):
    seen = []
    distill(teacher, dimensions=8, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 33}, "between 1 and the teacher's 32"),
        ({"weighting": "idf"}, "'idf' is unknown"),
        ({"dimensions": 8, "position_decay": 0.0}, "decay"),
    ],
)
def test_bad_options_are_named(teacher, options, message):
    with pytest.raises(InvalidInputError, match=message):
        distill(teacher, **options)


def test_components_are_centred_ordered_and_keep_distances():
    vectors = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32) * np.arange(1, 7)
    reduced = principal_components(vectors.astype(np.float32), 6)
    assert np.abs(reduced.mean(axis=0)).max() < 1e-5
    assert (np.diff(reduced.std(axis=0)) <= 0).all()
    np.testing.assert_allclose(
        np.linalg.norm(reduced[0] - reduced[1]), np.linalg.norm(vectors[0] - vectors[1]), rtol=1e-4
    )


def test_weights_follow_the_formula():
    assert sif_weights(np.array([1e-4, 0.0]), a=1e-4).tolist() == [0.5, 1.0]
    shares = zipf_probabilities(3)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[2] == pytest.approx(2)  # ranks 2 and 4
    counted = counted_probabilities(tokenizer(), ["bal bal don"])
    assert counted[tokenizer().token_to_id("bal")] / counted[tokenizer().token_to_id("gam")] == pytest.approx(
        3
    )


def test_pooling_is_that_asked_for_of_a_loaded_teacher_too(teacher, tmp_path):
    folder = teacher_folder(tmp_path / "tiny")
    given = distill(teacher, dimensions=8, pooling="first")
    named = distill(Teacher(folder, bfloat16=False, pooling="first"), dimensions=8)
    np.testing.assert_allclose(given.encode(["bal don"]), named.encode(["bal don"]), atol=1e-5)
    assert teacher.pooling == "mean"
    assert not np.allclose(
        given.encode(["bal don"]), distill(teacher, dimensions=8).encode(["bal don"]), atol=1e-2
    )


@pytest.mark.parametrize("corpus", [[], ["", " "]])
def test_a_corpus_without_text_is_refused_before_the_teacher_is_run(teacher, corpus):
    seen = []
    with pytest.raises(InvalidInputError, match="has no text"):
        distill(teacher, dimensions=8, corpus=corpus, progress=lambda *done: seen.append(done))
    assert not seen


@pytest.mark.parametrize("name", ["corpus", "words"])
def test_one_string_is_not_taken_letter_by_letter(teacher, name):
    with pytest.raises(InvalidTypeError, match=f"{name} is one string, 'bal don'; give a list"):
        distill(teacher, dimensions=8, **{name: "bal don"})
