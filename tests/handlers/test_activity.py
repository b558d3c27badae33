"""What whoever looks is shown: uses and denials by minute, alerts, balances near their limit, a customer's log, the last
use of a key.

Rules: management.md 17.1, 17.2, 17.3, 17.4.
"""

from __future__ import annotations

import json
import sys
import threading
import uuid
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.service import NOW
from tollgate import runtime
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment

MONTH = {"feature_id": "messages", "included": 100, "reset": {"interval": "month"}}


class Shop:
    """Calls to the functions, each with what the stream tells of it, at a time that stands still."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.told = len(self._records())

    def _records(self) -> list[dict[str, Any]]:
        table = self.here.service.table
        return table.client.records(table.name)  # type: ignore[attr-defined,no-any-return]

    def __call__(self, name: str, /, **body: Any) -> Any:
        function = {"balances.check": "check", "balances.track": "track"}.get(name, "manage")
        status, answer = self.here.call(function, f"POST /v1/{name}", body)
        self.stream()
        return answer if status == 200 else (status, answer["code"])

    def stream(self, *, again: bool = False) -> None:
        """Delivers what was written since the last time; `again`: the same twice."""
        records = self._records()
        for record in records[self.told :]:
            record["dynamodb"]["ApproximateCreationDateTime"] = runtime.clock() / 1000
        for _ in range(2 if again else 1):
            self.here.handlers["usage_events"]({"Records": records[self.told :]}, CONTEXT)
        self.told = len(records)

    def customer(self, *items: dict[str, Any], **more: Any) -> str:
        id, plan = (f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("c", "p"))
        self("plans.create", plan_id=plan, name=plan, group=plan, items=list(items or (MONTH,)))
        self("customers.get_or_create", customer_id=id, **more)
        self("billing.attach", customer_id=id, plan_id=plan)
        return id

    def use(self, id: str, value: float, **more: Any) -> Any:
        return self("balances.track", customer_id=id, feature_id="messages", value=value, **{"async": False, **more})

    def near(self) -> dict[str, Any]:
        """The balances that are listed, by customer."""
        found: dict[str, Any] = {}
        cursor = None
        while True:
            page = self("balances.list_near_limit", limit=1, **({"start_cursor": cursor} if cursor else {}))
            assert len(page["list"]) <= 1
            found |= {each["customer_id"]: each for each in page["list"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found


@pytest.fixture
def shop(here: Here, monkeypatch: pytest.MonkeyPatch) -> Shop:
    consumer = sys.modules["functions.usage_events.app"]
    monkeypatch.setattr(consumer, "_events", Bus())
    monkeypatch.setattr(consumer, "_queue", Letters())
    at(monkeypatch, NOW)
    return Shop(here)


def at(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    monkeypatch.setattr(runtime, "clock", lambda: now)


# ------------------------------------------------------------------ by minute


def test_uses_are_counted_in_the_minute_in_which_they_were_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = NOW + 40 * 86_400_000
    at(monkeypatch, now)
    id = shop.customer()
    for _ in range(3):
        shop.use(id, 2)
    at(monkeypatch, now + 60_000)
    shop.use(id, 1)
    activity = shop("activity.get", minutes=3)
    assert [minute["uses"] for minute in activity["list"]] == [{}, {"messages": 3}, {"messages": 1}]
    assert activity["list"][-1]["period"] == now + 60_000
    assert activity["total"] == {"uses": {"messages": 4}, "denials": {}}
    assert activity["stream"] == {"behind_ms": 0, "read_at": now + 60_000}
    assert activity["waiting"] == {"reported_uses": 0, "dead_letters": 0, "webhook_dead_letters": 0}


def test_a_quiet_hour_has_every_minute_and_says_nothing_of_the_stream(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, NOW + 80 * 86_400_000 + 30 * 60_000)  # the hour began yesterday
    activity = shop("activity.get")
    assert len(activity["list"]) == 60
    assert activity["stream"] is None


@pytest.mark.parametrize("minutes", [0, -1, 1441, "5", 1.5])
def test_minutes_have_bounds(shop: Shop, minutes: Any) -> None:
    assert shop("activity.get", minutes=minutes) == (400, "invalid_inputs")


@pytest.fixture
def counting(here: Here, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Denials are counted, as in a deployed container; their threads run when the test runs them."""
    threads: list[Any] = []
    assert here
    counted = runtime.denials()
    monkeypatch.setattr(counted, "_seconds", 10)
    monkeypatch.setattr(counted, "_start", threads.append)
    monkeypatch.setattr(counted, "_sleep", lambda _: None)
    return threads


