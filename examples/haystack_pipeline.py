"""A Haystack pipeline: find many cheaply, rerank them, and build a prompt from the best."""

from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from retriever import Retriever

HANDBOOK = [
    {"id": "leave", "text": "Employees have 28 days of paid leave a year.", "metadata": {"area": "people"}},
    {"id": "sick", "text": "From the third day of illness on, bring a note.", "metadata": {"area": "people"}},
    {"id": "laptop", "text": "Report a lost laptop within one hour.", "metadata": {"area": "it"}},
]
PROMPT = """Answer from these sources:
{% for document in documents %}[{{ document.id }}] {{ document.content }}
{% endfor %}
Question: {{ question }}"""

with Retriever.from_corpus(HANDBOOK) as handbook:
    retriever = handbook.as_haystack(top_k=3, rerank=False)  # the ranker below is the second stage
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    pipeline.add_component("ranker", retriever.ranker)
    pipeline.add_component("prompt", PromptBuilder(PROMPT, required_variables="*"))
    pipeline.connect("retriever.documents", "ranker.documents")
    pipeline.connect("ranker.documents", "prompt.documents")

    question = "How many days of paid leave do I have?"
    people = {"field": "meta.area", "operator": "==", "value": "people"}
    found = pipeline.run(
        {
            "retriever": {"query": question, "filters": people},
            "ranker": {"query": question, "top_k": 1},
            "prompt": {"question": question},
        }
    )
    print(found["prompt"]["prompt"])
