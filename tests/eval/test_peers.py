"""Peers as first stages of the same study."""

import pytest

from eval.peers import peer_stages
from eval.tradeoff import TradeoffStudy
from retriever import RetrieverConfig
from retriever.errors import ModelNotFoundError
from tests.eval.factories import OverlapReranker, topical_dataset


def test_bm25s_finds_what_shares_words_and_nothing_else():
    pytest.importorskip("bm25s", reason="bm25s is not installed")
    pytest.importorskip("Stemmer", reason="PyStemmer is not installed")
    (make,) = peer_stages(["bm25s"])
    stage = make(topical_dataset())
    found = stage.retrieve("whales harbour", 100)
    assert found.ids
    assert all("whale" in text or "harbour" in text for text in found.texts)
    assert (stage.dimensions, stage.bytes_per_passage, stage.documents) == (None, 0.0, 60)
    assert list(found.scores) == sorted(found.scores, reverse=True)


def test_a_model2vec_folder_stands_beside_our_own_in_a_study(encoder):
    pytest.importorskip("model2vec", reason="model2vec is not installed")
    found = TradeoffStudy(
        topical_dataset(),
        depths=(0, 5),
        rerankers={"overlap": OverlapReranker()},
        config=RetrieverConfig(encoder=encoder, lexical=False),
        peers=peer_stages([encoder]),
    ).run()
    ours, theirs = (entry for entry in found.settings if entry.setting.depth == 0)
    assert ours.quality == pytest.approx(theirs.quality, abs=0.02)  # one table, two libraries
    assert theirs.config is None
    assert theirs.encode_seconds > 0
    assert len(found.settings) == 4


def test_wordllama_is_built_from_its_wheel():
    pytest.importorskip("wordllama", reason="wordllama is not installed")
    (make,) = peer_stages(["wordllama"])
    stage = make(topical_dataset())
    assert stage.dimensions == 256
    assert len(stage.retrieve("whale", 7).ids) == 7


def test_an_unknown_peer_is_named(tmp_path):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    (make,) = peer_stages([str(tmp_path / "nothing")])
    with pytest.raises(ModelNotFoundError, match="nothing' is neither a peer known by name"):
        make(topical_dataset())
