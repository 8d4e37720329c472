import pytest

from rerank.errors import ModelNotFoundError
from rerank.hub import model_folder


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the hub is asked for; it has everything."""
    names = []

    def fetch(name, *, allow_patterns):
        names.append((name, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    return names


def test_a_folder_is_taken_as_it_is(tmp_path, asked):
    assert model_folder(tmp_path, ["*.json"], called="encoder") == tmp_path
    assert asked == []


def test_a_hub_id_is_fetched(tmp_path, asked):
    assert model_folder("someone/model", ["*.json"], called="encoder") == tmp_path
    assert asked == [("someone/model", ["*.json"])]


def test_a_name_without_owner_is_of_the_one_given(asked):
    model_folder("all-MiniLM-L6-v2", ["*.json"], called="teacher", owner="sentence-transformers")
    assert asked == [("sentence-transformers/all-MiniLM-L6-v2", ["*.json"])]


@pytest.mark.parametrize("name", ["", "nosuch", "./nosuch", "/no/such", "~/nosuch", "no/such/folder"])
def test_what_can_be_no_hub_id_is_not_asked_for(name, asked):
    with pytest.raises(ModelNotFoundError, match="no reranker at .*give an existing folder or a hub id"):
        model_folder(name, ["*.json"], called="reranker")
    assert asked == []


def test_what_the_hub_says_is_told_in_one_line(monkeypatch):
    def fail(name, **_):
        raise OSError("no connection\nand a page of advice")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(
        ModelNotFoundError, match="no encoder 'no/such'.*no connection.*give its path"
    ) as info:
        model_folder("no/such", ["*.json"], called="encoder")
    assert "\n" not in str(info.value)
