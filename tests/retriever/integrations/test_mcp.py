import asyncio
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from typer.testing import CliRunner

from retriever import Retriever
from retriever.cli.main import app
from retriever.errors import InvalidInputError
from retriever.integrations.citations import token_counter
from retriever.integrations.mcp import build_server, document_uri
from tests.factories import CORPUS

QUERY = "where is the cat"
PATIENCE = 60  # seconds, for machines that do other things beside
TOKEN = "a-secret-for-the-tests"
PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
COMMAND = [sys.executable, "-c", "from retriever.cli.main import main; main()", "mcp"]


def session(server, work):
    """Run `work(client)` against a server or a transport."""

    async def run():
        async with Client(server) as client:
            return await work(client)

    return asyncio.run(run())


def test_stdio_search_returns_what_the_python_api_returns(saved):
    async def work(client):
        names = [tool.name for tool in (await client.list_tools()).tools]
        found = await client.call_tool("search", {"query": QUERY, "k": 3, "filter": {"lang": "en"}})
        document = await client.call_tool("get_document", {"id": "cat"})
        return names, found, document

    parameters = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], str(saved)])
    names, found, document = session(stdio_client(parameters), work)
    assert names == ["search", "get_document", "list_collections"]
    with Retriever.open(saved) as retriever:
        expected = retriever.search(QUERY, k=3, filter={"lang": "en"})
    passages = found.structured_content["passages"]
    assert [(one["id"], one["score"], one["passage"]) for one in passages] == [
        (one.id, one.score, one.passage) for one in expected
    ]
    assert [one["stages"] for one in passages] == [one.to_dict()["stages"] for one in expected]
    assert found.content[0].text.startswith("[1] Pets (id 'cat'")
    assert document.structured_content["text"] == "The cat sat on the mat."


def test_tools_describe_themselves(make):
    tools = session(build_server({"notes": make()}), lambda client: client.list_tools()).tools
    for tool in tools:
        assert len(tool.description) > 40
        assert tool.output_schema["type"] == "object"
        assert tool.annotations.read_only_hint
        for field in tool.input_schema["properties"].values():
            assert field["description"]
    search = tools[0].input_schema
    assert search["required"] == ["query"]
    assert search["properties"]["collection"]["enum"] == ["notes"]


def test_several_collections_have_to_be_named(make):
    other = make([{"id": "1", "text": "one red"}])

    async def work(client):
        schema = (await client.list_tools()).tools[0].input_schema
        unnamed = await client.call_tool("search", {"query": QUERY})
        wrong = await client.call_tool("search", {"query": QUERY, "collection": "nope"})
        right = await client.call_tool("search", {"query": "red", "collection": "other"})
        return schema, unnamed, wrong, right, await client.call_tool("list_collections", {})

    schema, unnamed, wrong, right, listed = session(build_server({"notes": make(), "other": other}), work)
    assert "collection" in schema["required"]
    for refused in (unnamed, wrong):
        assert refused.is_error
        assert "notes, other" in refused.content[0].text
    assert right.structured_content["passages"][0]["id"] == "1"
    collections = {one["name"]: one for one in listed.structured_content["collections"]}
    assert collections["notes"]["documents"] == len(CORPUS)
    assert collections["notes"]["fields"]["lang"] == ["en", "de"]
    assert "other: 1 documents; metadata fields: none" in listed.content[0].text


def test_answers_stay_within_the_budget(make):
    retriever = make([{"id": f"d{i}", "text": "The cat sat on the mat. " * 40} for i in range(8)])
    count = token_counter(retriever.encoder)

    async def work(client):
        whole = await client.call_tool("search", {"query": "cat", "k": 8})
        small = await client.call_tool("search", {"query": "cat", "k": 8, "max_tokens": 150})
        greedy = await client.call_tool("search", {"query": "cat", "k": 8, "max_tokens": 99999})
        return whole, small, greedy

    whole, small, greedy = session(build_server({"notes": retriever}, max_tokens=700), work)
    for answer, budget in ((whole, 700), (small, 150), (greedy, 700)):
        assert count(answer.content[0].text) <= budget
        found = answer.structured_content
        assert found["omitted"] + len(found["passages"]) == 8
        assert found["omitted"] > 0
    assert not small.structured_content["passages"][0]["complete"]


def test_long_documents_are_read_in_parts(make):
    text = " ".join(f"Wind {i} over the sea." for i in range(300))
    server = build_server({"notes": make([{"id": "long", "text": text}])}, max_tokens=200)

    async def work(client):
        parts, start = [], 0
        while start is not None:
            part = (await client.call_tool("get_document", {"id": "long", "start": start})).structured_content
            parts.append(part["text"])
            start = part["next_start"]
        beyond = await client.call_tool("get_document", {"id": "long", "start": 10**9})
        return parts, beyond

    parts, beyond = session(server, work)
    assert len(parts) > 3
    assert max(len(part) for part in parts) > 100
    assert "".join(parts) == text
    assert beyond.is_error


