"""Tune the encoder to your own documents: no questions, no labels, no download. Needs the extra `distill`."""

from pydoc_data.topics import topics

from distillation import adapt
from retriever import Document, Retriever, StaticEncoder

# The shorter chapters of Python's language reference, which every installation has.
documents = [
    Document(id=name, title=name.replace("-", " "), text=text)
    for name, text in topics.items()
    if len(text) < 8000
]

# The bundled reranker reads the documents, and the table learns to find alike what it finds alike.
adapted = adapt(StaticEncoder.load("bundled"), documents, teacher="bundled")
print(f"{adapted.changes or 'nothing gained'}: {adapted.before:.3f} before, {adapted.after:.3f} after,")
print(f"on {adapted.held_back} questions that were kept from it")

with Retriever.from_corpus(documents, encoder=adapted.encoder) as retriever:
    for result in retriever.search("how do I leave a loop early?", k=3):
        print(f"{result.rank}. {result.title}: {' '.join(result.passage.split())[:70]}…")
