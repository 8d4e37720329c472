"""Teachers score every list once; what they read is kept, and belongs to one version of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from rerank.errors import InvalidInputError, ModelNotFoundError
from rerank.train.lists import RankingList
from rerank.train.teachers import TeacherVectors, with_teachers
from tests.rerank.factories import Letters

LISTS = [
    RankingList("a bee", ("a bee", "a dab", "the ice"), (1.0, 0.0, 0.0)),
    RankingList("ice", ("the ice", "a dab"), (1.0, 0.0)),
]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that the teacher was given."""
    texts: list[str] = []
    monkeypatch.setattr("rerank.train.teachers.load_sentence_model", lambda *_, **__: Letters(texts))
    return texts


def test_encoders_score_by_cosine_and_read_each_text_once(read: list[str], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    scored = with_teachers(LISTS, ["some/letters"], tmp_path, progress=lambda *at: steps.append(at))
    assert [one.labels for one in scored] == [one.labels for one in LISTS]
    assert scored[0].teachers["letters"][0] == pytest.approx(1.0, abs=1e-3)
    assert np.argmax(scored[1].teachers["letters"]) == 0
    assert sorted(read) == sorted({"a bee", "a dab", "the ice", "ice"})
    assert steps == [(4, 4)]
    assert with_teachers(LISTS, ["some/letters"], tmp_path) == scored
    assert len(read) == 4


def test_bm25_scores_by_words(tmp_path: Path) -> None:
    first, second = with_teachers(LISTS, ["bm25"], tmp_path)
    assert np.argmax(first.teachers["bm25"]) == 0
    assert second.teachers["bm25"][0] > 0 == second.teachers["bm25"][1]


def test_what_lists_have_scores_of_is_not_loaded(tmp_path: Path) -> None:
    scored = with_teachers(LISTS, ["bm25"], tmp_path)
    assert with_teachers(scored, ["bm25"], tmp_path) == scored
    with pytest.raises(ModelNotFoundError, match="no teacher .* can be loaded"):
        with_teachers(LISTS, [tmp_path / "no/such"], tmp_path)


def test_another_version_of_a_teacher_does_not_meet_old_vectors(
    read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TeacherVectors("letters", tmp_path)(["a"])
    monkeypatch.setattr(Letters, "max_seq_length", 64)
    monkeypatch.setattr(Letters.tokenizer, "get_vocab", lambda: {"a": 0})
    with pytest.raises(InvalidInputError, match="vectors of another teacher"):
        TeacherVectors("letters", tmp_path)
