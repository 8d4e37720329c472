import asyncio
import json
import threading

import numpy as np
import pytest

from rerank.cache import CachedReranker, PairCache
from retriever import Document, Retriever, RetrieverConfig
from retriever.errors import (
    ClosedError,
    CollectionExistsError,
    ConfigError,
    DocumentNotFoundError,
    DuplicateIdError,
    FilterError,
    InvalidInputError,
    InvalidTypeError,
    ModelError,
    ModelNotFoundError,
)
from tests.factories import CORPUS, OverlapReranker, tiny_encoder


def ids(results):
    return [result.id for result in results]


def test_both_stages_put_the_answer_first(make):
    results = make().search("the cat sat on the mat", k=3)
    assert ids(results)[0] == "cat"
    assert [result.rank for result in results] == [1, 2, 3]
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


def test_a_result_is_plain_json(make):
    result = make().search("zebra", k=1)[0]
    data = json.loads(json.dumps(result.to_dict()))
    assert data["id"] == "zebra"
    assert data["stages"]["reranked"]["rank"] == 1
    assert {"dense", "lexical", "fused", "reranked"} == set(data["stages"])
    assert result.model_dump() == result.to_dict()
    assert type(result.score) is float


def test_every_stage_reports_rank_and_score(make):
    stages = make().search("stocks fell", k=1)[0].stages
    assert stages.dense.rank >= 1 and -1.0001 <= stages.dense.score <= 1.0001
    assert stages.lexical.rank == 1 and stages.lexical.score > 0
    assert stages.fused.rank == 1
    assert stages.reranked.score == 1.0


@pytest.mark.parametrize("off", ["dense", "lexical"])
def test_each_half_runs_alone(make, off):
    retriever = make(**{off: False})
    result = retriever.search("stocks fell", k=1, rerank=False)[0]
    assert result.id == "stocks"
    assert getattr(result.stages, off) is None
    assert result.stages.reranked is None


@pytest.mark.parametrize("fusion", ["zscore", "rrf"])
def test_fusion_keeps_the_document_both_lists_put_first(make, fusion):
    assert make(fusion=fusion).search("zebra", k=1, rerank=False)[0].id == "zebra"


def test_more_than_the_corpus_gives_the_corpus(make):
    assert sorted(ids(make().search("cat", k=1000))) == sorted(doc["id"] for doc in CORPUS)


def test_depth_limits_what_the_reranker_reads(make):
    results, timings = make().search_timed("the cat", k=5, depth=2)
    assert timings.reranked == 2
    assert sum(result.stages.reranked is not None for result in results) == 2
    assert [result.stages.reranked is None for result in results] == [False, False, True, True, True]
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


def test_without_reranking_the_reranker_is_not_asked(make):
    reranker = OverlapReranker()
    results = make(reranker=reranker).search("cat", rerank=False)
    assert reranker.calls == 0
    assert all(result.stages.reranked is None for result in results)


def test_a_batch_shares_one_call_and_equals_single_searches(make):
    reranker = OverlapReranker()
    retriever = make(reranker=reranker)
    queries = ["the cat sat", "stocks today", "zebra"]
    batched = retriever.search_batch(queries, k=3)
    assert reranker.calls == 1
    for found, query in zip(batched, queries, strict=True):
        alone = retriever.search(query, k=3)
        assert ids(found) == ids(alone)
        # BLAS adds up a batch in another order than a single vector.
        assert [r.score for r in found] == pytest.approx([r.score for r in alone], abs=1e-5)
    assert retriever.search_batch([]) == []


def test_a_reranker_with_score_alone_will_do(make):
    class CountsZ:
        def score(self, query, passages):
            return np.asarray([passage.lower().count("z") for passage in passages], dtype=np.float32)

    results = make(reranker=CountsZ(), rerank_weight=1.0).search_batch(["cat", "dog"], k=1)
    assert ids(results[0]) == ids(results[1]) == ["zebra"]


@pytest.mark.parametrize("bad", [np.full(5, np.nan), np.zeros(3)])
def test_a_reranker_that_returns_nonsense_is_named(make, bad):
    class Broken:
        def score(self, query, passages):
            return bad

    with pytest.raises(ModelError, match="Broken returned scores"):
        make(reranker=Broken()).search("cat")