def test_denials_are_counted_by_feature_and_reason_in_one_write(
    shop: Shop, counting: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOW + 50 * 86_400_000
    at(monkeypatch, now)
    id = shop.customer()
    ask = {"customer_id": id, "feature_id": "messages"}
    for body in ({"required_balance": 500}, {"required_balance": 500, "send_event": True}, {}):
        shop("balances.check", **ask, **body)
    shop("balances.check", customer_id=id, feature_id="dashboard")
    shop("balances.check", **ask, required_balance=500, lock={"lock_id": uuid.uuid4().hex})
    assert shop.use(id, 500, overage_behavior="reject") == (400, "insufficient_balance")
    assert shop("activity.get", minutes=1)["total"]["denials"] == {}  # no call has written anything
    capsys.readouterr()
    assert len(counting) == 1
    counting.pop()()
    denied = {"dashboard": {"not_granted": 1}, "messages": {"balance_exhausted": 4}}
    assert shop("activity.get", minutes=1)["total"]["denials"] == denied
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "Denials" in line]
    (line,) = lines
    assert (line["Denials"], line["environment"], line["denials"]) == ([5.0], "sandbox", denied)
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert sorted(metrics["Dimensions"][0]) == ["environment", "service"]


def test_lotus_denials_are_counted(shop: Shop, counting: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.denials(), "_start", lambda run: run())  # at once, behind the function's own role
    assert counting == []
    at(monkeypatch, NOW + 51 * 86_400_000)
    id = shop.customer()
    for query in (f"customer_id={id}&metric_id=messages", f"customer_id={id}&feature_id=dashboard"):
        kind = "metric" if "metric" in query else "feature"
        assert shop.here.call("metric_access", f"GET /api/{kind}_access", None, query=query)[0] == 200
    shop.use(id, 100)
    assert not shop.here.call(
        "metric_access", "GET /api/metric_access", None, query=f"customer_id={id}&metric_id=messages"
    )[1]["access"]
    denied = {"dashboard": {"no_access": 1}, "messages": {"no_access": 1}}
    assert shop("activity.get", minutes=1)["total"]["denials"] == denied


# ------------------------------------------------------------------ near a limit


def test_a_balance_is_listed_from_80_percent_on_until_it_has_room(shop: Shop) -> None:
    id = shop.customer()
    shop.use(id, 79)
    assert id not in shop.near()
    shop.use(id, 1)
    near = shop.near()[id]
    assert (near["limited_by"], near["limit"], near["usage"], near["remaining"]) == ("balance", 100, 80, 20)
    assert near["percent_used"] == 80
    shop.use(id, 15)
    assert shop.near()[id]["remaining"] == 5
    shop.use(id, 5)
    assert shop.near()[id]["percent_used"] == 100
    shop("balances.create", customer_id=id, feature_id="messages", included_grant=1000)
    assert id not in shop.near()


