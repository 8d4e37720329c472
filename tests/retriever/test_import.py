import subprocess
import sys

HEAVY = [
    "torch",
    "transformers",
    "sklearn",
    "numba",
    "faiss",
    "onnxruntime",
    "tantivy",
    "sentence_transformers",
]


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_loads_nothing_heavy():
    loaded = run(f"import sys, retriever; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_searching_never_loads_torch():
    program = (
        "import sys; from retriever import Retriever\n"
        "print(Retriever.from_corpus(['the cat', 'the dog']).search('cat')[0].text)\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules, 'sklearn' in sys.modules)"
    )
    assert run(program).split() == ["the", "cat", "False", "False", "False"]
