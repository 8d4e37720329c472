import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distillation.teacher import Teacher, equal_length_batches, pool_states
from retriever.errors import InvalidInputError, ModelError, ModelNotFoundError
from tests.distillation.factories import teacher_folder

TEXTS = ["bal", "don dor dul bem", "", "gest gam bal bal bal bal bal", "fal"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
def test_batches_give_what_single_texts_give(folder, pooling):
    teacher = Teacher(folder, pooling=pooling, bfloat16=False)
    together = teacher.encode(TEXTS)
    apart = np.concatenate([teacher.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, apart, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_it_agrees_with_transformers(folder):
    from transformers import AutoModel

    teacher = Teacher(folder, bfloat16=False)
    ids = torch.tensor([teacher.tokenizer.encode("don dor dul").ids])
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder)(input_ids=ids)[0][0]
    expected = torch.nn.functional.normalize(states.mean(dim=0), dim=0)
    np.testing.assert_allclose(teacher.encode(["don dor dul"])[0], expected.numpy(), atol=1e-5)


def test_the_folder_says_how_to_pool_and_cut(tmp_path):
    teacher = Teacher(teacher_folder(tmp_path / "cls", pooling="first"))
    assert (teacher.pooling, teacher.max_length, teacher.name) == ("first", 48, "cls")


def test_long_texts_are_cut(folder):
    teacher = Teacher(folder, max_length=5, bfloat16=False)
    np.testing.assert_allclose(*teacher.encode(["bal bem bil don dor", "bal bem bil"]), atol=1e-6)


def test_threads_are_given_back(folder):
    before = torch.get_num_threads()
    Teacher(folder).encode(TEXTS)
    assert torch.get_num_threads() == before


def test_progress_counts_every_text(folder):
    counted = []
    Teacher(folder).encode(TEXTS, progress=counted.append)
    assert sum(counted) == len(TEXTS)


@given(st.lists(st.integers(0, 40), max_size=50))
def test_batches_hold_every_row_once_and_keep_the_budget(lengths):
    batches = equal_length_batches([[0] * length for length in lengths], budget=64)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= 64


def test_pooling_reads_the_mask():
    states = torch.arange(12, dtype=torch.float32).reshape(1, 4, 3)
    mask = torch.tensor([[1, 1, 0, 0]])
    assert pool_states(states, mask, "mean").tolist() == [[1.5, 2.5, 3.5]]
    assert pool_states(states, mask, "first").tolist() == [[0, 1, 2]]
    assert pool_states(states, mask, "last").tolist() == [[3, 4, 5]]


def test_bad_teachers_are_named(tmp_path, folder):
    with pytest.raises(ModelError, match="no config.json"):
        Teacher(tmp_path)
    with pytest.raises(ModelNotFoundError, match="no teacher at .not//a//model"):
        Teacher("not//a//model")
    with pytest.raises(InvalidInputError, match="'max' is unknown"):
        Teacher(folder, pooling="max")


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_folder_is_a_model_error(tmp_path, damaged):
    folder = teacher_folder(tmp_path / "tiny")
    (folder / damaged).write_bytes(b'{"a"')
    with pytest.raises(ModelError):
        Teacher(folder)