def test_a_reset_takes_it_from_the_list_without_any_write(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = shop.customer()
    shop.use(id, 100)
    assert id in shop.near()
    at(monkeypatch, shop.near()[id]["changes_at"] + 1)
    assert id not in shop.near()


def test_a_usage_limit_and_an_entitys_share_come_near_too(shop: Shop) -> None:
    id = shop.customer(
        billing_controls={"usage_limits": [{"feature_id": "messages", "limit": 10, "interval": "day"}]},
    )
    shop.use(id, 9)
    near = shop.near()[id]
    assert (near["limited_by"], near["limit"], near["remaining"]) == ("usage_limit", 10, 1)


@pytest.mark.parametrize(
    "item",
    [
        {"feature_id": "messages", "unlimited": True},
        {**MONTH, "price": {"billing_method": "usage_based", "amount": 1, "interval": "month"}},
    ],
    ids=["unlimited", "overage without bound"],
)
def test_what_has_no_limit_is_near_none(shop: Shop, item: dict[str, Any]) -> None:
    id = shop.customer(item)
    shop.use(id, 99)
    assert id not in shop.near()


def test_a_deleted_customer_is_listed_no_more(shop: Shop) -> None:
    id = shop.customer()
    shop.use(id, 95)
    shop("customers.delete", customer_id=id)
    assert id not in shop.near()


# ------------------------------------------------------------------ alerts and the log


def test_an_alert_is_listed_once_however_often_the_stream_tells_it(shop: Shop) -> None:
    id = shop.customer()
    shop.here.call(
        "track", "POST /v1/balances.track", {"customer_id": id, "feature_id": "messages", "value": 100, "async": False}
    )
    shop.stream(again=True)
    found = [alert for alert in shop("alerts.list", limit=100)["list"] if alert["customer_id"] == id]
    (alert,) = found
    assert (alert["type"], alert["limit_type"], alert["balance"]["remaining"]) == (
        "balance.limit_reached",
        "included",
        0,
    )


def test_the_log_tells_what_happened_and_who_did_it_page_by_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    id = shop.customer()
    at(monkeypatch, NOW + 1000)
    shop.use(id, 3)
    at(monkeypatch, NOW + 2000)
    shop("balances.create", customer_id=id, feature_id="messages", included_grant=5)
    whole = shop("customers.list_log", customer_id=id)["list"]
    assert [each["timestamp"] for each in whole] == sorted((each["timestamp"] for each in whole), reverse=True)
    by_type = {each["type"]: each for each in whole}
    assert {"usage.recorded", "balance.granted", "subscription.started", "api.called"} <= set(by_type)
    assert by_type["usage.recorded"]["key_id"] == "key_test"
    calls = [(each["call"], each["key_id"]) for each in whole if each["type"] == "api.called"]
    assert calls == [("balances.create", "key_test"), ("billing.attach", "key_test")]
    paged, cursor = [], None
    while True:
        page = shop("customers.list_log", customer_id=id, limit=2, **({"start_cursor": cursor} if cursor else {}))
        paged += page["list"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == whole


def test_a_call_that_is_refused_is_not_in_the_log(shop: Shop) -> None:
    id = shop.customer()
    before = shop("customers.list_log", customer_id=id)
    assert shop("billing.attach", customer_id=id, plan_id="nothing") == (404, "product_not_found")
    assert shop("customers.list_log", customer_id=id) == before


def entity_calls(id: str) -> dict[str, dict[str, Any]]:
    """Changes of an entity, in turn; those that need no customer's id are without it."""
    entity = f"e-{id}"
    return {
        "entities.create": {"customer_id": id, "entity_id": entity, "feature_id": "seats"},
        "entities.update": {
            "entity_id": entity,
            "billing_controls": {"usage_limits": [{"feature_id": "messages", "limit": 3, "interval": "month"}]},
        },
        "entities.delete": {"entity_id": entity},
    }


def test_a_call_that_does_not_name_its_customer_is_in_its_log(shop: Shop) -> None:
    id = shop.customer()
    shop("features.create", feature_id="seats", name="Seats", type="metered", consumable=False)
    for name, body in entity_calls(id).items():
        assert isinstance(shop(name, **body), dict), name
    calls = [one["call"] for one in shop("customers.list_log", customer_id=id)["list"] if one["type"] == "api.called"]
    assert sorted(calls) == sorted([*entity_calls(id), "billing.attach"])


def test_a_customer_without_a_log_is_unknown(shop: Shop) -> None:
    assert shop("customers.list_log", customer_id="nobody") == (404, "customer_not_found")
    shop("customers.get_or_create", customer_id="quiet")
    assert shop("customers.list_log", customer_id="quiet")["list"] == []


@pytest.mark.parametrize("name", ["alerts.list", "audit.list", "balances.list_near_limit", "customers.list_log"])
@pytest.mark.parametrize("cursor", ["x", "!", "AAAA", "ÿ", "MTAwfA", "OTl8YQ=="])
def test_a_cursor_that_no_list_gave_out_is_refused_or_harmless(shop: Shop, name: str, cursor: str) -> None:
    body = {"start_cursor": cursor, **({"customer_id": "c"} if name.startswith("customers") else {})}
    answer = shop(name, **body)
    assert answer == (400, "invalid_inputs") or set(answer) == {"list", "next_cursor"}


@pytest.mark.parametrize(
    "name", ["activity.get", "alerts.list", "audit.list", "balances.list_near_limit", "customers.list_log"]
)
def test_a_publishable_key_sees_none_of_it(shop: Shop, name: str) -> None:
    body = {"customer_id": "c"} if name.startswith("customers") else {}
    assert shop.here.call("manage", f"POST /v1/{name}", body, scope="publishable")[0] == 403


# ------------------------------------------------------------------ keys


def test_a_key_tells_when_it_was_used_to_the_hour(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def used() -> Any:
        _, answer = here.call("manage", "POST /v1/keys.list", {})
        return next(each["last_used_at"] for each in answer["list"] if each["id"] == key.id)

    def use(now: int) -> None:
        at(monkeypatch, now)
        here.handlers["authorizer"]({"headers": {"x-api-key": text}, "identitySource": [text]}, None)

    monkeypatch.setattr(runtime, "aside", lambda run: run())
    key, text = here.service.api_keys.create(Environment.SANDBOX, Scope.SECRET, "", NOW)
    assert used() is None
    use(NOW)
    assert used() == NOW
    use(NOW + 3_599_999)
    assert used() == NOW
    use(NOW + 3_600_000)
    assert used() == NOW + 3_600_000


def test_nobody_waits_for_the_note_of_a_keys_use() -> None:
    held, done = threading.Event(), threading.Event()

    def slow() -> None:
        held.wait(10)
        done.set()

    runtime.aside(slow)
    assert not done.is_set()
    held.set()
    assert done.wait(10)
