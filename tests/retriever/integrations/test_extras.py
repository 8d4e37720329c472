import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CASES = {
    "langchain": ("langchain_core", "retriever.as_langchain()"),
    "llama-index": ("llama_index", "retriever.as_llama_index()"),
    "haystack": ("haystack", "retriever.as_haystack()"),
    "mcp": ("mcp", "__import__('retriever.integrations.mcp')"),
}


@pytest.mark.parametrize("extra", sorted(CASES))
def test_a_missing_framework_is_named_with_its_pip_line(extra):
    module, call = CASES[extra]
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from retriever.errors import MissingExtraError\n"
        "from retriever.pipeline import Retriever\n"
        "retriever = object.__new__(Retriever)\n"
        f"try: {call}\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert f"pip install 'two-stage-retriever[{extra}]'" in done.stdout, done.stderr


def test_extras_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(CASES) <= set(project["optional-dependencies"])


def test_importing_the_pipeline_imports_no_framework():
    names = [module for module, _ in CASES.values()]
    program = f"import sys, retriever.pipeline; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
