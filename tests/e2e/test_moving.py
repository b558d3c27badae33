"""An environment moves from one deployed stack to another by `tollgate export` and `tollgate restore`: the same keys and
calls are answered the same there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.conftest import ROOT, create_table, wait_for
from tests.e2e.fixture import Shop, monthly, new, per_entity, rolling
from tests.e2e.moving_in import Target, moved_in
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.runtime import clock
from tollgate.store.table import Table
from tollgate_cli import demo, deploy
from tollgate_cli import stack as local
from tollgate_cli.__main__ import app
from tollgate_cli.api import Api
from tollgate_cli.servers import free_port, ministack
from tollgate_cli.stack import Stack


class Recovered(NamedTuple):
    """A stack over a table that was restored to a point in time, and a key that the table had before."""

    stack: Stack
    key: str


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recovered]:
    """As docs/recovery.md says, step by step: a restored table has neither its stream nor its time to live."""
    state, port = tmp_path_factory.mktemp("other"), free_port()
    with ministack(port, None, state / "ministack.log", AWS_ENDPOINT_URL=f"http://localhost:{port}"):
        client: Any = local.aws(f"http://localhost:{port}", "dynamodb")
        lost = create_table(client)
        _, key = local.api_keys(Table(client, lost)).create(Environment.LIVE, Scope.SECRET, "before", clock())
        name = "tollgate-restored"
        client.restore_table_to_point_in_time(SourceTableName=lost, TargetTableName=name, UseLatestRestorableTime=True)
        assert "LatestStreamArn" not in client.describe_table(TableName=name)["Table"]
        images = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        client.update_table(TableName=name, StreamSpecification=images)
        client.update_time_to_live(TableName=name, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
        stream = client.describe_table(TableName=name)["Table"]["LatestStreamArn"]
        parameters = {"ExistingTable": name, "ExistingTableStream": stream}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deploy, "deploy", partial(deploy.deploy, parameters=parameters))
            running, _ = local.start(port, state, detached=False)
        assert running.outputs["TableName"] == name
        assert sorted(client.list_tables()["TableNames"]) == sorted([lost, name])
        yield Recovered(running, key)


@pytest.fixture
def other(recovered: Recovered) -> Stack:
    """Another stack than the run's."""
    return recovered.stack


def test_a_stack_takes_a_restored_table(recovered: Recovered) -> None:
    """With the keys that it had; what is used there reaches the history, as the next tests see."""
    assert Shop(recovered.stack, recovered.key).raw("features.list", {}).json() == {"list": []}


