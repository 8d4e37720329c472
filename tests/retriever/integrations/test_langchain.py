import asyncio
import json

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, RetrieversIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import ValidationError

from retriever import Retriever, RetrieverConfig
from retriever.errors import ConfigError, FilterError, InvalidInputError
from retriever.integrations.langchain import RerankCompressor, StaticEmbeddings, TwoStageRetriever
from tests.factories import CORPUS, OverlapReranker, tiny_encoder

QUERY = "where is the cat"


class TestRetrieverStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self):
        return TwoStageRetriever

    @property
    def retriever_constructor_params(self):
        return {
            "retriever": Retriever.from_corpus(CORPUS, encoder=tiny_encoder(), reranker=OverlapReranker())
        }

    @property
    def retriever_query_example(self):
        return QUERY


class TestEmbeddingsStandard(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return StaticEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": tiny_encoder()}


class TestEmbeddingsUnitStandard(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return StaticEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": tiny_encoder()}


def test_documents_carry_what_the_result_has(make):
    retriever = make()
    result = retriever.search(QUERY, k=1)[0]
    document = retriever.as_langchain(k=1).invoke(QUERY)[0]
    assert (document.id, document.page_content) == (result.id, result.passage)
    assert document.metadata["lang"] == "en"
    assert document.metadata["title"] == "Pets"
    assert document.metadata["relevance_score"] == result.score
    found = document.metadata["retrieval"]
    assert json.loads(json.dumps(document.metadata)) == document.metadata
    assert found["stages"] == result.to_dict()["stages"]
    assert found["span"] == list(result.span)


def test_page_content_is_the_passage_and_start_index_finds_it(make):
    text = " ".join(f"Wind {i}." for i in range(60)) + " The zebra ran."
    retriever = make([{"id": "long", "text": text}], passage_tokens=16)
    document = retriever.as_langchain(k=1).invoke("zebra")[0]
    start = document.metadata["start_index"]
    assert start > 0
    assert text[start : start + len(document.page_content)] == document.page_content
    whole = retriever.as_langchain(k=1, content="document").invoke("zebra")[0]
    assert (whole.page_content, whole.metadata["start_index"]) == (text, 0)


def test_options_of_one_call_go_before_those_of_the_retriever(make):
    reranker = OverlapReranker()
    langchain = make(reranker=reranker).as_langchain(k=4, filter={"lang": "en"})
    assert len(langchain.invoke(QUERY)) == 3
    assert len(langchain.invoke(QUERY, k=1)) == 1
    assert [one.id for one in langchain.invoke("storm", filter={"lang": "de"})] == ["storm"]
    assert len(langchain.invoke(QUERY, filter={}, k=9)) == len(CORPUS)
    calls = reranker.calls
    first = langchain.invoke(QUERY, rerank=False)
    assert reranker.calls == calls
    assert first[0].metadata["retrieval"]["stages"]["reranked"] is None
    deep = langchain.invoke(QUERY, depth=1)
    read = [one.metadata["retrieval"]["stages"]["reranked"] is not None for one in deep]
    assert read.count(True) == 1


def test_sync_async_and_batch_agree(make):
    langchain = make().as_langchain(k=3)
    assert asyncio.run(langchain.ainvoke(QUERY, k=2)) == langchain.invoke(QUERY, k=2)
    assert langchain.batch([QUERY, "storm"]) == [langchain.invoke(QUERY), langchain.invoke("storm")]


def test_runs_in_a_chain(make):
    chain = make().as_langchain(k=1) | RunnableLambda(lambda documents: documents[0].page_content)
    assert chain.invoke(QUERY) == "The cat sat on the mat."


def test_bad_options_are_refused(make):
    langchain = make().as_langchain()
    with pytest.raises(TypeError, match="limit"):
        langchain.invoke(QUERY, limit=3)
    with pytest.raises(InvalidInputError):
        langchain.invoke(QUERY, k=0)
    with pytest.raises(FilterError):
        langchain.invoke(QUERY, filter={"year": {"above": 1}})
    with pytest.raises(ValidationError):
        make().as_langchain(k=0)
    with pytest.raises(ValidationError):
        make().as_langchain(content="chunk")


def test_embeddings_are_those_of_the_encoder(make):
    retriever = make()
    embeddings = retriever.as_langchain().embeddings
    assert embeddings.embed_query("cat") == retriever.encoder.encode("cat").tolist()
    assert embeddings.embed_documents(["cat", "dog"]) == retriever.encoder.encode(["cat", "dog"]).tolist()
    assert embeddings.embed_documents([]) == []


def test_embeddings_load_a_folder(tmp_path):
    tiny_encoder().save(tmp_path / "encoder")
    assert StaticEmbeddings(tmp_path / "encoder").embed_query("cat") == tiny_encoder().encode("cat").tolist()


def test_compressor_keeps_the_best_and_leaves_its_input_alone():
    documents = [Document(page_content=text, metadata={"n": i}) for i, text in enumerate(["dog", "a cat"])]
    compressor = RerankCompressor(model=OverlapReranker(), top_n=1)
    (best,) = compressor.compress_documents(documents, "cat")
    assert (best.page_content, best.metadata) == ("a cat", {"n": 1, "relevance_score": 1.0})
    assert documents[1].metadata == {"n": 1}
    assert list(asyncio.run(compressor.acompress_documents(documents, "cat"))) == [best]
    assert compressor.compress_documents([], "cat") == []


def test_compressor_of_a_retriever(make):
    langchain = make().as_langchain(k=2)
    found = langchain.invoke("dog", k=5, rerank=False)
    assert langchain.compressor.compress_documents(found, "dog ran")[0].id == "dog"


def test_no_reranker_no_compressor():
    retriever = Retriever.from_corpus(CORPUS, encoder=tiny_encoder(), config=RetrieverConfig(reranker=None))
    with pytest.raises(ConfigError, match="no reranker"):
        _ = retriever.as_langchain().compressor


def test_the_same_document_of_two_queries_is_one(make):
    langchain = make().as_langchain(k=3)
    one, other = langchain.invoke(QUERY), langchain.invoke("storm")
    assert {document.id for document in one} & {document.id for document in other}
    together = [document for i, document in enumerate([*one, *other]) if document not in [*one, *other][:i]]
    assert sorted(document.id for document in together) == sorted(
        {document.id for document in (*one, *other)}
    )
    assert one[0] != one[0].model_copy(update={"page_content": "other text"})
    assert one[0] != one[0].model_copy(update={"metadata": {**one[0].metadata, "lang": "fr"}})
    assert one[0] == Document(**one[0].model_dump(exclude={"type"}))
    assert one[0] != Document(id=one[0].id, page_content=one[0].page_content)


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_found_documents_serialize_as_langchains_own(make):
    (found,) = make().as_langchain(k=1).invoke(QUERY)
    again = loads(dumps(found), allowed_objects="core")
    assert type(again) is Document
    assert again == found


@pytest.mark.parametrize("option", ["filters", "search_kwargs", "top_k"])
def test_unknown_options_are_refused(make, option):
    with pytest.raises(ValidationError, match=option):
        make().as_langchain(**{option: {"lang": "en"}})


def test_impossible_options_are_refused_at_once(make):
    with pytest.raises(ValidationError, match="equals"):
        make().as_langchain(filter={"lang": {"equals": "en"}})
    with pytest.raises(ValidationError, match="depth"):
        make().as_langchain(depth=-1)
