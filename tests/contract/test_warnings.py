"""Limits and thresholds are told once each, however late the stream is read and however it is cut: also where a customer's
balance, its entities' and credit pools count together. On every backend that is atomic.

Rules: autumn.md 7.1, 7.3; flexprice.md 3.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from tests.conftest import dynamodb_client
from tests.service import MONTHLY, NOW, SANDBOX, Service, item
from tests.streams import records
from tollgate.domain.alerts import LimitAlert, RaisedAlert, StateAlert, ThresholdAlert, TopUpAlert
from tollgate.domain.controls import AlertControl, Controls, TopUpControl, UsageControl
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.periods import Interval
from tollgate.domain.plans import PlanItem
from tollgate.domain.top_ups import PurchaseLimit, TopUp
from tollgate.store.alert_states import AlertStateStore
from tollgate.store.stream import change_of, lapsed_uses
from tollgate.store.top_up_states import TopUpStateStore
from tollgate.usecases.alerts import Alerts
from tollgate_cli.servers import Server

SHARED = PlanItem("messages", Decimal(100), reset=MONTHLY, entity_feature_id="users")


class Listener:
    """The consumer of the table's stream, which reads it late: each batch is delivered twice, and says the same."""

    def __init__(self, here: Service, backend: Server) -> None:
        self._client = dynamodb_client(backend.url)
        self._here = here
        self._done = 0

    def hear(self, *sizes: int) -> list[str]:
        """What the records since the last time warn of, delivered in batches of these sizes (the last takes the rest)."""
        new = records(self._client, self._here.table.name)[self._done :]
        self._done += len(new)
        found: list[RaisedAlert] = []
        for batch in _cut(new, sizes):
            once, again = self._raised(batch), self._raised(batch)
            assert once == again
            found += once
        return [_text(alert) for alert in found]

    def _raised(self, batch: Sequence[dict[str, Any]]) -> list[RaisedAlert]:
        here = self._here
        changes = [
            c for record in batch for c in ([change_of(record)] if change_of(record) else lapsed_uses(record)) if c
        ]
        alerts = Alerts(
            here.ledger.features, here.ledger.store, AlertStateStore(here.table), TopUpStateStore(here.table)
        )
        return [alert for change in changes for alert in alerts.raised_by(change)]


def _cut(records: Sequence[dict[str, Any]], sizes: Sequence[int]) -> Iterator[Sequence[dict[str, Any]]]:
    start = 0
    for size in sizes:
        yield records[start : start + size]
        start += size
    yield records[start:]


def _text(alert: RaisedAlert) -> str:
    if isinstance(alert, LimitAlert):
        return f"{alert.feature_id}{f' of {alert.entity_id}' if alert.entity_id else ''}: {alert.reached.type}"
    if isinstance(alert, TopUpAlert):
        return f"{alert.top_up.quantity} {alert.feature_id} {'blocked' if alert.blocked else 'asked for'}"
    if isinstance(alert, StateAlert):
        return f"{alert.feature_id} is {alert.state} at {alert.value}"
    assert isinstance(alert, ThresholdAlert)
    return f"{alert.feature_id} passes {alert.passed.alert.threshold}"


def usage(*thresholds: int) -> Controls:
    return Controls(alerts=tuple(AlertControl({"threshold": t, "threshold_type": "usage"}) for t in thresholds))


@pytest.fixture
def listener(here: Service, backend: Server) -> Listener:
    return Listener(here, backend)


def shared(here: Service, controls: Controls, *items: PlanItem) -> None:
    """A customer whose entities e1 and e2 have 100 messages each, beside what it has itself."""
    here.customer("c1", [SHARED, *items], controls=controls)
    here.entity("c1", "e1", "e2")


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1), (2, 1)])
def test_a_customers_threshold_is_told_once_however_late(
    here: Service, listener: Listener, sizes: tuple[int, ...]
) -> None:
    shared(here, usage(3), item(50))
    listener.hear()
    for entity in ("e1", "e2", "e1"):
        here.use("c1", 5, entity=entity)
    assert listener.hear(*sizes) == ["messages passes 3"]


