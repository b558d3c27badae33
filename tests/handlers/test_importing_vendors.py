"""Customers of services that answer as the vendors' documents say arrive, whatever the network and the data are like."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.handlers.conftest import Here, a_place
from tests.handlers.test_importing import READERS, held, now, reader
from tests.vendor_services import (
    DAY,
    NOW,
    AutumnService,
    autumn_balance,
    autumn_customer,
    autumn_plan,
    next_on,
    service,
)
from tollgate.dialects.autumn.customers import id_of_email
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import Environment
from tollgate.domain.plans import Plan
from tollgate.store.features import FeatureStore
from tollgate.store.plans import PlanStore
from tollgate_cli.importing import client
from tollgate_cli.importing.journal import Journal, Told
from tollgate_cli.importing.run import Import, Options, Sides
from tollgate_cli.importing.source import Misread

LIVE = Environment.LIVE
KEY = "am_sk_live_secret"
pytestmark = pytest.mark.handlers


@pytest.fixture
def here() -> Iterator[Here]:
    with a_place(()) as place:
        yield place


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.001)


def run(here: Here, vendor: str, url: str, path: Path, clock: Any = now, **options: Any) -> list[Told]:
    """Moves everything from a service to live, and returns what is told."""
    source = READERS[vendor](url, KEY, None, 4)
    both = Sides(source, reader(vendor, "moved-to"), here.service.table)
    kept = Journal(path / "journal.sqlite", {})
    try:
        Import(both, kept, Options(LIVE, **options), lambda *_: None, clock).run()
        return list(kept.told())
    finally:
        kept.close()


def grants(here: Here, customer: str, feature: str, entity: str = "") -> list[Any]:
    return list(held(here, customer, LIVE).balances[BalanceKey(feature, entity)].grants)


def test_failures_of_the_network_leave_no_trace(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eleven answers each, one is 500, one 502, one 429, one is cut and one is no JSON. That a plan is in use is written
    once, however many customers have it."""
    marked: list[str] = []
    mark = PlanStore.mark_used

    def counted(store: PlanStore, env: Environment, plan: Plan) -> None:
        marked.append(plan.id)
        mark(store, env, plan)

    monkeypatch.setattr(PlanStore, "mark_used", counted)
    autumn = AutumnService(autumn_customer, 30)
    with service(autumn.routes(), KEY, every=11) as (url, calls):
        told = run(here, "autumn", url, tmp_path, checks=False)
    assert [each for each in told if each.customer] == []
    assert {each.feature for each in told} == {"credits", "novel"}
    assert len(list(here.service.customers.listed(LIVE))) == 30
    assert marked == ["pro"]
    assert all((call.method == "POST" and ".list" in call.path) or call.path.endswith(".get") for call in calls)
    one = held(here, "customer-00007", LIVE)
    assert (one.customer.name, one.customer.created_at) == ("Kunde №7", NOW - 200 * DAY + 7)
    (messages,) = grants(here, "customer-00007", "messages")
    assert (messages.used, messages.next_reset_at, messages.plan_id) == (Decimal("1.75"), next_on(8), "pro")
    assert messages.rollover is not None
    (subscription,) = one.subscriptions.values()
    assert (subscription.id, subscription.started_at, subscription.plan_version) == ("sub_7", NOW - 40 * DAY, 2)


