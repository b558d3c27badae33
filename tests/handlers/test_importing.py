"""What another service holds arrives in Tollgate to the unit: its own functions are the service that is left, and the one that is
moved to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.handlers.conftest import Here, a_place
from tests.http_service import Asked, tollgate
from tests.service import FIXTURE
from tollgate.domain.balances import all_as_of
from tollgate.domain.customers import Holdings
from tollgate.domain.environments import CustomerRef, Environment
from tollgate_cli.importing.autumn import Autumn
from tollgate_cli.importing.flexprice import Flexprice
from tollgate_cli.importing.journal import Journal, Told
from tollgate_cli.importing.lotus import Lotus
from tollgate_cli.importing.run import Import, Options, Sides
from tollgate_cli.importing.source import Source

KEYS = {"left": "sandbox", "moved-to": "live"}
READERS: dict[str, Any] = {"autumn": Autumn, "flexprice": Flexprice, "lotus": Lotus}
DAY = 86_400_000
MANY_IN_ONE = "how much was used of each grant is not told"


@pytest.fixture
def there() -> Iterator[Here]:
    """Tollgate as it is left, in the sandbox; its live environment is where the move goes."""
    with a_place(FIXTURE) as place:
        yield place


def now() -> int:
    return time.time_ns() // 1_000_000


def ask(here: Here, route: str, function: str = "manage", environment: str = "sandbox", **body: Any) -> Any:
    status, answer = here.call(function, f"POST /v1/{route}", body, environment=environment)
    assert status < 300, (route, body, answer)
    return answer


def track(here: Here, customer_id: str, feature_id: str, value: float, **more: Any) -> None:
    body: Any = {"customer_id": customer_id, "feature_id": feature_id, "value": value, "async": False, **more}
    ask(here, "track", "track", **body)


def reader(vendor: str, key: str) -> Source:
    """The reader of a vendor, over the functions without a network; a key opens what is the same environment to it."""
    source: Source = READERS[vendor]("http://here", key, None, 4)
    answers = tollgate(KEYS)

    def answer(request: httpx.Request) -> httpx.Response:
        text = request.content.decode() or None
        url = request.url
        path = unquote(url.raw_path.decode().partition("?")[0].replace("%25", "%2525"))  # as API Gateway does
        said = answers(Asked(request.method, path, {}, None, dict(request.headers), url.query.decode(), text))
        return httpx.Response(said.status, text=said.body)

    inner: Any = source.client
    inner._http = httpx.Client(
        transport=httpx.MockTransport(answer), base_url="http://here", headers=inner._http.headers
    )
    source.environment = lambda: Environment.LIVE  # type: ignore[method-assign]
    return source


@contextmanager
def journal(path: Path) -> Iterator[Journal]:
    kept = Journal(path / "journal.sqlite", {})
    try:
        yield kept
    finally:
        kept.close()


def moved(here: Here, vendor: str, path: Path, **options: Any) -> list[Told]:
    """Moves everything, and returns what is not as it was."""
    both = Sides(reader(vendor, "left"), reader(vendor, "moved-to"), here.service.table)
    with journal(path) as kept:
        Import(both, kept, Options(Environment.LIVE, **options), lambda *_: None, now).run()
        return list(kept.told())


def held(here: Here, id: str, env: Environment) -> Holdings:
    return here.service.customers.get(CustomerRef(env, id))


def unlike(here: Here, id: str) -> set[str]:
    """The names of all fields of what is stored of a customer that are not the same in both environments, and may not
    differ: what is spent may be drawn from the grants already."""
    one, other = held(here, id, Environment.SANDBOX), held(here, id, Environment.LIVE)
    at = now()
    found = {"balances"} if one.balances.keys() != other.balances.keys() else set()
    first, second = all_as_of(one.balances, at), all_as_of(other.balances, at)
    for key in first:
        found |= {name for name in first[key]._fields if getattr(first[key], name) != getattr(second[key], name)} - {
            "grants"
        }
        for a, b in zip(first[key].grants, second[key].grants, strict=True):
            differing = {name for name in a._fields if getattr(a, name) != getattr(b, name)}
            if a.starts_at is None and b.starts_at is None:
                differing -= {"takes"}  # it has taken over what it was to
            found |= {f"grants.{name}" for name in differing}
    for subscription in one.subscriptions.values():
        its = other.subscriptions[subscription.id]
        names = [field.name for field in fields(subscription)]
        found |= {f"subscriptions.{name}" for name in names if getattr(subscription, name) != getattr(its, name)}
    if (one.customer, one.entities) != (other.customer, other.entities):
        found.add("customer")
    return found


def month(included: float, feature: str = "messages", **more: Any) -> dict[str, Any]:
    return {"feature_id": feature, "included": included, "reset": {"interval": "month"}, **more}


ROLLS: Any = {"rollover": {"max": 50, "expiry_duration_type": "month", "expiry_duration_length": 2}}
PER_USE = {"billing_method": "usage_based", "amount": 0.5, "interval": "month", "max_purchase": 20}
BOUGHT = {"billing_method": "prepaid", "amount": 1, "interval": "month"}
ALERT = {"feature_id": "messages", "threshold": 80, "threshold_type": "usage_percentage"}
PRO: dict[str, Any] = {
    "plan_id": "pro",
    "name": "Pro",
    "price": {"amount": 20, "interval": "month"},
    "items": [
        month(100, **ROLLS),
        month(10.5, "action1", price=PER_USE),
        {"feature_id": "dashboard"},
        {"feature_id": "users", "included": 3},
        month(7, "action2", entity_feature_id="users"),
        month(0, "credits", price=BOUGHT),
    ],
    "free_trial": {"duration_length": 7, "duration_type": "day"},
    "billing_controls": {"usage_alerts": [ALERT]},
}
ODD = "a/b?c%20"


def stocked(here: Here) -> None:
    """Plans, and customers who hold them in many ways."""
    ask(here, "plans.create", plan_id="free", name="Free", auto_enable=True, items=[month(5)])
    ask(here, "plans.create", **PRO)
    once: Any = {"amount": 5, "interval": "one_off"}
    pack = {"feature_id": "messages", "included": 30}
    ask(here, "plans.create", plan_id="pack", name="Pack", add_on=True, items=[pack], price=once)
    named: Any = {"name": "Ünïcode — 漢字", "email": "a@b.example", "metadata": {"x": [1, None]}}
    ask(here, "customers.get_or_create", customer_id=ODD, **named)
    quantity = [{"feature_id": "credits", "quantity": 12.5}]
    long_ago = now() - 100 * DAY
    pro: Any = {"customer_id": ODD, "plan_id": "pro", "starts_at": long_ago, "feature_quantities": quantity}
    ask(here, "billing.attach", **pro, free_trial=None)
    for _ in range(2):
        ask(here, "billing.attach", customer_id=ODD, plan_id="pack")
    ask(here, "entities.create", customer_id=ODD, entity_id="e/1", feature_id="users", name="One")
    daily: Any = {"usage_limits": [{"feature_id": "action2", "limit": 6, "interval": "day"}]}
    ask(here, "entities.create", customer_id=ODD, entity_id="e2", feature_id="users", billing_controls=daily)
    track(here, ODD, "messages", 70.25)
    track(here, ODD, "action2", 2.5, entity_id="e2")
    track(here, ODD, "action1", 15)
    by_hand: list[dict[str, Any]] = [
        {"feature_id": "messages", "included_grant": 9, "expires_at": now() + 20 * DAY},
        {"feature_id": "action3", "unlimited": True},
        {"feature_id": "credits2", "included_grant": 40, "reset": {"interval": "week", "interval_count": 2}},
        {"feature_id": "messages", "included_grant": 4, "entity_id": "e/1"},
    ]
    for balance in by_hand:
        ask(here, "balances.create", customer_id=ODD, **balance)
    ask(here, "balances.update", customer_id=ODD, feature_id="credits2", next_reset_at=now() + 3 * DAY)
    ask(here, "customers.get_or_create", customer_id="plain")
    ask(here, "billing.attach", customer_id="plain", plan_id="pro")
    ask(here, "billing.update", customer_id="plain", plan_id="pro", cancel_action="cancel_end_of_cycle")
    ask(here, "plans.update", plan_id="pro", items=[month(200, **ROLLS)])
    limits: Any = {
        "usage_limits": [{"feature_id": "messages", "limit": 50, "interval": "month"}],
        "spend_limits": [{"feature_id": "action1", "overage_limit": 3}],
    }
    ask(here, "customers.get_or_create", customer_id="newer", billing_controls=limits)
    ask(here, "billing.attach", customer_id="newer", plan_id="pro", plan_schedule="end_of_cycle")
    track(here, "newer", "messages", 8)


def test_everything_arrives_to_the_unit(there: Here, tmp_path: Path) -> None:
    """What is stored is equal, field for field, but for what only Lotus counts (units that other grants paid for)."""
    stocked(there)
    assert moved(there, "autumn", tmp_path) == []
    for id in (ODD, "plain", "newer"):
        assert unlike(there, id) <= {"grants.used_elsewhere"}, id


def test_a_rule_that_no_answer_tells_is_told(there: Here, tmp_path: Path) -> None:
    """A balance that was set by hand rolls over by a rule that Autumn's API does not show."""
    ask(there, "customers.get_or_create", customer_id="c")
    rule = {"max": 5, "expiry_duration_type": "forever"}
    balance: Any = {"feature_id": "messages", "included_grant": 40, "reset": {"interval": "week"}, "rollover": rule}
    ask(there, "balances.create", customer_id="c", **balance)
    told = moved(there, "autumn", tmp_path)
    assert {(each.customer, each.feature, each.what) for each in told} == {("c", "messages", "rolls over")}
    assert all("not told" in each.reason for each in told)


