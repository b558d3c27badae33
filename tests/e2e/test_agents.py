"""`tollgate mcp` as an agent's client starts it, on the deployed stack."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.conftest import ROOT
from tests.e2e.fixture import Shop, monthly, new
from tollgate_cli.stack import Stack

Ask = Callable[..., Awaitable[Any]]


def with_an_agent(stack: Stack, *options: str, of: Callable[[Ask, set[str]], Awaitable[None]]) -> None:
    """Runs what an agent does with the server's tools."""
    env = {"PATH": os.environ["PATH"], "TOLLGATE_URL": stack.url, "TOLLGATE_SECRET_KEY": stack.secret_key}
    started = StdioServerParameters(
        command=sys.executable, args=["-m", "tollgate_cli", "mcp", *options], env=env, cwd=str(ROOT)
    )

    async def run() -> None:
        async with Client(stdio_client(started)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}

            async def ask(tool: str, **arguments: Any) -> Any:
                done: Any = await client.call_tool(tool, arguments)
                text = done.content[0].text
                return text if done.is_error else json.loads(text)

            await of(ask, names)

    anyio.run(run)


def test_an_agent_finds_out_why_a_customer_was_denied(stack: Stack, shop: Shop) -> None:
    customer = shop.customer(monthly(10))
    shop.track(customer, 4)

    async def agent(ask: Ask, names: set[str]) -> None:
        assert "messages" in [one["id"] for one in (await ask("list_features"))["list"]]
        assert [one["id"] for one in (await ask("find_customers", search=customer))["list"]] == [customer]
        assert (await ask("get_customer", customer_id=customer))["balances"]["messages"]["remaining"] == 6
        asked = {"customer_id": customer, "feature_id": "messages", "required_balance": 6.5}
        explained = await ask("explain_check", **asked)
        assert (explained["allowed"], explained["would_allow"]["changes"][0]["amount"]) == (False, 0.5)
        assert "404" in await ask("get_customer", customer_id=new())
        for name in names & {"track_use", "grant_units", "attach_plan", "create_customer"}:
            raise AssertionError(name)

    with_an_agent(stack, of=agent)
    assert shop.left(customer) == 6


def test_an_agent_that_may_write_counts_a_use_once(stack: Stack, shop: Shop) -> None:
    customer, key = shop.customer(monthly(10)), new("key")

    async def agent(ask: Ask, names: set[str]) -> None:
        use = {"customer_id": customer, "feature_id": "messages", "value": 2.5, "idempotency_key": key}
        assert "track_use" in names
        assert (await ask("track_use", **use))["balance"]["remaining"] == 7.5
        assert "409" in await ask("track_use", **use)

    with_an_agent(stack, "--allow-writes", of=agent)
    assert shop.left(customer) == 7.5
