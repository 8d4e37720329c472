"""A LlamaIndex query engine over a collection, with LlamaIndex's own metadata filters."""

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

from retriever import Retriever

RELEASES = [
    {"id": "1.0", "text": "Version 1.0 brings search.", "metadata": {"year": 2023}},
    {"id": "2.0", "text": "Version 2.0 brings filters inside the index.", "metadata": {"year": 2025}},
    {"id": "2.1", "text": "Version 2.1 makes search faster.", "metadata": {"year": 2026}},
]

recent = MetadataFilters(filters=[MetadataFilter(key="year", value=2024, operator=FilterOperator.GTE)])

with Retriever.from_corpus(RELEASES) as releases:
    retriever = releases.as_llama_index(similarity_top_k=2, filters=recent)
    # Put a real model here, for example OpenAI or Ollama; this one repeats its prompt.
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    answer = engine.query("Which version has filters?")
    for source in answer.source_nodes:
        print(source.node.node_id, source.node.metadata["year"], source.node.metadata["retrieval"]["stages"])
    print(answer)