def test_all_tools_keep_to_the_budget(make):
    many = {f"field {n} of many": f"value {n}" for n in range(60)}
    docs = [{"id": "d", "title": "sea wind " * 200, "text": "storm over the sea " * 200, "metadata": many}]
    retriever = make(docs)
    count = token_counter(retriever.encoder)
    server = build_server({f"notes {n}": retriever for n in range(12)}, max_tokens=100)

    async def work(client):
        document = await client.call_tool("get_document", {"id": "d", "collection": "notes 3"})
        return document, await client.call_tool("list_collections", {})

    document, listed = session(server, work)
    assert count(document.content[0].text) <= 100
    assert "storm" in document.structured_content["text"]
    assert 0 < len(document.structured_content["metadata"]) < 60
    assert count(listed.content[0].text) <= 100
    assert listed.structured_content["collections"][0]["name"] == "notes 0"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_ends_the_server_though_it_waits_for_input(saved):
    again = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + COMMAND[2]
    program = [COMMAND[0], "-c", again, "mcp", str(saved)]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(PING)
    process.stdin.flush()
    process.stdout.readline()  # it listens
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=PATIENCE) == 130
    finally:
        process.kill()


def test_a_port_that_is_taken_is_named_before_anything_is_loaded(saved):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["mcp", str(saved), "--http", "--port", str(port)])
    assert done.exit_code == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("search", {"query": "  "}, "empty"),
        ("search", {"query": "cat", "k": 0}, "greater than or equal to 1"),
        ("search", {"query": "cat", "filter": {"year": {"above": 1}}}, "above"),
        ("search", {"query": "cat", "max_tokens": 1}, "64"),
        ("get_document", {"id": "../../etc/passwd"}, "no document"),
        ("get_document", {}, "id"),
    ],
)
def test_wrong_calls_are_explained(make, tool, arguments, named):
    answer = session(build_server({"notes": make()}), lambda client: client.call_tool(tool, arguments))
    assert answer.is_error
    assert named in answer.content[0].text


def test_documents_are_resources_whatever_their_ids(make):
    ids = ["a/b.md", "../up.md", "50% off?#x", "漢字", "/etc/passwd"]
    server = build_server({"my notes": make([{"id": id, "text": f"Wind {i}."} for i, id in enumerate(ids)])})

    async def work(client):
        listed = (await client.list_resources()).resources
        templates = (await client.list_resource_templates()).resource_templates
        described = await client.read_resource(listed[0].uri)
        read = [await client.read_resource(document_uri("my notes", id)) for id in ids]
        uri = (await client.call_tool("search", {"query": "Wind 1"})).structured_content["passages"][0]["uri"]
        with pytest.raises(MCPError, match="no document"):
            await client.read_resource(document_uri("my notes", "../../etc/passwd"))
        return templates, described, [one.contents[0].text for one in read], await client.read_resource(uri)

    templates, described, read, followed = session(server, work)
    assert len(templates) == 1
    assert '"documents": 5' in described.contents[0].text
    assert read == [f"Wind {i}." for i in range(len(ids))]
    assert followed.contents[0].text.startswith("Wind")


def test_nothing_to_serve_is_refused(make):
    with pytest.raises(InvalidInputError, match="no collection"):
        build_server({})
    with pytest.raises(InvalidInputError, match="max_tokens"):
        build_server({"notes": make()}, max_tokens=1)


@pytest.fixture
def listening(saved):
    """The address of `retriever mcp --http` in a process of its own, behind a token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*COMMAND, str(saved), "--http", "--port", str(port), "--token", TOKEN]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_streamable_http_needs_the_token(listening, saved):
    @asynccontextmanager
    async def with_token(token):
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE) as http,
            streamable_http_client(listening, http_client=http) as streams,
        ):
            yield streams

    found = session(with_token(TOKEN), lambda client: client.call_tool("search", {"query": QUERY}))
    with Retriever.open(saved) as retriever:
        expected = [one.id for one in retriever.search(QUERY, k=5)]
    assert [one["id"] for one in found.structured_content["passages"]] == expected
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert httpx2.post(listening, json={}, headers=headers, timeout=PATIENCE).status_code == 401
    hostile = {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}
    assert httpx2.post(listening, json={}, headers=hostile, timeout=PATIENCE).status_code == 421


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--http", "--host", "0.0.0.0"], "RETRIEVER_READ_TOKEN"),
        (["--http", "--token", "short"], "at least 16"),
        (["--max-tokens", "1"], "64"),
    ],
)
def test_dangerous_and_wrong_options_are_wrong_use(saved, options, named):
    done = CliRunner().invoke(app, ["mcp", str(saved), *options])
    assert done.exit_code == 2
    assert named in " ".join(done.output.split())


def test_folders_of_one_name_are_wrong_use(saved, tmp_path):
    done = CliRunner().invoke(app, ["mcp", str(saved), str(tmp_path / "other" / "notes")])
    assert done.exit_code == 2
    assert "rename" in done.output


def test_no_collection_is_a_failure_with_a_message(tmp_path):
    done = CliRunner().invoke(app, ["mcp", str(tmp_path)])
    assert done.exit_code == 1
    assert "error:" in done.output
