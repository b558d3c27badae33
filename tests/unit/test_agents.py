"""What an agent may do through `tollgate mcp`: read, unless writing was allowed when it was started (docs/agents.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp.client.client import Client

from tests.answering import Answering, answering
from tests.profiles import examples
from tollgate_cli import agents
from tollgate_cli.api import Api
from tollgate_cli.errors import CommandError

VALUES = {
    "string": st.text(min_size=1, max_size=5),
    "integer": st.integers(1, 200),
    "number": st.floats(0.5, 1000),
    "object": st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
}


@pytest.fixture(scope="module")
def there() -> Iterator[Answering]:
    with answering() as told:
        told.content = b'{"list": [], "next_cursor": null}'
        yield told


def tools(url: str, *, writes: bool) -> list[Any]:
    async def asked() -> list[Any]:
        async with Client(agents.server(Api(url, "am_sk_test_x"), writes=writes)) as client:
            return list((await client.list_tools()).tools)

    return anyio.run(asked)


def call(url: str, name: str, arguments: dict[str, Any], *, writes: bool) -> tuple[bool, str]:
    """Whether it failed, and what is told."""

    async def asked() -> tuple[bool, str]:
        async with Client(agents.server(Api(url, "am_sk_test_x"), writes=writes)) as client:
            done: Any = await client.call_tool(name, arguments)
            return done.is_error, done.content[0].text

    return anyio.run(asked)


def test_without_the_flag_every_tool_reads_and_says_so(there: Answering) -> None:
    reading, all_of_them = tools(there.url, writes=False), tools(there.url, writes=True)
    assert all(tool.annotations.read_only_hint for tool in reading)
    more = {tool.name for tool in all_of_them} - {tool.name for tool in reading}
    assert more == {"create_customer", "attach_plan", "grant_units", "track_use"}
    assert not any(tool.annotations.read_only_hint for tool in all_of_them if tool.name in more)
    for tool in all_of_them:
        assert tool.description
        for field in tool.input_schema["properties"].values():
            assert field.get("description") or tool.name == "create_customer"


def _value(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    kinds = {kind.get("type"): kind for kind in (field, *field.get("anyOf", ()))}
    if "number" in kinds:  # an exact number may be a text of digits too
        return VALUES["number"]
    known = [kind for name, kind in kinds.items() if name in VALUES]
    return st.one_of([st.sampled_from(kind["enum"]) if "enum" in kind else VALUES[kind["type"]] for kind in known])


@settings(max_examples=examples(0.4), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_tool_is_given_without_the_flag_it_makes_no_call_that_writes(
    data: st.DataObject, there: Answering
) -> None:
    listed = _listed(there.url)
    tool = data.draw(st.sampled_from(listed))
    fields, required = tool.input_schema["properties"], tool.input_schema.get("required", [])
    given = {
        name: data.draw(_value(field)) for name, field in fields.items() if name in required or data.draw(st.booleans())
    }
    there.asked.clear()
    failed, text = call(there.url, tool.name, given, writes=False)
    assert not failed, text
    assert {path.removeprefix("/v1/") for path, _ in there.asked} <= agents.READS
    assert len(there.asked) == 1


_KNOWN: dict[str, list[Any]] = {}


def _listed(url: str) -> list[Any]:
    if url not in _KNOWN:
        _KNOWN[url] = tools(url, writes=False)
    return _KNOWN[url]


@pytest.mark.parametrize("name", ["create_customer", "attach_plan", "grant_units", "track_use"])
def test_a_tool_that_writes_is_unknown_without_the_flag(name: str, there: Answering) -> None:
    there.asked.clear()
    assert call(there.url, name, {"customer_id": "c"}, writes=False) == (True, f"Unknown tool: {name}")
    assert there.asked == []


def test_the_calls_behind_the_tools_refuse_to_write_without_the_flag(there: Answering) -> None:
    """Were a tool to be added among those that read, and write."""
    there.asked.clear()
    with pytest.raises(CommandError, match="without --allow-writes"):
        agents.Caller(Api(there.url, "am_sk_test_x"), writes=False)("customers.delete", customer_id="c")
    assert there.asked == []


def test_an_amount_arrives_as_it_was_said(there: Answering) -> None:
    there.asked.clear()
    use = {"customer_id": "c", "feature_id": "f", "value": 0.1, "idempotency_key": "k"}
    call(there.url, "track_use", use, writes=True)
    ((_, body),) = there.asked
    assert b'"value":0.1,' in body
    assert json.loads(body)["async"] is False


def test_what_the_api_refuses_is_told_to_the_agent_in_a_line() -> None:
    with answering() as refusing:
        refusing.status, refusing.content = 404, b'{"message": "Customer c not found"}'
        failed, text = call(refusing.url, "get_customer", {"customer_id": "c"}, writes=False)
    assert failed
    assert "404: Customer c not found" in text
    failed, text = call(refusing.url, "get_customer", {"customer_id": "c"}, writes=False)  # it has gone
    assert failed
    assert "no answer" in text
