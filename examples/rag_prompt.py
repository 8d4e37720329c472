"""Put the best passages into a prompt with cited sources, ready for any language model."""

from retriever import Retriever, SearchResult

HANDBOOK = [
    {
        "id": "leave#1",
        "title": "Leave",
        "text": "Employees have 28 days of paid leave a year. Up to five days carry over.",
    },
    {
        "id": "leave#2",
        "title": "Sick leave",
        "text": "From the third day of illness on, a doctor's note is needed.",
    },
    {
        "id": "travel#1",
        "title": "Travel",
        "text": "Trains are booked in second class; journeys over four hours in first class.",
    },
    {
        "id": "it#1",
        "title": "Laptops",
        "text": "Report a lost laptop to the IT desk within one hour, day or night.",
    },
]

PROMPT = """Answer the question from the sources alone and cite them like [1].
If they do not hold the answer, say so.

{sources}

Question: {question}
Answer:"""


def cite(result: SearchResult) -> str:
    """One numbered source: where it is from, then the passage that matched."""
    return f"[{result.rank}] {result.title} ({result.id})\n{result.passage}"


def build_prompt(retriever: Retriever, question: str, *, k: int = 3) -> str:
    """Search, and fill the prompt with the k best passages."""
    sources = "\n\n".join(cite(result) for result in retriever.search(question, k=k))
    return PROMPT.format(sources=sources, question=question)


with Retriever.from_corpus(HANDBOOK) as handbook:
    print(build_prompt(handbook, "My laptop was stolen. What do I have to do?"))
