import inspect
import json

import jsonschema
import pydantic_ai
import pytest
import smolagents
from openai.types.chat import ChatCompletionFunctionToolParam
from pydantic import TypeAdapter
from pydantic_ai.models.test import TestModel

from retriever.errors import ClosedError, FilterError, InvalidInputError
from tests.factories import CORPUS

QUERY = "where is the cat"


def test_calling_returns_numbered_sources(make):
    retriever = make()
    text = retriever.as_tool(k=2)(QUERY)
    first = retriever.search(QUERY, k=2)[0]
    assert text.startswith("[1] Pets (id 'cat'")
    assert first.passage in text
    assert "[2]" in text
    assert "[3]" not in text


def test_schema_is_what_openai_takes(make):
    tool = make().as_tool(name="handbook", description="The handbook.", k=3)
    TypeAdapter(ChatCompletionFunctionToolParam).validate_python(tool.schema)
    assert tool.schema["function"]["name"] == "handbook"
    jsonschema.Draft202012Validator.check_schema(tool.parameters)
    jsonschema.validate({"query": "cat", "k": 2, "filter": {"lang": "en"}}, tool.parameters)
    json.dumps(tool.schema)


def test_run_takes_the_models_json(make):
    tool = make().as_tool()
    assert tool.run('{"query": "where is the cat", "k": 1}') == tool(QUERY, k=1)
    assert tool.run({"query": "storm", "filter": {"lang": "de"}}).count("[") >= 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ("{}", "query"),
        ('{"query": ""}', "query"),
        ('{"query": "  "}', "empty"),
        ('{"query": "cat", "k": 0}', "k"),
        ('{"query": "cat", "k": 1000}', "k"),
        ('{"query": "cat", "limit": 3}', "limit"),
        ('{"query": "cat", "filter": {"year": {"above": 3}}}', "above"),
    ],
)
def test_run_tells_the_model_what_was_wrong(make, arguments, named):
    answer = make().as_tool().run(arguments)
    assert answer.startswith("error:")
    assert named in answer


def test_calling_raises(make):
    tool = make().as_tool()
    with pytest.raises(InvalidInputError):
        tool(QUERY, k=0)
    with pytest.raises(InvalidInputError, match="at most 50"):
        tool(QUERY, k=51)
    with pytest.raises(FilterError):
        tool(QUERY, filter={"year": {"above": 3}})


def test_filters_of_tool_and_call_both_hold(make):
    tool = make().as_tool(filter={"lang": "en"})
    assert "'dog'" in tool(QUERY, filter={"year": {"gt": 2020}})
    assert "'cat'" not in tool(QUERY, filter={"year": {"gt": 2020}})
    assert tool(QUERY, filter={"lang": "de"}) == "Nothing found."
    assert "'zebra'" not in tool("zebra")


def test_answers_stay_within_the_budget(make):
    docs = [{"id": f"d{i}", "text": "The cat sat on the mat. " * 30} for i in range(10)]
    tool = make(docs).as_tool(k=10, max_tokens=300)
    answer = tool("cat")
    assert len(answer) / 4 <= 300
    assert "more left out" in answer


@pytest.mark.parametrize("options", [{"name": "two words"}, {"name": ""}, {"k": 0}, {"max_tokens": 3}])
def test_bad_options_are_refused(make, options):
    with pytest.raises(InvalidInputError):
        make().as_tool(**options)


def test_function_reads_like_one(make):
    function = make().as_tool(name="handbook").function
    assert function.__name__ == "handbook"
    assert list(inspect.signature(function).parameters) == ["query", "k", "filter"]
    assert "Args:" in function.__doc__


def test_smolagents_takes_the_function(make):
    tool = smolagents.tool(make().as_tool(name="handbook").function)
    assert tool.name == "handbook"
    assert set(tool.inputs) == {"query", "k", "filter"}
    assert tool(query=QUERY).startswith("[1]")


def test_pydantic_ai_takes_the_function(make):
    agent = pydantic_ai.Agent(TestModel(), tools=[make().as_tool(name="handbook").function])
    answer = agent.run_sync(QUERY).output
    assert "handbook" in answer
    assert CORPUS[0]["text"] in answer


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"query": "cat", "k": 100}, "k:"), ({"query": "cat", "filter": {"year": {"$gte": 1}}}, "gte")],
)
def test_the_function_tells_the_model_what_it_did_wrong(make, arguments, told):
    answer = make().as_tool().function(**arguments)
    assert answer.startswith("error:")
    assert told in answer


def test_what_the_model_cannot_help_is_raised(make):
    retriever = make()
    tool = retriever.as_tool()
    retriever.close()
    for call in (tool.run, lambda arguments: tool.function(**arguments)):
        with pytest.raises(ClosedError):
            call({"query": "cat"})


def test_impossible_options_are_refused_at_once(make):
    with pytest.raises(FilterError, match="equals"):
        make().as_tool(filter={"lang": {"equals": "en"}})
    with pytest.raises(InvalidInputError, match="depth"):
        make().as_tool(depth=-1)
