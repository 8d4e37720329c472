"""Search within a filter, and change documents while the collection is in use."""

from retriever import Retriever

docs = [
    {"id": "a", "text": "Release notes: faster search.", "metadata": {"year": 2023, "tags": ["release"]}},
    {
        "id": "b",
        "text": "Release notes: filters inside the index.",
        "metadata": {"year": 2024, "tags": ["release"]},
    },
    {"id": "c", "text": "How search works inside.", "metadata": {"year": 2024, "tags": ["guide", "draft"]}},
]

with Retriever.from_corpus(docs) as retriever:
    recent = {"year": {"gte": 2024}, "not": {"tags": {"contains": "draft"}}}
    print("filtered:", [result.id for result in retriever.search("search", filter=recent)])

    summary = retriever.upsert(
        [
            {
                "id": "c",
                "text": "How search works inside, complete.",
                "metadata": {"year": 2025, "tags": ["guide"]},
            },
            {"id": "d", "text": "Deleting is searching for what should go.", "metadata": {"year": 2025}},
        ]
    )
    print(f"upserted: {summary.added} added, {summary.updated} updated")
    print("filtered again:", [result.id for result in retriever.search("search", filter=recent)])

    retriever.delete(["a", "b"])
    print("left:", [doc.id for doc in retriever])
