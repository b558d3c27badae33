"""The history of usage and its alerts on the deployed stack, through Autumn's own SDKs (autumn.md 3.6, 3.7, 7; S263).

Rules: autumn.md 7.1, 7.2.
"""

from __future__ import annotations

from typing import Any

import autumn
import pytest

from tests.conftest import wait_for
from tests.e2e.fixture import Shop, consumable, lifetime, monthly, new
from tests.e2e.test_delivery import Listener
from tollgate_cli.stack import Stack


def events(shop: Shop, customer: str, count: int) -> Any:
    """The customer's events once there are so many, newest first, as the SDK parses them."""
    found: Any = None

    def there() -> bool:
        nonlocal found
        found = shop.autumn.events.list(customer_id=customer).list
        return len(found) >= count

    wait_for(there, 30, f"{count} events in the history")
    assert len(found) == count
    return found


def test_every_use_is_listed_with_what_it_moved(shop: Shop) -> None:
    customer = shop.customer(monthly(5, "action1"), monthly(100, "credits"))
    shop.track(customer, 2, "action1", properties={"model": "small"})
    shop.track(customer, 8, "action1")
    second, first = events(shop, customer, 2)
    assert (first.value, first.properties, first.feature_id) == (2, {"model": "small"}, "action1")
    assert [(taken.feature_id, taken.value) for taken in first.deductions] == [("action1", 2)]
    assert [(taken.feature_id, taken.value) for taken in second.deductions] == [("action1", 3), ("credits", 1)]
    assert second.deductions[0].reset.interval == "month"


def test_a_use_is_an_event_even_where_nothing_moved(shop: Shop) -> None:
    """autumn.md 3.7: nothing grants it; autumn.md 3.6: it was clamped to nothing."""
    customer = shop.customer(monthly(1))
    shop.track(customer, 1)
    shop.track(customer, 7)
    shop.track(customer, 3, "words")
    found = {(event.feature_id, event.value): event.deductions for event in events(shop, customer, 3)}
    assert [len(found[key]) for key in (("messages", 1), ("messages", 7), ("words", 3))] == [1, 0, 0]


def test_aggregates_in_the_sdks_shapes(shop: Shop) -> None:
    customer = shop.customer(monthly(1000), monthly(1000, "words"))
    for value, model in ((5, "small"), (6, "large"), (7, "small")):
        shop.track(customer, value, properties={"model": model})
    shop.track(customer, 9, "words")
    events(shop, customer, 4)
    found = shop.autumn.events.aggregate(
        feature_id=["messages", "words"],
        customer_id=customer,
        range="24h",
        bin_size="hour",
        group_by="properties.model",
    )
    assert {id: (total.count, total.sum) for id, total in found.total.items()} == {"messages": (3, 18), "words": (1, 9)}
    assert sum(bin.values["messages"] for bin in found.list) == 18
    groups = [(bin.grouped_values or {})["messages"] for bin in found.list]
    assert {name: sum(group.get(name, 0) for group in groups) for name in ("small", "large")} == {
        "small": 12,
        "large": 6,
    }
    cycle = shop.autumn.events.aggregate(feature_id="messages", customer_id=customer, aggregate_on="deducted")
    assert cycle.total["messages"].sum == 18
    deducted = [bin.values["messages"].deducted for bin in cycle.deductions or () if "messages" in bin.values]
    assert sum(deducted) == 18


def test_autumn_pys_query(shop: Shop, stack: Stack) -> None:
    customer = shop.customer(monthly(1000))
    shop.track(customer, 12)
    events(shop, customer, 1)
    client = autumn.Client(stack.secret_key, base_url=stack.url, max_retries=0)
    found = client.query(customer_id=customer, feature_id="messages", range="7d")
    assert sum(bin.model_dump()["messages"] for bin in found.list) == 12


@pytest.mark.parametrize(
    ("item", "controls", "values", "told"),
    [
        (monthly(1000), {"usage_alerts": [{"threshold": 800, "threshold_type": "usage"}]}, [850], ["800"]),
        (monthly(1000), {"usage_alerts": [{"threshold": 500, "threshold_type": "usage"}]}, [600, 100], ["500"]),
        (
            monthly(1000),
            {"usage_alerts": [{"threshold": 20, "threshold_type": "remaining_percentage"}]},
            [850],
            ["20"],
        ),
        (lifetime(10), {}, [9, 1, 1], ["included"]),
        (consumable(10, most=5), {}, [10, 5], ["max_purchase"]),
        (
            consumable(10, most=50),
            {"spend_limits": [{"feature_id": "messages", "limit_type": "absolute", "overage_limit": 5}]},
            [10, 5],
            ["spend_limit"],
        ),
        (
            monthly(100),
            {"usage_limits": [{"feature_id": "messages", "limit": 5, "interval": "month"}]},
            [4, 4],
            ["usage_limit"],
        ),
    ],
    ids=["usage", "once", "remaining", "included", "max_purchase", "spend_limit", "usage_limit"],
)
def test_s263_and_limits_reached_are_told_on_the_bus(
    shop: Shop, stack: Stack, item: Any, controls: dict[str, Any], values: list[float], told: list[str]
) -> None:
    customer = new("alert")
    listener = Listener(stack, customer)
    shop.api.call("customers.get_or_create", {"customer_id": customer, "billing_controls": controls})
    shop.attach(customer, item)
    for value in values:
        shop.track(customer, value)

    def recorded() -> bool:
        listener.take()
        others = all(listener.of(type) for type in ("subscription.started", "api.called"))
        return len(listener.of("usage.recorded")) == len(values) and others

    wait_for(recorded, 30, "the subscription and its uses on the bus")
    alerts = [str(event["alert"]["threshold"]) for event in listener.of("balance.alert_triggered")]
    assert alerts + [event["limit_type"] for event in listener.of("balance.limit_reached")] == told
    assert [event["value"] for event in listener.of("balance.granted")] == [item.body["included"]]
    (changed,) = listener.of("api.called")  # management.md 17.5
    assert {change["type"] for change in changed["changes"]} >= {"subscription", "balance"}
    assert changed["key_id"].startswith("key_")
