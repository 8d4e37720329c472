import asyncio
import copy
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from retriever import Retriever, StaticEncoder
from retriever.errors import ConfigError, FilterError, InvalidInputError
from retriever.integrations.llama_index import RerankPostprocessor, StaticEmbedding
from retriever.integrations.llama_index_filters import to_filter
from tests.factories import CORPUS, OverlapReranker, tiny_encoder

QUERY = "where is the cat"


def test_nodes_carry_what_the_result_has(make):
    retriever = make()
    result = retriever.search(QUERY, k=1)[0]
    (found,) = retriever.as_llama_index(similarity_top_k=1).retrieve(QUERY)
    assert found.score == result.score
    assert (found.node.node_id, found.node.ref_doc_id) == (result.id, result.id)
    assert (found.node.start_char_idx, found.node.end_char_idx) == result.span
    assert found.node.text == result.passage
    assert found.node.metadata["year"] == 2019
    assert found.node.metadata["retrieval"]["stages"] == result.to_dict()["stages"]
    for shown in (MetadataMode.LLM, MetadataMode.EMBED):
        assert "year" in found.node.get_content(shown)
        assert "stages" not in found.node.get_content(shown)


def test_spans_point_into_the_document(make):
    text = " ".join(f"Wind {i}." for i in range(60)) + " The zebra ran."
    retriever = make([{"id": "long", "text": text}], passage_tokens=16)
    node = retriever.as_llama_index().retrieve("zebra")[0].node
    assert node.start_char_idx > 0
    assert text[node.start_char_idx : node.end_char_idx] == node.text
    assert retriever.as_llama_index(content="document").retrieve("zebra")[0].node.text == text
    with pytest.raises(InvalidInputError, match="content"):
        retriever.as_llama_index(content="chunk")


def test_async_agrees_with_sync(make):
    llama = make().as_llama_index(similarity_top_k=3)
    assert asyncio.run(llama.aretrieve(QUERY)) == llama.retrieve(QUERY)


def test_depth_and_rerank(make):
    llama = make().as_llama_index(depth=1)
    read = [one.node.metadata["retrieval"]["stages"]["reranked"] is not None for one in llama.retrieve(QUERY)]
    assert read.count(True) == 1
    plain = make().as_llama_index(rerank=False).retrieve(QUERY)
    assert plain[0].node.metadata["retrieval"]["stages"]["reranked"] is None


def test_answers_in_a_query_engine(make):
    engine = RetrieverQueryEngine.from_args(make().as_llama_index(similarity_top_k=1), llm=MockLLM())
    answer = engine.query(QUERY)
    assert "The cat sat on the mat." in str(answer)  # the mock model repeats its prompt
    assert [one.node.node_id for one in answer.source_nodes] == ["cat"]


def test_embedding_is_the_encoder(make):
    retriever = make()
    embedding = retriever.as_llama_index().embedding
    assert isinstance(embedding, BaseEmbedding)
    assert embedding.get_text_embedding("cat") == retriever.encoder.encode("cat").tolist()
    assert embedding.get_query_embedding("cat") == embedding.get_text_embedding("cat")
    batch = embedding.get_text_embedding_batch(["cat", "dog", "sea"])
    assert batch == retriever.encoder.encode(["cat", "dog", "sea"]).tolist()
    assert asyncio.run(embedding.aget_text_embedding_batch(["cat", "dog", "sea"])) == batch
    assert asyncio.run(embedding.aget_query_embedding("cat")) == batch[0]


def test_embedding_works_in_an_index():
    nodes = [TextNode(id_=one["id"], text=one["text"]) for one in CORPUS]
    index = VectorStoreIndex(nodes, embed_model=StaticEmbedding(tiny_encoder()))
    assert index.as_retriever(similarity_top_k=1).retrieve("zebra zebra")[0].node.node_id == "zebra"
    assert not isinstance(StaticEmbedding(tiny_encoder()), MockEmbedding)


def test_postprocessor_orders_what_another_retriever_found(make):
    nodes = [NodeWithScore(node=TextNode(text=text), score=9.0) for text in ("a dog", "the cat", "cat dog")]
    best = RerankPostprocessor(OverlapReranker(), top_n=2).postprocess_nodes(nodes, query_str="cat dog")
    assert [(one.node.text, one.score) for one in best] == [("cat dog", 1.0), ("a dog", 0.5)]
    assert nodes[0].score == 9.0
    assert make().as_llama_index().postprocessor.postprocess_nodes([], query_str="cat") == []
    assert asyncio.run(
        RerankPostprocessor(OverlapReranker(), top_n=1).apostprocess_nodes(nodes, query_str="cat dog")
    ) == [best[0]]
    with pytest.raises(InvalidInputError, match="query_str"):
        RerankPostprocessor(OverlapReranker()).postprocess_nodes(nodes)


VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "ab", "b"]))
NUMBERS = st.integers(-3, 3)
METADATA = st.fixed_dictionaries(
    {}, optional={"n": NUMBERS, "s": st.sampled_from(["a", "ab", "b"]), "tags": st.lists(VALUES, max_size=3)}
)
CONDITIONS = st.one_of(
    st.builds(
        MetadataFilter,
        key=st.just("n"),
        value=NUMBERS,
        operator=st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
    ),
    st.builds(
        MetadataFilter,
        key=st.just("n"),
        value=st.lists(NUMBERS, max_size=3),
        operator=st.sampled_from([FilterOperator.IN, FilterOperator.NIN]),
    ),
    st.builds(
        MetadataFilter,
        key=st.just("tags"),
        value=st.lists(st.sampled_from(["a", "ab", "b"]), min_size=1, max_size=3),
        operator=st.sampled_from([FilterOperator.ANY, FilterOperator.ALL]),
    ),
    st.builds(
        MetadataFilter,
        key=st.sampled_from(["tags", "s"]),
        value=st.sampled_from(["a", "ab", "b"]),
        operator=st.just(FilterOperator.CONTAINS),
    ),
    st.builds(
        MetadataFilter,
        key=st.just("s"),
        value=st.sampled_from(["a", "ab", "b"]),
        operator=st.sampled_from([FilterOperator.TEXT_MATCH, FilterOperator.EQ, FilterOperator.NE]),
    ),
)
FILTERS = st.builds(
    MetadataFilters,
    filters=st.lists(CONDITIONS, max_size=3),
    condition=st.sampled_from([FilterCondition.AND, FilterCondition.OR, FilterCondition.NOT]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(metadata=st.lists(METADATA, min_size=1, max_size=6), filters=FILTERS)
def test_filters_select_what_llama_index_would(metadata, filters):
    docs = [{"id": str(i), "text": "cat", "metadata": one} for i, one in enumerate(metadata)]
    expected = build_metadata_filter_fn(lambda id: metadata[int(id)], filters)
    with Retriever.from_corpus(docs, encoder=tiny_encoder(), reranker=OverlapReranker()) as retriever:
        found = retriever.as_llama_index(similarity_top_k=10, filters=filters).retrieve("cat")
    assert {one.node.node_id for one in found} == {id for id in map(str, range(len(docs))) if expected(id)}


def test_filters_nest_and_ours_pass_through(make):
    either = MetadataFilters(
        filters=[
            MetadataFilter(key="year", value=2021, operator=FilterOperator.GTE),
            MetadataFilters(filters=[MetadataFilter(key="lang", value="de")]),
        ],
        condition=FilterCondition.OR,
    )
    llama = make().as_llama_index(filters=either)
    assert {one.node.node_id for one in llama.retrieve(QUERY)} == {"dog", "stocks", "storm"}
    ours = make().as_llama_index(filters={"lang": "de"})
    assert [one.node.node_id for one in ours.retrieve(QUERY)] == ["storm"]


def test_unsupported_filters_are_refused_with_their_name():
    def one(operator, value="a", key="s"):
        return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])

    for operator in (FilterOperator.TEXT_MATCH_INSENSITIVE, FilterOperator.IS_EMPTY):
        with pytest.raises(FilterError, match=operator.value):
            to_filter(one(operator))
    with pytest.raises(FilterError, match="non-empty list"):
        to_filter(one(FilterOperator.ANY))
    with pytest.raises(FilterError, match="'not'"):
        to_filter(one(FilterOperator.EQ, key="not"))


def test_models_come_back_by_their_names(tmp_path):
    tiny_encoder(dimensions=8).save(tmp_path / "encoder")
    named = StaticEmbedding(tmp_path / "encoder", dimensions=4)
    loaded = StaticEncoder.load(tmp_path / "encoder")
    for embedding in (named, StaticEmbedding(loaded, model_name=str(tmp_path / "encoder"))):
        for again in (
            pickle.loads(pickle.dumps(embedding)),
            StaticEmbedding.from_dict(embedding.to_dict()),
            copy.deepcopy(embedding),
        ):
            assert again.get_text_embedding("cat") == embedding.get_text_embedding("cat")
            assert len(again.get_text_embedding("cat")) == embedding.dimensions
    tiny_encoder(dimensions=8, seed=1).save(tmp_path / "encoder")
    with pytest.raises(ConfigError, match="was made with the encoder"):
        StaticEmbedding.from_dict(named.to_dict())


def test_models_without_a_name_do_not_come_back_as_others():
    for model in (StaticEmbedding(tiny_encoder()), RerankPostprocessor(OverlapReranker())):
        with pytest.raises(InvalidInputError, match="has no name to be found again by"):
            type(model).from_dict(model.to_dict())


def test_a_reranker_comes_back_by_its_name(monkeypatch):
    asked = []
    load = lambda name: asked.append(name) or OverlapReranker()  # noqa: E731
    monkeypatch.setattr("retriever.integrations.llama_index.load_named_reranker", load)
    again = RerankPostprocessor.from_dict(RerankPostprocessor("some/model", top_n=7).to_dict())
    assert asked == ["some/model", "some/model"] and again.top_n == 7


def test_a_label_is_no_model(tmp_path):
    tiny_encoder().save(tmp_path / "encoder")
    embedding = StaticEmbedding(tmp_path / "encoder", model_name="notes")
    assert embedding.model_name == "notes"
    again = StaticEmbedding.from_dict(embedding.to_dict())
    assert (again.model_name, again.fingerprint) == ("notes", embedding.fingerprint)


def test_the_same_passage_of_two_queries_is_fused(make):
    retriever = make()
    llama = retriever.as_llama_index(similarity_top_k=2)
    one, other = (
        {found.node.node_id: found.node for found in llama.retrieve(query)} for query in (QUERY, "the cat")
    )
    shared = one.keys() & other.keys()
    assert shared
    for name in shared:
        assert one[name].metadata["retrieval"] != other[name].metadata["retrieval"]
        assert one[name].hash == other[name].hash
    assert len({node.hash for node in one.values()}) == len(one)


def test_impossible_options_are_refused_at_once(make):
    with pytest.raises(FilterError, match="equals"):
        make().as_llama_index(filters={"lang": {"equals": "en"}})
    with pytest.raises(InvalidInputError, match="depth"):
        make().as_llama_index(depth=0)
