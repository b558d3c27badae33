"""Webhooks through the deployed stack: set up with Autumn's SDK, told of what happens, signed, and tried again.

Rules: management.md 15.3, 16; autumn.md 7.3.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard
from standardwebhooks import WebhookVerificationError
from svix import Webhook as Svix
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.documents import blocks
from tests.e2e.fixture import Shop, monthly, new
from tests.e2e.programs import CLIENTS, NODE
from tests.webhook_receiver import Received, Receiver, receiver
from tollgate_cli import stack as local
from tollgate_cli.__main__ import app
from tollgate_cli.stack import Stack

PAGE = ROOT / "docs" / "webhooks.md"
PATIENCE_SECONDS = 90.0  # of the emulator's stream, bus and queue


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def waited_for(look: Callable[[], Any]) -> Any:
    """What it finds, once it finds something."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come in time")


def came(there: Receiver, type: str, customer: str) -> Callable[[], Received | None]:
    def look() -> Received | None:
        return next((one for one in there.got if f'"type":"{type}"' in one.body and customer in one.body), None)

    return look


def in_python(got: Received, secret: str) -> Any:
    """What the page's receiver in Python makes of a call."""
    (block,) = (block for block in blocks(PAGE) if block.language == "python")
    names: dict[str, Any] = {}
    exec(block.text, names)
    return names["received"](got.body, got.headers, secret)