def test_async_searches_agree(make):
    retriever = make()

    async def both():
        return await retriever.asearch("zebra", k=2), await retriever.asearch_batch(["zebra"], k=2)

    one, many = asyncio.run(both())
    assert one == many[0] == retriever.search("zebra", k=2)


def test_filters_still_give_k_results(make):
    retriever = make()
    assert ids(retriever.search("cat", k=2, filter={"year": {"gte": 2021}})) != []
    found = retriever.search("cat", k=5, filter={"lang": "en", "year": {"gte": 2020}})
    assert sorted(ids(found)) == ["dog", "stocks"]
    assert retriever.search("cat", filter={"lang": "fr"}) == []
    with pytest.raises(FilterError, match="unknown filter operator 'above'"):
        retriever.search("cat", filter={"year": {"above": 3}})


@pytest.mark.parametrize(
    ("query", "options", "error", "message"),
    [
        ("", {}, InvalidInputError, "the query is empty"),
        ("  \n", {}, InvalidInputError, "the query is empty"),
        (3, {}, InvalidTypeError, "the query is a int"),
        ("cat", {"k": 0}, InvalidInputError, "k is 0; it must be at least 1"),
        ("cat", {"k": -1}, InvalidInputError, "at least 1"),
        ("cat", {"k": True}, InvalidTypeError, "k is a bool"),
        ("cat", {"k": 2.0}, InvalidTypeError, "k is a float"),
        ("cat", {"depth": 0}, InvalidInputError, "depth is 0"),
        ("cat", {"filter": "lang"}, FilterError, "a filter is a mapping"),
    ],
)
def test_bad_questions_say_what_is_wrong(make, query, options, error, message):
    with pytest.raises(error, match=message):
        make().search(query, **options)


def test_a_batch_of_one_string_is_a_mistake(make):
    with pytest.raises(InvalidTypeError, match="use search for one query"):
        make().search_batch("cat")


@pytest.mark.parametrize("docs", [[], iter(())])
def test_an_empty_corpus_is_refused(docs, tmp_path):
    with pytest.raises(InvalidInputError, match="the corpus is empty"):
        Retriever.from_corpus(docs, path=tmp_path / "new", encoder=tiny_encoder())
    assert not (tmp_path / "new").exists()


def test_a_duplicate_id_is_named_before_anything_is_written(tmp_path):
    docs = [("a", "cat"), ("b", "dog"), ("a", "zebra")]
    with pytest.raises(DuplicateIdError, match="'a' is given to two documents"):
        Retriever.from_corpus(docs, encoder=tiny_encoder())


def test_the_same_text_twice_is_kept_once(make):
    assert len(make(["the cat", "the dog", "the cat"])) == 2


def test_all_forms_of_documents(make):
    docs = ["the cat", ("two", "the dog"), {"text": "a bird"}, Document(id="four", text="the sea")]
    retriever = make(docs)
    assert len(retriever) == 4
    assert "two" in retriever and "four" in retriever and "none" not in retriever and 3 not in retriever
    assert retriever.get("two") == Document(id="two", text="the dog")
    assert [doc.text for doc in retriever] == ["the cat", "the dog", "a bird", "the sea"]


def test_get_of_an_unknown_id(make):
    with pytest.raises(DocumentNotFoundError, match="no document has the id 'nobody'"):
        make().get("nobody")


def test_a_generator_is_read_in_batches(make):
    seen = []
    docs = ((str(i), f"cat number {i}") for i in range(5000))
    retriever = Retriever.from_corpus(
        docs, encoder=tiny_encoder(), progress=lambda done, total: seen.append((done, total))
    )
    assert len(retriever) == 5000
    assert seen[-1] == (5000, None) and len(seen) > 1


def test_add_is_seen_by_the_next_search(make):
    retriever = make()
    assert retriever.add([("new", "green green green")]).added == 1
    assert retriever.search("green", k=1)[0].id == "new"


