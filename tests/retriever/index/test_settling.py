"""A collection whose index changes as it grows; thresholds are lowered, the engines are the real ones."""

import numpy as np
import pytest

from retriever.index.tuning import pseudo_queries
from tests.factories import WORDS


def docs(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {"id": f"d{i}", "title": str(WORDS[i % 30]), "text": " ".join(rng.choice(WORDS, 12)) + "."}
        for i in range(count)
    ]


@pytest.mark.parametrize("engine", ["sq8", "refined", "ivf", "hnsw", "funnel"])
def test_an_engine_is_reached_tuned_explained_and_kept(make, reopen, tmp_path, monkeypatch, engine):
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 500)
    monkeypatch.setattr("retriever.index.settling._TUNED_FROM", 500)
    retriever = make(docs(1200), path=True, index=engine, target_recall=0.9)
    exact = make(docs(1200), index="flat")
    info = retriever.info()
    assert info.index == engine and info.index_reason.startswith("asked for; ")
    assert info.recall is not None and info.recall >= 0.9
    assert info.latency_ms is not None and info.vector_bytes > 0
    retriever.delete(["d3"])
    retriever.upsert([{"id": "d5", "title": "", "text": "zebra zebra wind"}])
    exact.delete(["d3"])
    exact.upsert([{"id": "d5", "title": "", "text": "zebra zebra wind"}])
    wanted = {result.id for result in exact.search("zebra wind", k=10, rerank=False)}
    found = {result.id for result in retriever.search("zebra wind", k=10, rerank=False)}
    assert len(wanted & found) >= 8 and "d5" in found
    retriever.close()
    again = reopen(tmp_path / "collection")
    assert again.info().index == engine and again.info().index_settings == info.index_settings
    assert {result.id for result in again.search("zebra wind", k=10, rerank=False)} == found


def test_auto_grows_from_one_to_the_next(make, monkeypatch):
    monkeypatch.setattr("retriever.index.choice.FLAT_UP_TO", 300)
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 500)
    retriever = make(docs(200), target_recall=0.5)
    assert retriever.info().index == "flat"
    retriever.add(docs(450)[200:])
    assert retriever.info().index == "fp16"
    retriever.add(docs(900)[450:])
    info = retriever.info()
    assert info.index == "refined" and "900 passages" in info.index_reason
    assert len(retriever.search("zebra", k=900, rerank=False)) == 900


def test_a_replay_measures_with_what_it_has_reached(make, reopen, tmp_path, monkeypatch):
    monkeypatch.setattr("retriever.index.choice.FLAT_UP_TO", 300)
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 300)
    monkeypatch.setattr("retriever.collection_vectors._REPLAYED", 100)
    make(docs(1200), path=True, target_recall=0.9).close()
    for name in ("vectors.json", "seal.json"):
        (tmp_path / "collection" / name).unlink()
    info = reopen(tmp_path / "collection").info()
    assert info.index == "refined" and info.recall >= 0.9


def test_what_memory_does_not_hold_in_full_becomes_a_funnel(make, monkeypatch):
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 500)
    retriever = make(docs(900), target_recall=0.5, memory_limit=15_000)
    assert retriever.info().index == "funnel" and "900 passages" in retriever.info().index_reason
    assert len(retriever.search("zebra", k=900, rerank=False)) == 900


def test_auto_keeps_exact_search_where_the_recall_is_missed(make, monkeypatch):
    monkeypatch.setattr("retriever.index.choice.FLAT_UP_TO", 300)
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 500)
    monkeypatch.setattr("retriever.index.settling.tune", missing)
    retriever = make(docs(900), target_recall=1.0)
    assert retriever.info().index == "fp16"
    assert "missed the recall" in retriever.info().index_reason


def missing(index, queries, sample, encode, *, passages, target):
    from retriever.index.tuning import Measured

    return Measured(0.5 if index.name == "refined" else 1.0, 1.0, passages, len(sample), len(queries))


def test_queries_are_titles_sentences_and_leading_words_in_turn():
    text = "One two three. Four five six seven eight nine ten eleven twelve."
    assert pseudo_queries([("Title", text), ("", text), ("", text), ("", "")]) == [
        "Title",
        "One two three.",
        "One two three. Four five six seven eight",
    ]


@pytest.mark.parametrize(("least", "searched"), [(100, 240), (400, 400), (5000, 1200)])
def test_recall_is_measured_on_more_passages_where_there_are_more(make, monkeypatch, least, searched):
    monkeypatch.setattr("retriever.index.choice.TRAINED_FROM", 500)
    monkeypatch.setattr("retriever.index.settling._TUNED_FROM", 500)
    monkeypatch.setattr("retriever.index.settling._SEARCHED_EXACTLY", least)
    monkeypatch.setattr("retriever.index.settling._ONE_IN", 5)
    info = make(docs(1200), index="refined", target_recall=0.5).info()
    assert info.measured_passages == (1200, searched)
