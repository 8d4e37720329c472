"""What is read off short lists is what a search does."""

from __future__ import annotations

import numpy as np
import pytest

from eval.bench.feedback import measure
from eval.bench.short_lists import ShortLists
from eval.datasets import Dataset
from retriever import Retriever, RetrieverConfig
from retriever.types import Document
from tests.factories import WORDS, tiny_encoder


class Reading:
    """Counts shared words, with a little noise that hangs on the text alone."""

    recommended_weight = 0.6

    def __init__(self) -> None:
        self.config = {"stopping_tolerance": 1.0}
        self.scored = 0

    def score(self, query: str, passages: list[str]) -> np.ndarray:
        return self.score_pairs([(query, passage) for passage in passages])

    def score_pairs(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        self.scored += len(pairs)
        return np.array(
            [
                len(set(query.split()) & set(text.split())) + (sum(map(ord, text)) % 97) / 97
                for query, text in pairs
            ],
            dtype=np.float32,
        )


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    documents = [Document(id=f"d{i}", text=" ".join(rng.choice(WORDS, 8))) for i in range(300)]
    queries = {f"q{i}": " ".join(rng.choice(WORDS, 3)) for i in range(8)}
    qrels = {name: {f"d{row}": 1 for row in rng.choice(300, 5)} for name in queries}
    return Dataset("made", queries, qrels, documents)


@pytest.mark.parametrize("feedback", [0.0, 0.15])
def test_studies_order_as_a_search_does(data: Dataset, feedback: float) -> None:
    reranker = Reading()
    config = RetrieverConfig(feedback=feedback)
    with Retriever.from_corpus(
        data.documents or (), config=config, encoder=tiny_encoder(), reranker=reranker
    ) as retriever:
        lists = ShortLists.of(data, retriever, 50)
        logits = lists.logits(reranker)
        seen, share = lists.read(logits, 0.6, 1.0)
        counts = []
        for name, query in data.queries.items():
            whole = [found.id for found in retriever.search(query, k=10)]
            assert lists._order(name, logits, 0.6, None)[:10] == whole
            found, timings = retriever.search_timed(query, k=10, depth="auto")
            assert lists._order(name, seen, 0.6, None)[:10] == [one.id for one in found]
            assert timings.reranked == np.isfinite(seen[name]).sum()
            counts.append(timings.reranked)
        assert share == pytest.approx(np.mean(counts) / 50)
        assert 0.3 < share < 1.0


def test_every_share_is_measured_and_no_pair_scored_twice(data: Dataset, monkeypatch) -> None:
    monkeypatch.setattr("retriever.pipeline.load_encoder", lambda *_: tiny_encoder())
    reranker = Reading()
    found = measure(data, reranker, [0.0, 0.2])
    assert set(found) == {"0.0", "0.2"}
    assert found["0.0"] != found["0.2"]
    assert all(0 <= value <= 1 for row in found.values() for value in row.values())
    assert 50 * len(data.queries) < reranker.scored < 2 * 50 * len(data.queries)