def test_add_refuses_an_existing_id_and_writes_nothing(make):
    retriever = make()
    with pytest.raises(DuplicateIdError, match="'cat' exists already; use upsert"):
        retriever.add([("new", "green"), ("cat", "another cat")])
    assert "new" not in retriever


def test_upsert_replaces_adds_and_leaves_alone(make):
    retriever = make()
    summary = retriever.upsert([CORPUS[0], ("dog", "green paper"), ("new", "five six")])
    assert (summary.added, summary.updated, summary.unchanged) == (1, 1, 1)
    assert retriever.search("green paper", k=1)[0].id == "dog"
    assert retriever.get("dog").title == ""
    assert all("ran" not in result.text for result in retriever.search("ran", k=10))
    assert len(retriever) == len(CORPUS) + 1


def test_delete_takes_documents_out_of_both_indexes(make):
    retriever = make()
    assert retriever.delete(["zebra", "nobody"]) == 1
    assert "zebra" not in ids(retriever.search("zebra", k=10))
    with pytest.raises(InvalidTypeError, match="put a single id in a list"):
        retriever.delete("cat")


def test_a_long_document_comes_back_with_its_best_passage(make):
    text = " ".join(["wind storm sea."] * 30 + ["zebra zebra zebra."] + ["wind storm sea."] * 30)
    retriever = make([("long", text), ("other", "the cat")], passage_tokens=32)
    assert retriever.collection.store.count_passages() > 3
    results = retriever.search("zebra", k=2)
    assert sorted(ids(results)) == ["long", "other"]
    best = next(result for result in results if result.id == "long")
    assert "zebra" in best.passage and len(best.passage) < len(text)
    assert best.text[slice(*best.span)] == best.passage


def test_many_passages_of_one_document_do_not_crowd_out_the_others(make):
    long = " ".join(["zebra red blue."] * 400)
    retriever = make(
        [("long", long), *((str(i), f"the cat {i}") for i in range(9))], passage_tokens=16, candidates=5
    )
    assert len(retriever.search("zebra", k=10)) == 10


def test_splitting_can_be_switched_off(make):
    text = "cat " * 200
    assert make([("a", text)], passage_tokens=None).collection.store.count_passages() == 1


def test_searches_agree_while_one_writes(make):
    retriever = make()
    errors = []

    def read():
        try:
            for _ in range(30):
                assert retriever.search("zebra", k=1)[0].id == "zebra"
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for i in range(30):
        retriever.upsert([(f"new{i}", f"cat {i} mat")])
        retriever.delete([f"new{i - 1}"])
    for reader in readers:
        reader.join()
    assert not errors
    assert len(retriever) == len(CORPUS) + 1


def test_a_document_changed_while_the_reranker_reads_comes_back_whole(make):
    class Meddler(OverlapReranker):
        def score_pairs(self, pairs):
            retriever.upsert([Document("zebra", "another text altogether", title="new", metadata={"v": 2})])
            return super().score_pairs(pairs)

    retriever = make([Document("zebra", "a zebra has stripes", title="old", metadata={"v": 1})])
    retriever = Retriever(retriever.collection, reranker=Meddler())
    (found,) = retriever.search("zebra")
    assert (found.title, found.text, found.metadata) == ("old", "a zebra has stripes", {"v": 1})
    assert found.text[slice(*found.span)] == found.passage
    (again,) = retriever.search("another text", rerank=False)
    assert (again.title, again.metadata) == ("new", {"v": 2})


def test_a_closed_retriever_says_so(make):
    retriever = make()
    retriever.close()
    retriever.close()
    with pytest.raises(ClosedError, match="the collection is closed"):
        retriever.search("cat")
    with pytest.raises(ClosedError, match="the collection is closed"):
        retriever.add(["dog"])


def test_save_and_open_give_the_same_results(make, reopen, tmp_path):
    retriever = make()
    retriever.save(tmp_path / "copy")
    assert reopen(tmp_path / "copy").search("zebra", k=3) == retriever.search("zebra", k=3)
    with pytest.raises(CollectionExistsError, match="exists and is not empty"):
        retriever.save(tmp_path / "copy")


