"""Every example runs as a user would run it, and prints what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {
    "quickstart.py": ["1. Use subprocess.run", "reranker: rank 1"],
    "persistent_collection.py": ["opened with 3 documents", "Mars is called the red planet", "Venus turns"],
    "rag_prompt.py": ["[1] Laptops (it#1)", "Question: My laptop was stolen"],
    "filter_and_update.py": ["filtered: ['b']", "1 added, 1 updated", "left: ['c', 'd']"],
    "adapt_to_your_documents.py": ["questions that were kept from it", "1. ", "3. "],
    "evaluate_your_corpus.py": ["reranked: nDCG@10", "RetrieverConfig(", "answered: "],
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for words in EXPECTED[name]:
        assert words in done.stdout
