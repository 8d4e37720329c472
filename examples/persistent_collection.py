"""Keep a collection in a folder, close it, and open it again."""

import tempfile
from pathlib import Path

from retriever import Retriever, RetrieverConfig

docs = [
    {"id": "moon", "title": "Moon", "text": "The Moon orbits the Earth in about 27 days."},
    {
        "id": "mars",
        "title": "Mars",
        "text": "Mars is called the red planet because of the iron oxide on its surface.",
    },
    {"id": "sun", "title": "Sun", "text": "The Sun is a star; its light takes eight minutes to reach us."},
]

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "planets"

    # The configuration is saved with the collection and used again when it is opened.
    with Retriever.from_corpus(docs, path=path, config=RetrieverConfig(depth=20)) as retriever:
        print(f"built {retriever}")

    with Retriever.open(path) as retriever:
        print(f"opened with {len(retriever)} documents")
        print(retriever.search("why is mars red?", k=1)[0].text)
        retriever.add(
            [{"id": "venus", "title": "Venus", "text": "Venus turns the other way round than the Earth."}]
        )

    with Retriever.open(path) as retriever:
        print(retriever.search("which planet turns backwards?", k=1)[0].text)