def test_a_use_that_draws_on_two_balances_passes_each_threshold_once(here: Service, listener: Listener) -> None:
    shared(here, usage(103, 107), item(50))
    here.use("c1", 95, entity="e1")
    listener.hear()
    here.use("c1", 10, entity="e1")  # 5 of its own, and 5 of its customer's
    assert sorted(listener.hear(1)) == ["messages passes 103"]
    here.use("c1", 10, entity="e1")
    assert listener.hear() == ["messages passes 107"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_used_in_whatever_batches_each_threshold_is_told_once(
    here: Service, listener: Listener, seed: int
) -> None:
    chosen = random.Random(seed)
    shared(here, usage(20, 60, 1000), item(50))
    listener.hear()
    total, told = 0, []
    for _ in range(4):
        for _ in range(chosen.randint(1, 4)):
            amount = chosen.randint(1, 12)
            here.use("c1", amount, entity=chosen.choice(["", "e1", "e2"]))
            total += amount
        told += listener.hear(*(chosen.randint(0, 2) for _ in range(3)))
        assert sorted(told) == [f"messages passes {t}" for t in (20, 60) if t <= total]


def test_an_alert_that_is_set_when_it_has_passed_is_silent_until_it_passes_again(
    here: Service, listener: Listener
) -> None:
    shared(here, Controls(), item(50))
    here.use("c1", 30)
    here.customers.update(CustomerRef(SANDBOX, "c1"), lambda customer: replace(customer, controls=usage(20)), NOW)
    here.use("c1", 1)
    assert listener.hear() == []
    here.use("c1", -20)
    assert listener.hear() == []
    here.use("c1", 15)
    assert listener.hear() == ["messages passes 20"]


def test_a_usage_limit_is_told_whoever_pays(here: Service, listener: Listener) -> None:
    limit = UsageControl("messages", Decimal(10), Interval.MONTH)
    shared(here, Controls(usage=(limit,)), item(0))
    here.use("c1", 10, entity="e1")
    assert not here.use("c1", 1, entity="e1").allowed
    assert listener.hear() == ["messages of e1: usage_limit"]


@pytest.mark.parametrize("entity", ["", "e1"])
def test_a_usage_limit_that_closes_all_is_told_alone(here: Service, listener: Listener, entity: str) -> None:
    limit = UsageControl("messages", Decimal(100), Interval.MONTH)
    shared(here, Controls(usage=(limit,)), item(0 if entity else 100))
    here.use("c1", 100, entity=entity)
    assert listener.hear() == [f"messages{' of e1' if entity else ''}: usage_limit"]


def test_what_credits_still_pay_for_is_not_used_up(here: Service, listener: Listener) -> None:
    here.customer("c1", [item(5, feature="action1"), item(1, feature="credits")])
    here.use("c1", 5, feature="action1")
    assert listener.hear() == []
    here.use("c1", 5, feature="action1")
    assert sorted(listener.hear()) == ["action1: included", "credits: included"]
    here.attach("c1", [item(2, feature="credits")], add_on=True)
    assert listener.hear() == []
    here.use("c1", 10, feature="action1")
    assert sorted(listener.hear(1)) == ["action1: included", "credits: included"]


def test_an_entity_reaches_its_limit_when_its_customer_has_nothing_left_either(
    here: Service, listener: Listener
) -> None:
    shared(here, Controls(), item(50))
    here.use("c1", 100, entity="e1")
    assert listener.hear() == []
    here.use("c1", 50, entity="e1")
    assert listener.hear() == ["messages of e1: included"]
    here.attach("c1", [item(10)], add_on=True)
    assert listener.hear() == []
    here.use("c1", 10, entity="e1")
    assert listener.hear(1) == ["messages of e1: included"]


def test_a_state_is_told_once_and_survives_a_plan_that_ends(here: Service, listener: Listener) -> None:
    levels: Any = {
        "info": {"threshold": "50", "condition": "below"},
        "critical": {"threshold": "5", "condition": "below"},
    }
    alerts: Any = {"alert_settings": {"alert_enabled": True, **levels}}
    here.catalogs.create_feature(SANDBOX, Feature("wallet", "", FeatureType.METERED, extra=alerts))
    here.customer("c1", [item(100, feature="wallet")])
    here.use("c1", 96, feature="wallet")
    assert listener.hear() == ["wallet is in_alarm at 4"]
    here.customers.delete(CustomerRef(SANDBOX, "c1"))
    assert listener.hear() == []
    here.customer("c1", [item(100, feature="wallet")])
    assert listener.hear() == ["wallet is ok at 100"]


def _stating(controls: Controls, customer: Customer) -> Customer:
    return replace(customer, controls=controls)


def topped_up(threshold: int, limit: PurchaseLimit | None = None) -> Controls:
    return Controls(top_ups=(TopUpControl("messages", TopUp(Decimal(threshold), Decimal(40), limit), enabled=True),))


@pytest.mark.parametrize("sizes", [(), (1,), (1, 1, 1), (2, 3)])
@pytest.mark.parametrize("entities", [False, True])
def test_a_top_up_is_asked_for_once_until_something_is_granted(
    here: Service, listener: Listener, sizes: tuple[int, ...], entities: bool
) -> None:
    here.customer("c1", [item(50)], controls=topped_up(10))
    if entities:
        here.entity("c1", "e1")
    listener.hear()
    for amount in (39, 1, 2, 3):
        here.use("c1", amount, entity="e1" if entities else "")
    assert listener.hear(*sizes) == ["40 messages asked for"]
    here.attach("c1", [item(2)], add_on=True)  # too little: the next use that leaves too little asks again
    assert listener.hear() == []
    here.use("c1", 1)
    here.use("c1", 1)
    assert listener.hear(*sizes) == ["40 messages asked for"]
    here.attach("c1", [item(40)], add_on=True)
    here.use("c1", 5)
    assert listener.hear() == []


def test_uses_at_once_ask_for_one_and_the_purchase_limit_is_told_of_once(here: Service, listener: Listener) -> None:
    here.customer("c1", [item(50)], controls=topped_up(10, PurchaseLimit(1, Interval.MONTH)))
    listener.hear()
    with ThreadPoolExecutor(8) as threads:
        allowed = sum(outcome.allowed for outcome in threads.map(lambda _: here.use("c1", 2), range(30)))
    assert allowed == 25
    assert listener.hear(7, 1, 5) == ["40 messages asked for", "messages: included"]
    here.attach("c1", [item(5)], add_on=True)
    for _ in range(5):
        here.use("c1", 1)
    assert sorted(listener.hear(2, 1)) == ["40 messages blocked", "messages: included"]


def test_a_top_up_that_is_stated_where_little_is_left_asks_at_once(here: Service, listener: Listener) -> None:
    here.customer("c1", [item(50)])
    here.use("c1", 50)
    assert listener.hear() == ["messages: included"]
    ref = CustomerRef(SANDBOX, "c1")
    for threshold, told in ((0, ["40 messages asked for"]), (5, [])):
        controls = topped_up(threshold)
        here.customers.update(ref, partial(_stating, controls), NOW)
        assert listener.hear() == told
