import asyncio

import pytest
from haystack import Document, Pipeline
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.errors import FilterError as HaystackFilterError
from haystack.testing.document_store import FilterDocumentsTest

from retriever import Retriever
from retriever.errors import ConfigError, FilterError, InvalidInputError
from retriever.integrations.haystack import (
    CrossEncoderRanker,
    StaticDocumentEmbedder,
    StaticTextEmbedder,
    TwoStageRetriever,
)
from retriever.integrations.haystack_filters import to_filter
from tests.factories import CORPUS, OverlapReranker, tiny_encoder

QUERY = "where is the cat"
ENGLISH = {"field": "meta.lang", "operator": "==", "value": "en"}


class FilteredDocuments:
    """As much of a document store as Haystack's filter tests touch, over a real collection."""

    def __init__(self):
        self.written = {}

    def write_documents(self, documents):
        self.written = {document.id: document for document in documents}

    def filter_documents(self, filters=None):
        if not self.written:
            return []
        docs = [{"id": one.id, "text": one.content, "metadata": one.meta} for one in self.written.values()]
        with Retriever.from_corpus(docs, encoder=tiny_encoder(), reranker=OverlapReranker()) as retriever:
            found = retriever.as_haystack(top_k=100, filters=filters).run("document")["documents"]
        ids = {document.id for document in found}
        return [document for id, document in self.written.items() if id in ids]


class TestFiltersStandard(FilterDocumentsTest):
    @pytest.fixture
    def document_store(self):
        return FilteredDocuments()


def test_documents_carry_what_the_result_has(make):
    retriever = make()
    result = retriever.search(QUERY, k=1)[0]
    (document,) = retriever.as_haystack(top_k=1).run(QUERY)["documents"]
    assert (document.id, document.content, document.score) == (result.id, result.passage, result.score)
    assert document.meta["year"] == 2019
    assert document.meta["split_idx_start"] == result.span[0]
    assert document.meta["retrieval"]["stages"] == result.to_dict()["stages"]
    assert Document.from_dict(document.to_dict()) == document


def test_run_time_options(make):
    component = make().as_haystack(top_k=5, filters=ENGLISH)
    assert len(component.run(QUERY)["documents"]) == 3
    assert len(component.run(QUERY, top_k=1)["documents"]) == 1
    later = {"field": "meta.year", "operator": ">", "value": 2020}
    replaced = make().as_haystack(filters={**ENGLISH, "value": "de"}).run(QUERY, filters=later)
    assert {one.id for one in replaced["documents"]} == {"dog", "stocks"}
    merged = make().as_haystack(filters={**ENGLISH, "value": "de"}, filter_policy="merge")
    assert merged.run(QUERY, filters=later)["documents"] == []
    assert asyncio.run(component.run_async(QUERY)) == component.run(QUERY)
    with pytest.raises(InvalidInputError, match="top_k"):
        component.run(QUERY, top_k=0)


def test_pipeline_with_all_components(make):
    haystack = make().as_haystack(top_k=5, rerank=False)
    pipeline = Pipeline()
    pipeline.add_component("retriever", haystack)
    pipeline.add_component("ranker", haystack.ranker)
    pipeline.connect("retriever.documents", "ranker.documents")
    found = pipeline.run({"retriever": {"query": "dog ran"}, "ranker": {"query": "dog ran", "top_k": 1}})
    (best,) = found["ranker"]["documents"]
    assert (best.id, best.score) == ("dog", 1.0)


def test_embedders_feed_another_document_store(make):
    haystack = make().as_haystack()
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    documents = [Document(id=one["id"], content=one["text"]) for one in CORPUS]
    store.write_documents(haystack.document_embedder.run(documents)["documents"])
    assert documents[0].embedding is None
    vector = haystack.text_embedder.run("zebra zebra")["embedding"]
    assert vector == tiny_encoder().encode("zebra zebra").tolist()
    assert store.embedding_retrieval(vector, top_k=1)[0].id == "zebra"


def test_document_embedder_reads_meta_fields():
    embedder = StaticDocumentEmbedder(tiny_encoder(), meta_fields_to_embed=["title", "absent"])
    (document,) = embedder.run([Document(content="cat", meta={"title": "dog"})])["documents"]
    assert document.embedding == tiny_encoder().encode("dog\ncat").tolist()