def test_the_wrong_encoder_is_refused(make, tmp_path):
    make(path=True).close()
    with pytest.raises(ConfigError, match="was built with another encoder"):
        Retriever.open(tmp_path / "collection", encoder=tiny_encoder(seed=1))


def test_a_rebuild_takes_any_encoder_that_is_given(make, tmp_path):
    make(path=True).close()
    other = tiny_encoder(seed=1)
    config = RetrieverConfig(encoder="bundled", reranker=None)
    with pytest.raises(ConfigError, match="was built with another encoder"):
        Retriever.rebuild(tmp_path / "collection")
    with (
        Retriever.rebuild(tmp_path / "collection", encoder=other, reranker=OverlapReranker()) as rebuilt,
        Retriever.from_corpus(CORPUS, config=config, encoder=other) as fresh,
    ):
        rebuilt_found, found = (one.search("zebra", k=3, rerank=False) for one in (rebuilt, fresh))
        assert [one.id for one in rebuilt_found] == [one.id for one in found]
    with Retriever.open(tmp_path / "collection", encoder=other, reranker=OverlapReranker()) as opened:
        assert opened.search("zebra", k=1)[0].id == "zebra"


def test_more_dimensions_than_the_encoder_has():
    with pytest.raises(ConfigError, match="dimensions is 100000"):
        Retriever.from_corpus(["cat"], config=RetrieverConfig(dimensions=100_000))


def test_config_of_the_wrong_type():
    with pytest.raises(InvalidTypeError, match="config must be a RetrieverConfig, not dict"):
        Retriever.from_corpus(["cat"], config={})


def test_results_do_not_depend_on_when_documents_came(make):
    whole = make(CORPUS)
    grown = make(CORPUS[:2])
    grown.add(CORPUS[2:])
    for query in ("cat", "stocks today", "zebra one"):
        assert ids(whole.search(query)) == ids(grown.search(query))


def test_the_last_one_given_wins_in_a_stream_even_where_it_is_what_was_there(make):
    retriever = make()
    before = retriever.get("cat")
    changed = Document("cat", "the zebra flew", title="Pets")
    others = (Document(str(number), "storm over the sea") for number in range(4200))
    retriever.upsert(document for part in ([changed], others, [before]) for document in part)
    assert retriever.get("cat") == before


def test_ids_and_queries_may_come_from_a_generator(make):
    retriever = make()
    assert [ids(found) for found in retriever.search_batch((q for q in ["zebra"]), k=1)] == [["zebra"]]
    assert retriever.first_stage((q for q in ["zebra"]), limit=1)[0][0].id == "zebra"
    assert retriever.delete(id for id in ["zebra", "cat"]) == 2
    assert len(retriever) == len(CORPUS) - 2


@pytest.mark.parametrize("path", [True, None])
def test_an_id_that_no_document_can_have_is_not_found(make, path):
    retriever = make(path=path)
    assert "\ud800" not in retriever
    assert retriever.delete(["\ud800"]) == 0
    with pytest.raises(DocumentNotFoundError):
        retriever.get("\ud800")
    for wrong in ([1], 5, None):
        assert wrong not in retriever
        with pytest.raises(InvalidTypeError, match="strings"):
            retriever.get(wrong)


def test_a_list_that_cannot_be_written_leaves_no_folder(tmp_path):
    docs = [("a", "cat"), ("a", "dog")]
    config = RetrieverConfig(reranker=None)
    with pytest.raises(DuplicateIdError):
        Retriever.from_corpus(docs, path=tmp_path / "c", config=config, encoder=tiny_encoder())
    assert not (tmp_path / "c").exists()


def test_a_given_encoder_has_the_width_that_the_configuration_asks_for(tmp_path):
    config = RetrieverConfig(reranker=None, dimensions=8)
    path = tmp_path / "c"
    with Retriever.from_corpus(["cat"], path=path, config=config, encoder=tiny_encoder()) as made:
        assert made.info().dimensions == 8
    with Retriever.open(path, encoder=tiny_encoder()) as again:
        assert again.info().dimensions == 8
    with pytest.raises(ConfigError, match="dimensions is 8, but the encoder that was given has 4"):
        Retriever.from_corpus(["cat"], config=config, encoder=tiny_encoder(dimensions=4))


