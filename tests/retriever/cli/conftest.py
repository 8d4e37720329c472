import pytest
from typer.testing import CliRunner

from tests.factories import OverlapReranker, tiny_encoder


@pytest.fixture(autouse=True)
def overlap_reranker(monkeypatch):
    """Put a reranker that needs no model in the place of every one."""
    monkeypatch.setattr("rerank.load_reranker", lambda name: OverlapReranker(), raising=False)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory):
    """A tiny encoder on disk, for `--encoder`."""
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoder().save(folder)
    return str(folder)


@pytest.fixture
def run():
    """Run the command line in this process."""
    from retriever.cli.main import app

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def notes(tmp_path):
    """A folder of three notes."""
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "cat.md").write_text("# Pets\n\nThe cat sat on the mat.\n")
    (folder / "sub" / "stocks.txt").write_text("Stocks fell sharply today.\n")
    (folder / "storm.html").write_text("<title>Weather</title><p>Wind and storm over the sea.")
    return folder


@pytest.fixture
def collection(tmp_path, notes, encoder_folder, run):
    """The three notes, indexed."""
    folder = tmp_path / "collection"
    result = run("index", notes, "--out", folder, "--encoder", encoder_folder)
    assert result.exit_code == 0, result.output
    return folder