def in_typescript(got: Received, secret: str) -> Any:
    """The same of its receiver in TypeScript; what it printed where that fails."""
    (block,) = (block for block in blocks(PAGE) if block.language == "ts")
    called = f"console.log(JSON.stringify(received(...{json.dumps([got.body, got.headers, secret])})));"
    command: list[str | Path] = [
        NODE,
        "--input-type=module-typescript",
        "--experimental-strip-types",
        "--no-warnings",
        "-e",
        block.text + called,
    ]
    done = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def deliveries(shop: Shop, id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.api.call("webhooks.deliveries", {"id": id})["list"]
    return found


def test_a_limit_that_is_reached_is_told_as_autumn_tells_it(shop: Shop, there: Receiver) -> None:
    made = shop.autumn.webhooks.create(
        id=new("hook"), url=there.url, events=["balances.limit_reached", "customer.products.updated"]
    )
    try:
        assert made.secret.startswith("whsec_")
        assert made.id in [one.id for one in shop.autumn.webhooks.list(request={}).list]
        customer = shop.customer(monthly(5))
        shop.track(customer, 5)
        got = waited_for(came(there, "balances.limit_reached", customer))
        Standard(made.secret).verify(got.body, got.headers)
        Svix(made.secret).verify(got.body, got.headers)
        assert in_python(got, made.secret) == in_typescript(got, made.secret) == json.loads(got.body)
        with pytest.raises(WebhookVerificationError):
            in_python(got._replace(body=got.body + " "), made.secret)
        assert "WebhookVerificationError" in in_typescript(got._replace(body=got.body + " "), made.secret)
        assert json.loads(got.body) == {
            "type": "balances.limit_reached",
            "data": {"customer_id": customer, "feature_id": "messages", "limit_type": "included"},
        }
        plan = json.loads(waited_for(came(there, "customer.products.updated", customer)).body)["data"]
        assert (plan["scenario"], plan["customer"]["id"]) == ("new", customer)
        assert not [one for one in there.got if '"type":"billing.updated"' in one.body]
    finally:
        assert shop.autumn.webhooks.delete(id=made.id).success


def test_a_top_up_is_asked_for_when_little_is_left(shop: Shop, there: Receiver) -> None:
    """autumn.md 7.3, through Autumn's SDK: once, and no more often than the purchase limit says."""
    made = shop.autumn.webhooks.create(id=new("hook"), url=there.url, events=["billing.auto_topup_failed"])
    types = ["billing.auto_topup_failed", "billing.auto_topup_requested"]
    shop.api.call("webhooks.update", {"id": made.id, "events": types})
    try:
        customer = shop.customer(monthly(50))
        limit: Any = {"interval": "month", "limit": 1}
        stated: Any = {"feature_id": "messages", "threshold": 20, "quantity": 100, "enabled": True}
        controls: Any = {"auto_topups": [{**stated, "purchase_limit": limit}]}
        shown = shop.autumn.customers.update(customer_id=customer, billing_controls=controls).billing_controls
        kept = (shown.auto_topups or [])[0]
        assert (kept.threshold, kept.quantity, kept.enabled) == (20, 100, True)
        assert kept.purchase_limit
        assert kept.purchase_limit.limit == 1
        for value in (29, 6, 5):
            shop.track(customer, value)
        got = waited_for(came(there, "billing.auto_topup_requested", customer))
        Standard(made.secret).verify(got.body, got.headers)
        asked = json.loads(got.body)
        assert asked["data"] == {
            "customer_id": customer,
            "feature_id": "messages",
            "quantity": 100,
            "threshold": 20,
            "balance": 15,
            "invoice_mode": False,
        }
        bought = {"customer_id": customer, "feature_id": "messages", "included_grant": 100}
        assert shop.raw("balances.create", bought, Idempotency_Key=asked["id"]).status_code == 200
        shop.track(customer, 95)
        blocked = waited_for(came(there, "billing.auto_topup_failed", customer))
        assert json.loads(blocked.body)["data"]["reason"] == "purchase_limit_reached"
        types = [json.loads(one.body)["type"] for one in there.got]
        assert sorted(types) == ["billing.auto_topup_failed", "billing.auto_topup_requested"]
    finally:
        shop.autumn.webhooks.delete(id=made.id)


def test_what_the_clock_does_is_told_when_its_time_comes(shop: Shop, there: Receiver) -> None:
    """management.md 16: a plan that starts, and ends, with nobody calling."""
    made = shop.api.call("webhooks.create", {"id": new("hook"), "url": there.url, "dialect": "tollgate"})
    try:
        customer, plan = shop.customer(), shop.plan(monthly(5))
        start = int(time.time() * 1000) + 4_000
        times = {"starts_at": start, "ends_at": start + 3_000}
        shop.api.call("billing.attach", {"customer_id": customer, "plan_id": plan, **times})
        for what, at in (("started", start), ("ended", start + 3_000)):
            got = waited_for(came(there, f"subscription.{what}", customer))
            assert json.loads(got.body)["data"]["timestamp"] == at
            assert time.time() * 1000 >= at
        waited_for(came(there, "balance.lapsed", customer))
    finally:
        shop.api.call("webhooks.delete", {"id": made["id"]})


def test_what_is_not_taken_comes_again_under_the_same_id(shop: Shop, there: Receiver) -> None:
    """And after a rotation, either secret has signed it."""
    there.status = 503
    made = shop.api.call("webhooks.create", {"id": new("hook"), "url": there.url, "dialect": "tollgate"})
    id = made["id"]
    try:
        second = shop.api.call("webhooks.rotate_secret", {"id": id})["secret"]
        sent = shop.api.call("webhooks.test", {"id": id})
        waited_for(lambda: there.got)
        there.status = 204

        def delivered() -> dict[str, Any] | None:
            return next((one for one in deliveries(shop, id) if one["state"] == "delivered"), None)

        delivery = waited_for(delivered)
        assert [one["status"] for one in delivery["attempts"]] == [503, 204]
        assert delivery["attempts"][1]["at"] - delivery["attempts"][0]["at"] >= 5_000
        for got in there.got:
            assert got.headers["webhook-id"] == sent["id"]
            for secret in (made["secret"], second):
                Standard(secret).verify(got.body, got.headers)
    finally:
        shop.api.call("webhooks.delete", {"id": id})


def test_a_hanging_address_delays_no_other(shop: Shop, there: Receiver) -> None:
    with receiver() as hangs:
        hangs.release.clear()
        ids = [new("hook"), new("hook")]
        for id, where in zip(ids, (hangs, there), strict=True):
            shop.api.call("webhooks.create", {"id": id, "url": where.url})
        try:
            for _ in range(3):
                shop.api.call("webhooks.test", {"id": ids[0]})
            waited_for(lambda: hangs.got)
            shop.api.call("webhooks.test", {"id": ids[1]})
            waited_for(lambda: there.got)
            assert all(one["state"] == "pending" for one in deliveries(shop, ids[0]))
        finally:
            for id in ids:
                shop.api.call("webhooks.delete", {"id": id})


def test_an_address_that_must_not_be_called_is_refused(shop: Shop, live: Shop, there: Receiver) -> None:
    for url in ("http://example.com/", "https://169.254.169.254/latest/meta-data", "https://user:word@example.com/"):
        assert shop.raw("webhooks.create", {"id": new("hook"), "url": url}).status_code == 400
    assert live.raw("webhooks.create", {"id": new("hook"), "url": there.url}).status_code == 400


def test_the_command_line_does_it_all(stack: Stack, there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "current", lambda: stack)
    id = new("hook")

    def shown(*words: str) -> str:
        done = CliRunner().invoke(app, ["webhooks", *words])
        assert done.exit_code == 0, done.output
        return done.output

    def run(*words: str) -> Any:
        return json.loads(shown(*words, "--json"))

    def listed(*words: str) -> list[Any]:
        return [json.loads(line) for line in shown(*words, "--json").splitlines()]

    made = run("create", id, there.url, "--event", "balance.reset", "--dialect", "tollgate")
    assert (made["events"], made["dialect"]) == (["balance.reset"], "tollgate")
    assert id in [one["id"] for one in listed("list")]
    assert "payloads" in shown("list")
    assert run("update", id, "--off")["disabled"] is True
    assert run("update", id, "--on", "--description", "mine")["description"] == "mine"
    second = shown("rotate", id).splitlines()[-1]
    sent = run("test", id)
    waited_for(lambda: there.got)
    Standard(second).verify(there.got[0].body, there.got[0].headers)
    waited_for(lambda: listed("deliveries", id)[0]["state"] == "delivered")
    assert "tries" in shown("deliveries", id)
    assert run("resend", id, sent["id"])["state"] == "pending"
    assert run("delete", id) == {"success": True}
    assert CliRunner().invoke(app, ["webhooks", "delete", id]).exit_code == 1