@pytest.mark.parametrize("options", [{}, {"budget_ms": 10_000.0}, {"depth": "auto"}])
def test_the_same_question_again_asks_no_reranker(make, options):
    reranker = OverlapReranker()
    retriever = make(reranker=reranker, pair_cache="1MB")
    first = retriever.search("the cat sat", **options)
    calls = reranker.calls
    assert calls > 0
    assert retriever.search("the cat sat", **options) == first
    assert reranker.calls == calls
    retriever.search("the dog sat", **options)
    assert reranker.calls > calls


def test_scores_are_kept_with_the_collection(make, tmp_path):
    first = make(path=True, pair_cache="1MB").search("the cat sat")
    reranker = OverlapReranker()
    make.made[-1].close()
    with Retriever.open(tmp_path / "collection", encoder=tiny_encoder(), reranker=reranker) as again:
        assert again.search("the cat sat") == first
    assert reranker.calls == 0


def test_a_file_of_scores_that_cannot_be_read_stops_no_search(make, tmp_path, caplog):
    first = make(path=True, pair_cache="1MB").search("the cat sat")
    make.made[-1].close()
    (tmp_path / "collection" / "pairs.sqlite").write_text("no database " * 1000)
    reranker = OverlapReranker()
    with Retriever.open(tmp_path / "collection", encoder=tiny_encoder(), reranker=reranker) as again:
        assert again.search("the cat sat") == first
        assert again.search("the cat sat") == first
    assert reranker.calls == 1
    assert "delete it" in caplog.text


def test_a_cache_that_cannot_be_is_refused_before_anything_is_written(make, tmp_path):
    with pytest.raises(ConfigError, match="pair_cache"):
        make(path=True, pair_cache=5)

    class Nameless:
        def score(self, query, passages):
            return np.zeros(len(passages), np.float32)

    with pytest.raises(InvalidInputError, match="fingerprint"):
        make(path=True, pair_cache="1MB", reranker=Nameless())
    assert not (tmp_path / "collection").exists()


def test_an_unknown_reranker_is_refused_before_anything_is_written(tmp_path):
    config = RetrieverConfig(reranker=str(tmp_path / "none"))
    with pytest.raises(ModelNotFoundError, match="no reranker at .*none.*'fast' are in this package"):
        Retriever.from_corpus(["a cat"], path=tmp_path / "collection", config=config)
    assert not (tmp_path / "collection").exists()
    Retriever.from_corpus(["a cat"], config=config, reranker=OverlapReranker()).close()


def test_a_reranker_that_was_loaded_to_be_sure_is_the_one_that_searches(tmp_path, monkeypatch):
    loaded = []

    def load(config):
        loaded.append(OverlapReranker())
        return loaded[-1]

    for module in ("retriever.loading", "retriever.pipeline"):
        monkeypatch.setattr(f"{module}.load_reranker", load)
    config = RetrieverConfig(reranker="some/model")
    with Retriever.from_corpus(["a cat"], config=config) as retriever:
        assert retriever.reranker is loaded[0]
    assert len(loaded) == 1


@pytest.mark.parametrize("path", [True, False])
def test_an_encoder_given_by_name_is_told_before_anything_is_written(tmp_path, path):
    folder = tmp_path / "collection" if path else None
    with pytest.raises(InvalidTypeError, match="not str; .*RetrieverConfig.encoder=name"):
        Retriever.from_corpus(["a cat"], path=folder, encoder="bundled")
    assert not (tmp_path / "collection").exists()


def test_a_cache_that_was_given_stays_open(make, tmp_path):
    kept = tmp_path / "pairs.sqlite"
    shared = CachedReranker(OverlapReranker(), PairCache(max_bytes=100_000, path=kept))
    for words in ("the cat sat", "a dog ran"):
        with make(reranker=shared) as retriever:
            retriever.search(words)
    shared.cache.close()
    reranker = OverlapReranker()
    again = CachedReranker(reranker, PairCache(max_bytes=100_000, path=kept))
    with make(reranker=again) as retriever:
        for words in ("the cat sat", "a dog ran"):
            retriever.search(words)
    assert reranker.calls == 0