def lined(feature: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A balance of these lines, each with what is usual."""
    usual = {"plan_id": None, "included_grant": 0, "prepaid_grant": 0, "remaining": 0, "usage": 0, "unlimited": False}
    usual |= {"reset": None, "price": None, "expires_at": None}
    return autumn_balance(feature, *({**usual, "id": f"{feature}-{n}", **line} for n, line in enumerate(lines)), **more)


def test_odd_data_of_autumn(here: Here, tmp_path: Path) -> None:
    """What its documents allow: no name, no id, odd ids, unlimited, overdrawn, given back, ended plans, several rollovers."""
    resets = {"interval": "month", "interval_count": 1, "resets_at": next_on(9)}
    first, nobody, odd, gone = (autumn_customer(number) for number in range(4))
    first |= {"name": None, "email": None}
    first["balances"] = {
        "messages": lined(
            "messages",
            {"plan_id": "pro", "included_grant": 120, "usage": 130.5, "reset": resets},
            {"included_grant": 40, "usage": -2, "remaining": 42, "expires_at": NOW + DAY},
            rollovers=[
                {"granted": 30, "balance": 12.5, "expires_at": NOW + 9 * DAY},
                {"granted": 5, "balance": 5, "expires_at": NOW + 40 * DAY},
            ],
        ),
        "credits": lined("credits", {"unlimited": True, "usage": 7}),
        "models": lined("models", {"included_grant": 5, "usage": 0.0125, "remaining": 4.9875}),
        "unknown": lined("unknown", {"included_grant": 1, "remaining": 1}),
    }
    nobody |= {"id": None, "email": "Some@One.example"}
    odd |= {"id": "a/b?c=1&d%20", "name": "名前 🚀" * 3}
    old = {**odd["subscriptions"][0], "id": "ended", "status": "expired", "expires_at": NOW - 5 * DAY}
    missing = {**odd["subscriptions"][0], "id": "lost", "plan_id": "removed"}
    odd["subscriptions"] += [old, missing]
    odd["subscriptions"][0]["_plan"] = {"plan": autumn_plan(1, 10)}
    gone |= {"id": "nö spaces"}
    autumn = AutumnService([first, nobody, odd, gone])
    with service(autumn.routes(), KEY) as (url, _):
        told = run(here, "autumn", url, tmp_path, checks=False, clock=lambda: NOW)
    by = {(each.customer, each.feature, each.what) for each in told if each.customer}
    made = id_of_email("Some@One.example")
    assert by == {
        (first["id"], "unknown", "grant"),
        (first["id"], "unknown", "grants"),
        (first["id"], "seats", "grant"),
        (made, "", "id"),
        (odd["id"], "", "subscription lost"),
        ("nö spaces", "", "customer"),
    }, by
    plan, loose = sorted(grants(here, first["id"], "messages"), key=lambda grant: grant.plan_id or "z")
    assert (plan.granted, plan.adjustment, plan.used, plan.remaining) == (100, 20, Decimal("130.5"), Decimal("-10.5"))
    assert [(r.granted, r.remaining, r.expires_at) for r in plan.rollovers] == [
        (30, Decimal("12.5"), NOW + 9 * DAY),
        (5, 5, NOW + 40 * DAY),
    ]
    assert (loose.granted, loose.used, loose.expires_at) == (40, -2, NOW + DAY)
    (credit,) = grants(here, first["id"], "credits")
    assert (credit.unlimited, credit.used) == (True, 7)
    (dollars,) = grants(here, first["id"], "models")
    assert (dollars.granted, dollars.used) == (5, Decimal("0.0125"))
    models = FeatureStore(here.service.table).all(LIVE)["models"].extra
    assert models["model_markups"] == {"own/model": {"markup": Decimal("12.5"), "input_cost": 1}}
    assert models["default_markup"] == 20
    there = held(here, odd["id"], LIVE)
    assert {s.id: (s.plan_version, s.status(NOW)) for s in there.subscriptions.values()} == {
        "sub_2": (1, "active"),
        "ended": (2, "expired"),
    }
    assert there.customer.name == odd["name"]
    assert held(here, made, LIVE).customer.email == "Some@One.example"


@pytest.mark.parametrize("interrupted_at", [6, 11])
def test_it_can_be_interrupted_at_any_point(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted_at: int
) -> None:
    """And goes on where it was: nobody is written twice, nobody is missed. Every step of it is tried: reading, writing,
    keeping in the journal what was written, comparing."""
    autumn = AutumnService(autumn_customer, 8)
    step, real = 0, {name: getattr(Journal, name) for name in ("keep", "note", "note_compared", "set")}

    def interrupting(name: str) -> Any:
        def method(self: Journal, *given: Any) -> Any:
            nonlocal step
            step += 1
            if step % interrupted_at == 0 and step < 200:
                raise KeyboardInterrupt
            return real[name](self, *given)

        return method

    with service(autumn.routes(), KEY) as (url, _):
        for name in real:
            monkeypatch.setattr(Journal, name, interrupting(name))
        for _ in range(300):
            try:
                told = run(here, "autumn", url, tmp_path, checks=False)
            except KeyboardInterrupt:
                continue
            break
        else:
            raise AssertionError("it never ends")
    assert [each for each in told if each.customer] == []
    assert len(list(here.service.customers.listed(LIVE))) == 8
    assert {
        balance.grants[0].used for balance in held(here, "customer-00007", LIVE).balances.values() if not balance.flag
    } == {
        Decimal("1.75"),
        Decimal(1),
    }


@pytest.mark.parametrize("start", [{}, {"start_date": None}, {"start_date": "0001-01-01T00:00:00Z"}])
def test_a_subscription_without_a_start_is_not_taken_for_one_of_1970(start: dict[str, Any]) -> None:
    subscription = {"id": "s", "plan_id": "p", "billing_plan": {"plan_id": "p"}, **start}
    routes: dict[str, Any] = {
        "POST /v1/subscriptions/search": lambda _: {"items": [subscription]},
        "GET /api/subscriptions/": lambda _: [subscription],
    }
    customers = {"customers": [{"external_id": "c", "customer_id": "c"}]}
    with service(routes, KEY) as (url, _):
        for vendor in ("flexprice", "lotus"):
            with pytest.raises(Misread, match="start_date"):
                READERS[vendor](url, KEY, None, 1).record("c", customers, NOW)
