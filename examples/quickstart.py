"""Search a handful of texts: the whole of the library in a few lines."""

from retriever import Retriever

docs = [
    "Open a file with the `with` statement and loop over it to read it line by line.",
    "Use subprocess.run with capture_output=True to run a command and keep what it prints.",
    "The json module turns Python objects into text and back.",
    "A dictionary maps keys to values; looking a key up takes constant time.",
    "Threads share memory, processes do not.",
]

with Retriever.from_corpus(docs) as retriever:
    for result in retriever.search("how do I get the output of a shell command?", k=3):
        print(f"{result.rank}. {result.text}")
        first, second = result.stages.fused, result.stages.reranked
        print(f"   first stage: rank {first.rank}, reranker: rank {second.rank}")