def typed(patch: pytest.MonkeyPatch, stack: Stack, *words: str, env: str = "live") -> str:
    """What a command prints that works on this stack's table."""
    patch.setattr(local, "environment_table", lambda: stack.table)
    done = CliRunner().invoke(app, [*words, "--env", env], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def told(shop: Shop, customer: str) -> dict[str, Any]:
    """All that the API says of a customer that does not depend on the instant."""
    asked = {"customer_id": customer}
    month = asked | {"feature_id": "messages", "range": "30d", "bin_size": "month"}
    return {
        "customer": shop.raw("customers.get", asked).json(),
        "subscriptions": shop.raw("subscriptions.list", asked).json(),
        "entities": shop.raw("entities.list", asked).json(),
        "balances": shop.raw("balances.list", asked).json(),
        "locks": shop.raw("balances.list_locks", asked).json(),
        "events": shop.raw("events.list", asked).json(),
        "sums": shop.raw("events.aggregate", month).json().get("total"),
    }


def listed(shop: Shop, customer: str) -> list[float]:
    """The units of each use in the history, the newest first."""
    return [event["value"] for event in shop.raw("events.list", {"customer_id": customer}).json()["list"]]


def test_an_environment_moves_to_another_stack(
    live: Shop, stack: Stack, other: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.fill()
    shares = per_entity(monthly(7))
    customer = live.customer(monthly(100, **rolling(max=50)), shares, entities=1)
    run = new("run")
    used = {"customer_id": customer, "feature_id": "messages", "value": 2.5, "async": False}
    for number in range(3):
        assert live.raw("track", used, idempotency_key=f"{run}-{number}").status_code == 200
    terms = {"lock_id": run, "enabled": True}
    held = {"customer_id": customer, "feature_id": "messages", "required_balance": 30, "lock": terms}
    assert live.raw("check", held).json()["allowed"]
    wait_for(lambda: listed(live, customer) == [30, 2.5, 2.5, 2.5], 60, "the history of four uses")

    folder = tmp_path / "live"
    assert "items of live are in" in typed(monkeypatch, stack, "export", str(folder))
    assert "items are in live" in typed(monkeypatch, other, "restore", str(folder))

    there = Shop(other, stack.live_secret_key)
    assert told(there, customer) == told(live, customer)
    again = there.raw("track", used, idempotency_key=f"{run}-0")
    assert (again.status_code, again.json()["code"]) == (409, "duplicate_idempotency_key")
    finalized = {"lock_id": run, "action": "confirm", "override_value": 10}
    for shop in (live, there):
        assert shop.raw("balances.finalize", finalized).json()["success"]
        assert shop.track(customer, 5).balance.remaining == 107 - 7.5 - 10 - 5
    wait_for(lambda: listed(live, customer)[0] == 5, 60, "the use after the move")
    wait_for(lambda: listed(there, customer) == listed(live, customer), 60, "the same history")
    assert there.left(customer, entity="e1") == live.left(customer, entity="e1")


def test_all_of_the_demo_comes_back(other: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traffic is replayed, everything is exported, everything is lost but the keys: then it is answered as before."""
    load = demo.Load(demo.read_trace(ROOT / "events" / "azure_llm_2023_code_2000.csv", 24), customers=3, workers=2)
    api = Api(other.url, other.secret_key, load.workers)
    api.call("webhooks.create", {"id": "hook", "url": "https://hooks.example/told", "disabled": True})
    proof = demo.run(api, other.outputs["BusName"], other.client, load, Console(quiet=True))
    assert proof.holds
    shop = Shop(other, other.secret_key)
    for id, amount in proof.allowed.items():
        wait_for(lambda id=id, amount=amount: sum(listed(shop, id)) == amount, 60, "the history of the traffic")  # type: ignore[misc]
    before = {id: told(shop, id) for id in (*proof.allowed, "customer-1")}
    typed(monkeypatch, other, "export", str(tmp_path / "out"), env="sandbox")
    lost(other.table)
    assert api.call("customers.list", {})["list"] == []
    assert "Webhooks are off" in typed(monkeypatch, other, "restore", str(tmp_path / "out"), env="sandbox")
    assert {id: told(shop, id) for id in before} == before
    assert api.call("webhooks.list", {})["list"][0]["disabled"]


def lost(table: Table) -> None:
    """Everything of the sandbox is gone, but its keys."""
    for page in table.client.get_paginator("scan").paginate(TableName=table.name):
        for item in page["Items"]:
            if item["pk"]["S"].startswith(("sandbox#", "WEBHOOK")):
                table.client.delete_item(TableName=table.name, Key={name: item[name] for name in ("pk", "sk")})


def test_a_customer_moves_in_from_autumn(live: Shop, stack: Stack, other: Stack, tmp_path: Path) -> None:
    """By Autumn's API, from one deployed stack to another: it is answered the same there."""
    live.fill()
    shares = per_entity(monthly(7))
    customer = live.customer(monthly(100, **rolling(max=50)), shares, entities=1, name="Ünïcode", metadata={"a": [1]})
    live.api.call("balances.create", {"customer_id": customer, "feature_id": "messages", "included_grant": 2.5})
    live.track(customer, 12.25)
    live.track(customer, 3, entity_id="e1")
    there = Shop(other, other.live_secret_key)
    assert there.raw("customers.get", {"customer_id": customer}).status_code == 404
    target = Target(other.url, other.live_secret_key, other.table)
    done = moved_in("autumn", stack.url, stack.live_secret_key, target, tmp_path, customer)
    assert done.told == [], done.printed
    assert (
        there.raw("customers.get", {"customer_id": customer}).json()["balances"]
        == (live.raw("customers.get", {"customer_id": customer}).json()["balances"])
    )
    for shop in (live, there):
        assert shop.track(customer, 5).balance.remaining == 107 + 2.5 - 15.25 - 5
    wrong = Target(other.url, other.secret_key, other.table)
    refused = moved_in("autumn", stack.url, stack.live_secret_key, wrong, tmp_path, customer)
    assert (refused.code, "the key is one of sandbox, not of live" in refused.printed) == (1, True)
    refused = moved_in("autumn", stack.url, stack.secret_key, target, tmp_path / "wrong", customer)
    assert (refused.code, "the key of Autumn is one of sandbox, not of live" in refused.printed) == (1, True)


def test_what_cannot_be_is_told_in_a_line(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "environment_table", lambda: stack.table)
    done = CliRunner().invoke(app, ["restore", str(tmp_path)])
    assert str(done.exception).endswith("manifest.json: No such file or directory: no export, or one that did not end")
