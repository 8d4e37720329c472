import pytest

from retriever import Retriever, RetrieverConfig
from tests.factories import CORPUS, OverlapReranker, tiny_encoder


@pytest.fixture
def make(tmp_path):
    """Build a retriever over the small corpus; `path=True` makes it durable."""
    made = []

    def build(docs=CORPUS, *, path=None, reranker=None, **config):
        folder = tmp_path / "collection" if path is True else path
        retriever = Retriever.from_corpus(
            docs,
            path=folder,
            config=RetrieverConfig(**{"passage_overlap": 0, **config}),
            encoder=tiny_encoder(),
            reranker=reranker or OverlapReranker(),
        )
        made.append(retriever)
        return retriever

    build.made = made
    yield build
    for retriever in made:
        retriever.close()


@pytest.fixture
def reopen():
    """Open a collection that `make` built."""
    opened = []

    def build(path):
        retriever = Retriever.open(path, encoder=tiny_encoder(), reranker=OverlapReranker())
        opened.append(retriever)
        return retriever

    yield build
    for retriever in opened:
        retriever.close()