def flexprice(here: Here, route: str, **body: Any) -> Any:
    status, answer = here.call(
        "entitlements", route, body or None, environment="sandbox", headers={"x-api-key": "left"}
    )
    assert status < 300, (route, body, answer)
    return answer


def test_from_flexprice(there: Here, tmp_path: Path) -> None:
    """Limits, usage and resets of each subscription and its add-ons; overrides; static values; archived things."""
    meter = {
        "name": "Tokens",
        "event_name": "llm",
        "aggregation": {"type": "SUM", "field": "tokens"},
        "reset_usage": "BILLING_PERIOD",
        "filters": [{"key": "model", "values": ["a", "b"]}],
    }
    tokens = flexprice(there, "POST /v1/features", name="Tokens", type="metered", lookup_key="tokens", meter=meter)
    export = flexprice(there, "POST /v1/features", name="Export", type="boolean", lookup_key="export")
    tier = flexprice(there, "POST /v1/features", name="Tier", type="static", lookup_key="tier")
    plan = flexprice(there, "POST /v1/plans", name="Pro", lookup_key="pro", metadata={"a": "b"})
    addon = flexprice(there, "POST /v1/addons", name="More", lookup_key="more", type="multiple_instance")
    for owner, kind in ((plan, "PLAN"), (addon, "ADDON")):
        of = {"entity_id": owner["id"], "entity_type": kind}
        limit: Any = {"usage_limit": 100, "usage_reset_period": "MONTHLY", "is_soft_limit": kind == "PLAN"}
        flexprice(there, "POST /v1/entitlements", feature_id=tokens["id"], feature_type="metered", **of, **limit)
    of = {"entity_id": plan["id"], "entity_type": "PLAN"}
    flexprice(there, "POST /v1/entitlements", feature_id=export["id"], feature_type="boolean", is_enabled=True, **of)
    flexprice(there, "POST /v1/entitlements", feature_id=tier["id"], feature_type="static", static_value="gold", **of)
    for id in ("c/1", "c2"):
        flexprice(there, "POST /v1/customers", external_id=id, name=f"Customer {id}", email=f"{id[0]}@b.example")
    start = "2026-01-31T10:00:00Z"
    billing: Any = {
        "currency": "usd",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "billing_cadence": "RECURRING",
    }
    made = [
        flexprice(
            there, "POST /v1/subscriptions", external_customer_id=id, plan_id=plan["id"], start_date=start, **billing
        )
        for id in ("c/1", "c2")
    ]
    flexprice(there, "POST /v1/subscriptions/addon", subscription_id=made[0]["id"], addon_id=addon["id"])
    flexprice(there, f"POST /v1/subscriptions/{made[1]['id']}/cancel", cancellation_type="end_of_period")
    track(there, "c/1", tokens["id"], 150)
    track(there, "c2", tokens["id"], 112.5)
    told = moved(there, "flexprice", tmp_path)
    assert [(each.customer, each.feature) for each in told] == [("c/1", tokens["id"])]
    assert MANY_IN_ONE in told[0].reason
    assert unlike(there, "c2") == set()


def test_from_lotus(there: Here, tmp_path: Path) -> None:
    ask(there, "plans.create", **{**PRO, "items": [*PRO["items"][:1], PRO["items"][1], PRO["items"][2]]})
    status, _ = there.call("lotus", "POST /api/customers/", {"customer_id": "c/1", "email": "a@b.example"})
    assert status == 201
    today = {"start_date": "2026-01-31T10:00:00Z", "customer_id": "c/1", "plan_id": "pro"}
    filters = [{"property_name": "region", "value": "eu"}]
    for more in ({}, {"subscription_filters": filters}):
        status, answer = there.call("lotus", "POST /api/subscriptions/", {**today, **more})
        assert status == 201 or more, answer
    track(there, "c/1", "messages", 30)
    track(there, "c/1", "action1", 12)
    told = moved(there, "lotus", tmp_path)
    assert told == []
