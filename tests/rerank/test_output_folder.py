"""Where a model will be written is looked at before there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank.errors import InvalidInputError
from rerank.output_folder import check_output_folder, config_says


def test_a_new_or_empty_folder_is_left_as_it_was(tmp_path: Path) -> None:
    check_output_folder(tmp_path / "a" / "b", replaceable=lambda _: False)
    assert not (tmp_path / "a").exists()
    (tmp_path / "empty").mkdir()
    check_output_folder(tmp_path / "empty", replaceable=lambda _: False)
    assert list((tmp_path / "empty").iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInputError, match="is a file"):
        check_output_folder(tmp_path / "file", replaceable=lambda _: True)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        check_output_folder(tmp_path / "file" / "inside", replaceable=lambda _: True)


def test_only_what_may_be_replaced_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"kind": "mine"}', encoding="utf-8")
    check_output_folder(tmp_path, replaceable=lambda folder: config_says(folder, "kind", "mine"))
    with pytest.raises(InvalidInputError, match="other files"):
        check_output_folder(tmp_path, replaceable=lambda folder: config_says(folder, "kind", "other"))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1"])
def test_a_config_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    assert not config_says(tmp_path, "kind", "mine")
    assert not config_says(tmp_path / "absent", "kind", "mine")
