import numpy as np
import pytest

from distillation.cache import TeacherCache, text_keys
from retriever.errors import InvalidInputError


class CountingTeacher:
    name, dimensions, max_length = "counting", 4, 16

    def __init__(self):
        self.encoded = []

    def encode(self, texts, *, progress=None):
        self.encoded.extend(texts)
        return np.array([[len(text), 1, 2, 3] for text in texts], dtype=np.float32)


def test_texts_are_encoded_once(tmp_path):
    teacher = CountingTeacher()
    cache = TeacherCache.beside(tmp_path, teacher)
    assert cache.fill(teacher, ["a", "bb", "a"]) == 0
    assert cache.fill(teacher, ["bb", "ccc"]) == 0
    assert teacher.encoded == ["a", "bb", "ccc"]
    assert cache.vectors[cache.rows(["ccc", "a"]), 0].tolist() == [3, 1]
    assert cache.rows(["unseen"]).tolist() == [-1]


def test_another_process_reads_what_was_written(tmp_path):
    teacher = CountingTeacher()
    TeacherCache.beside(tmp_path, teacher).fill(teacher, ["a", "bb"])
    again = TeacherCache.beside(tmp_path, teacher)
    assert len(again) == 2
    assert again.vectors[again.rows(["bb"])][0].tolist() == [2, 1, 2, 3]


def test_a_torn_tail_is_passed_over_and_cut(tmp_path):
    teacher = CountingTeacher()
    cache = TeacherCache.beside(tmp_path, teacher)
    cache.fill(teacher, ["a", "bb"])
    with (cache.folder / "vectors.bin").open("ab") as file:
        file.write(b"\x00" * 11)  # a row and a bit, without its key
    again = TeacherCache.beside(tmp_path, teacher)
    assert len(again) == 2
    again.fill(teacher, ["ccc"])
    assert again.vectors[again.rows(["ccc"]), 0].tolist() == [3]
    assert again.vectors[again.rows(["a"]), 0].tolist() == [1]


def test_it_stops_when_told_and_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr("distillation.cache.BLOCK", 2)
    teacher = CountingTeacher()
    cache = TeacherCache.beside(tmp_path, teacher)
    texts = [str(number) for number in range(10, 15)]
    assert cache.fill(teacher, texts, until=lambda: True) == 3
    assert cache.fill(teacher, texts) == 0
    assert sorted(teacher.encoded) == texts


def test_the_vectors_of_another_teacher_are_refused(tmp_path):
    TeacherCache(tmp_path, name="one", dimensions=4, max_length=16)
    with pytest.raises(InvalidInputError, match="one.*use another folder"):
        TeacherCache(tmp_path, name="other", dimensions=4, max_length=16)


def test_keys_are_stable():
    assert text_keys(["retrieval"])[0] == text_keys(["retrieval", "x"])[0]
    assert len(set(text_keys([str(n) for n in range(1000)]).tolist())) == 1000
