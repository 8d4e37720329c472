"""The examples run as they are, but for the bundled cross-encoder, which a small one stands in for."""

import json
import runpy
from pathlib import Path

import httpx
import pytest
from openai import OpenAI
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, Model

import rerank
from retriever import Retriever
from tests.factories import OverlapReranker

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
EXPECTED = {
    "langchain_rag.py": ["[laptop] Laptops (", "Report a lost laptop", "within one hour [laptop]."],
    "llama_index_rag.py": ["2.0 2025", "'reranked'", "filters inside the index"],
    "haystack_pipeline.py": ["[leave] Employees have 28 days", "Question: How many days"],
    "openai_tool.py": ["OPENAI_API_KEY is not set", "[1] Leave (id 'leave'", "28 days"],
    "smolagents_agent.py": ["tool: handbook ['query', 'k', 'filter']", "[1] Leave (id 'leave'"],
    "pydantic_ai_agent.py": ["handbook", "28 days"],
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(rerank, "load_reranker", lambda name: OverlapReranker(), raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capsys.readouterr().out
    for words in EXPECTED[name]:
        assert words in printed


def test_openai_client_drives_the_tool():
    example = runpy.run_path(str(EXAMPLES / "openai_tool.py"))
    requests = []

    def model(request):
        asked = json.loads(request.content)
        requests.append(asked)
        if len(requests) == 1:
            call = {"name": "handbook", "arguments": '{"query": "days of leave", "k": 1}'}
            message = {"tool_calls": [{"id": "call_1", "type": "function", "function": call}]}
        else:
            message = {"content": "28 days [1]."}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        return httpx.Response(200, json=completion)

    client = OpenAI(api_key="none", http_client=httpx.Client(transport=httpx.MockTransport(model)))
    with Retriever.from_corpus(example["HANDBOOK"]) as handbook:
        assert example["ask"](client, "How many days?", handbook) == "28 days [1]."
    assert requests[0]["tools"][0]["function"]["name"] == "handbook"
    answer = requests[1]["messages"][-1]
    assert (answer["role"], answer["tool_call_id"]) == ("tool", "call_1")
    assert answer["content"].startswith("[1] Leave (id 'leave'")


class ScriptedModel(Model):
    """Searches once, then answers with what it read."""

    def generate(self, messages, **options):
        read = [
            part["text"] for one in messages for part in one.content if "Leave (id 'leave'" in part["text"]
        ]
        name, arguments = ("final_answer", {"answer": read[-1]}) if read else ("handbook", {"query": "leave"})
        function = ChatMessageToolCallFunction(name=name, arguments=arguments)
        call = ChatMessageToolCall(id="1", type="function", function=function)
        return ChatMessage(role="assistant", content="", tool_calls=[call])


def test_smolagents_agent_searches():
    example = runpy.run_path(str(EXAMPLES / "smolagents_agent.py"))
    with Retriever.from_corpus(example["HANDBOOK"]) as handbook:
        answer = example["build_agent"](ScriptedModel(), handbook).run("How many days?")
    assert "28 days of paid leave" in str(answer)