def test_saved_pipeline_opens_the_collection_again(saved, tmp_path):
    retriever = Retriever.open(saved)
    component = retriever.as_haystack(top_k=2, filters=ENGLISH, filter_policy="merge", content="document")
    pipeline = Pipeline()
    pipeline.add_component("retriever", component)
    pipeline.add_component("embedder", component.text_embedder)
    text = pipeline.dumps()
    expected = pipeline.run({"retriever": {"query": QUERY}, "embedder": {"text": QUERY}})
    retriever.close()
    again = Pipeline.loads(text, allowed_modules=["retriever.integrations.haystack"])
    assert again.dumps() == text
    assert again.run({"retriever": {"query": QUERY}, "embedder": {"text": QUERY}}) == expected
    again.get_component("retriever").opened().close()


def test_async_pipeline(saved):
    pipeline = Pipeline()
    pipeline.add_component("retriever", TwoStageRetriever(saved, top_k=1))
    found = asyncio.run(pipeline.run_async({"retriever": {"query": QUERY}}))
    assert found["retriever"]["documents"][0].id == "cat"
    pipeline.get_component("retriever").opened().close()


def test_every_component_goes_to_a_dict_and_back(saved, tmp_path):
    encoder = str(tmp_path / "encoder")
    components = [
        TwoStageRetriever(saved, top_k=3, depth=7, rerank=False),
        StaticTextEmbedder(encoder, dimensions=8),
        StaticDocumentEmbedder(encoder, meta_fields_to_embed=["title"]),
        CrossEncoderRanker("some/cross-encoder", top_k=4),
    ]
    for component in components:
        data = component.to_dict()
        assert type(component).from_dict(data).to_dict() == data


def test_embedder_keeps_its_width(tmp_path):
    tiny_encoder().save(tmp_path / "encoder")
    embedder = StaticTextEmbedder(str(tmp_path / "encoder"), dimensions=8)
    vector = embedder.run("cat")["embedding"]
    assert len(vector) == 8
    assert StaticTextEmbedder.from_dict(embedder.to_dict()).run("cat")["embedding"] == vector


def test_a_loaded_encoder_is_narrowed_too(tmp_path):
    encoder = tiny_encoder()
    embedder = StaticTextEmbedder(encoder, dimensions=8, name=str(tmp_path / "encoder"))
    vector = embedder.run("cat")["embedding"]
    assert vector == encoder.truncate(8).encode("cat").tolist()
    encoder.save(tmp_path / "encoder")
    assert StaticTextEmbedder.from_dict(embedder.to_dict()).run("cat")["embedding"] == vector
    with pytest.raises(InvalidInputError, match="9999"):
        StaticTextEmbedder(encoder, dimensions=9999)


def test_another_encoder_than_was_saved_is_refused(tmp_path):
    tiny_encoder().save(tmp_path / "encoder")
    embedder = StaticTextEmbedder(str(tmp_path / "encoder"))
    embedder.warm_up()
    data = embedder.to_dict()
    data["init_parameters"]["fingerprint"] = "0" * 32
    with pytest.raises(ConfigError, match="not the one"):
        StaticTextEmbedder.from_dict(data).warm_up()


def test_what_has_no_name_cannot_be_written_down(make):
    with pytest.raises(InvalidInputError, match="save it"):
        make().as_haystack().to_dict()
    with pytest.raises(InvalidInputError, match="no name"):
        StaticTextEmbedder(tiny_encoder()).to_dict()
    with pytest.raises(InvalidInputError, match="no name"):
        make().as_haystack().ranker.to_dict()


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"field": "id", "operator": "==", "value": "cat"}, "'id'"),
        ({"field": "meta.a", "operator": "~", "value": 1}, "'~'"),
        ({"field": "meta.a", "operator": "==", "value": [1]}, "=="),
        ({"field": "meta.and", "operator": "==", "value": 1}, "'and'"),
        ({"operator": "XOR", "conditions": []}, "XOR"),
        ({"operator": "AND", "conditions": []}, "no conditions"),
    ],
)
def test_filters_that_cannot_be_are_refused_as_both_errors(make, filters, named):
    with pytest.raises(FilterError, match=named):
        to_filter(filters)
    with pytest.raises(HaystackFilterError):
        make().as_haystack(filters=filters)
