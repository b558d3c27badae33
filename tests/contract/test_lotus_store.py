"""What Lotus's checks and events cost, and that events are counted exactly once whatever runs at once: on every backend
that is atomic: ministack, DynamoDB Local, and the one in this process.

Rules: lotus.md 1.6.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Spent, create_table, dynamodb_client
from tests.contract.conftest import Backend
from tests.contract.test_costs import assert_costs, batch, transaction
from tests.service import HOUR, NOW, SANDBOX, Service, item, service
from tests.streams import records
from tollgate.dialects.queue_consumer import RECEIVES
from tollgate.domain.allowances import SubscriptionAllowance, allowances
from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import NotFound, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.domain.usage_events import UsageEvent
from tollgate.store.customers import CustomerStore
from tollgate.store.plans import PlanStore
from tollgate.store.stream import change_of
from tollgate.store.usage_events import UsageEventStore
from tollgate.usecases.access import Access
from tollgate.usecases.usage_events import QueuedEvent, UsageEvents
from tollgate.usecases.usage_queue import UsageQueue


def metered(id: str, kind: str, event: str = "used") -> Feature:
    meter = {"event_name": event, "aggregation": {"type": kind, "field": "n"}}
    return Feature(id, id.title(), FeatureType.METERED, extra={"meter": meter})


CATALOG = (
    Feature("messages", "Messages", FeatureType.METERED, event_names=("message",)),
    metered("users", "COUNT_UNIQUE"),
    metered("peak", "MAX"),
    metered("mean", "AVG"),
)


@pytest.fixture
def here(backend: Backend) -> Service:
    client = backend.client()
    return service(client, create_table(client), CATALOG)


def usage_events(here: Service) -> UsageEvents:
    return UsageEvents(here.ledger, here.idempotency, UsageEventStore(here.table))


def report(here: Service, *events: UsageEvent, now: int = NOW, receipt: bool = True) -> None:
    """Events as the queue delivers them: together, and those that met others too often again, up to five times."""

    def defect(message: str) -> None:
        raise AssertionError(message)

    usage_queue = UsageQueue(here.ledger, usage_events(here), here.idempotency, defect)
    left = [queued(one, receipt=receipt) for one in events]
    for _ in range(RECEIVES):
        outcomes = usage_queue.count(left, now)
        assert {type(outcome) for outcome in outcomes} <= {type(None), Unavailable}, outcomes
        left = [one for one, outcome in zip(left, outcomes, strict=True) if outcome is not None]
        if not left:
            return
    raise AssertionError(f"{len(left)} events were not counted")


def queued(event: UsageEvent, *, receipt: bool = True) -> QueuedEvent:
    return QueuedEvent(SANDBOX, event, "key_test", receipt)


def access(here: Service) -> Access:
    return Access(CustomerStore(here.table), here.balance_store, here.ledger.features, PlanStore(here.table))


def event(customer: str, name: str = "message", id: str | None = None, **properties: Any) -> UsageEvent:
    return UsageEvent(id or str(uuid.uuid4()), customer, name, NOW, properties)


def found(here: Service, customer: str, feature: str, now: int = NOW) -> list[SubscriptionAllowance]:
    return list(
        allowances(feature, access(here).granting(CustomerRef(SANDBOX, customer), [feature], now).balances).values()
    )


def used(here: Service, customer: str, feature: str, now: int = NOW) -> Decimal:
    (allowance,) = found(here, customer, feature, now)
    return allowance.used


class TestCosts:
    def test_a_metric_access_is_one_request_and_a_unit_for_each_item(self, here: Service) -> None:
        """Customer, balance and subscription; the subscriptions to read are remembered from the last time."""
        here.customer("c1", [item(10), item(5, feature="peak")])
        asked = access(here)

        def ask() -> object:
            return asked.granting(CustomerRef(SANDBOX, "c1"), ["messages"], NOW)

        assert_costs(here, ask, batch(2.0), batch(2.0))
        assert_costs(here, ask, batch(3.0))
        assert_costs(here, ask, batch(3.0))

    def test_a_new_subscription_costs_one_more_request_once(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        asked = access(here)
        asked.granting(CustomerRef(SANDBOX, "c1"), ["messages"], NOW)
        here.attach("c1", [item(20)])
        spent = Spent(here.table.client)
        for requests in (2, 1):
            assert len(spent.of(lambda: asked.granting(CustomerRef(SANDBOX, "c1"), ["messages"], NOW))) == requests
        assert len(asked.granting(CustomerRef(SANDBOX, "c1"), ["messages"], NOW).subscriptions) == 2

    def test_an_event_is_one_read_and_one_transaction(self, here: Service) -> None:
        """Two units for the balance and two for the id."""
        here.customer("c1", [item(10)])
        counting, catalog = usage_events(here), here.ledger.features.catalog(SANDBOX)
        assert_costs(here, lambda: counting.write([queued(event("c1"))], catalog, NOW), batch(2.0), transaction(2))

    def test_a_busy_customers_events_are_one_read_one_record_and_one_transaction(self, here: Service) -> None:
        """What tells of all of them is an item of its own (management.md 21); then two units for the id of each, and two for
        the balance."""
        here.customer("c1", [item(10)])
        counting, catalog = usage_events(here), here.ledger.features.catalog(SANDBOX)
        events = [queued(event("c1")) for _ in range(40)]
        spent = Spent(here.table.client).of(lambda: counting.write(events, catalog, NOW))
        assert [name for name, _ in spent] == ["BatchGetItem", "PutItem", "TransactWriteItems"]
        assert used(here, "c1", "messages") == 40

    def test_an_event_that_no_feature_hears_is_its_receipt_alone_or_nothing(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        counting, catalog = usage_events(here), here.ledger.features.catalog(SANDBOX)
        unheard = event("c1", "unheard")
        assert_costs(here, lambda: counting.write([queued(unheard)], catalog, NOW), ("TransactWriteItems", None))
        assert counting.missing(SANDBOX, [unheard.id], NOW, 0) == []
        report(here, event("c1", "unheard", id="nobody asks"), receipt=False)
        assert counting.missing(SANDBOX, ["nobody asks"], NOW, 0) == ["nobody asks"]

    def test_a_use_of_a_feature_whose_grant_counts_what_others_paid_for_is_one_request_and_one_unit(
        self, here: Service
    ) -> None:
        here.customer("c1", [item(10), item("20.5", Reset(Interval.ONE_OFF))])
        here.use("c1", 1)
        assert Spent(here.table.client).of(lambda: here.use("c1", 1)) == [("UpdateItem", 1.0)]


class TestOnce:
    def test_the_same_event_at_the_same_time_counts_once(self, here: Service) -> None:
        here.customer("c1", [item(1000)])
        same = event("c1", id="one", value=3)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: report(here, same), range(8)))
        assert used(here, "c1", "messages") == 3

    def test_many_events_at_once_are_all_counted(self, here: Service) -> None:
        here.customer("c1", [item(5)])
        here.attach("c1", [item(1000)])
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda n: report(here, event("c1", value=n)), range(24)))
        assert [allowance.used for allowance in found(here, "c1", "messages")] == [276, 276]

    def test_each_value_counts_once_however_many_report_it(self, here: Service) -> None:
        here.customer("c1", [item(100, feature="users"), item(100, feature="peak"), item(100, feature="mean")])
        told = [event("c1", "used", n=n % 4) for n in range(16)]
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda each: report(here, each), told))
        assert used(here, "c1", "users") == 4
        assert used(here, "c1", "peak") == 3
        assert used(here, "c1", "mean") == Decimal("1.5")

    def test_a_value_counts_anew_in_a_new_period(self, here: Service) -> None:
        here.customer("c1", [item(100, Reset(Interval.HOUR), feature="users")])
        for now, count in ((NOW, 1), (NOW + 1, 1), (NOW + HOUR, 1)):
            report(here, event("c1", "used", n="same"), now=now)
            assert used(here, "c1", "users", now) == count

    def test_an_event_and_its_customer_at_the_same_time(self, here: Service) -> None:
        """It waits and is found, or is counted at once: never lost, never twice."""
        for number in range(6):
            id = f"c{number}"

            def create(id: str = id) -> None:
                here.customer(id, [item(100)])
                usage_events(here).count_waiting(CustomerRef(SANDBOX, id), NOW)

            with ThreadPoolExecutor(2) as threads:
                made = threads.submit(create)
                told = threads.submit(report, here, event(id))
                told.result()
                made.result()
            left = UsageEventStore(here.table).waiting(CustomerRef(SANDBOX, id), "", 10)
            assert left == []
            assert used(here, id, "messages") in (0, 1)  # known before it held anything: it had used nothing

    def test_waiting_events_are_counted_once_by_however_many(self, here: Service) -> None:
        for number in range(5):
            report(here, event("late", value=number))
        here.customer("late", [item(100)])
        with ThreadPoolExecutor(3) as threads:
            for _ in threads.map(
                lambda _: usage_events(here).count_waiting(CustomerRef(SANDBOX, "late"), NOW), range(3)
            ):
                pass
        assert used(here, "late", "messages") == 10

    def test_an_event_leaves_its_trace_for_the_stream(self, here: Service) -> None:
        here.customer("c1", [item(10)])
        before = here.last_event_id("c1")
        report(here, event("c1", value=2))
        assert before is None
        assert here.last_event_id("c1")


def test_what_a_grant_remembers_is_stored_and_read_back(here: Service) -> None:
    us = Terms(filters=(("region", "US"),))
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    here.attach("c1", [item(10, feature="mean"), item(10, feature="messages")], terms=us)
    here.attach("c1", [PlanItem("messages", Decimal(3))])
    report(here, *(event("c1", "used", n=n, region="US") for n in (3, 4)), event("c1", value=12, region="US"))
    (grant,) = here.stored("c1", BalanceKey("mean")).balance.grants
    assert grant.filters == (("region", "US"),)
    assert grant.meters == {"mean": (7, 2)}
    assert grant.counted == Decimal("3.5")
    assert {grant.counted for grant in here.stored("c1").balance.grants} == {Decimal(12)}
    held = here.customers.get(CustomerRef(SANDBOX, "c1")).subscriptions.values()
    assert sorted(subscription.filters for subscription in held) == [(), (("region", "US"),)]


def test_events_together_count_as_one_after_another(here: Service, backend: Backend) -> None:
    """The same events, each alone, and all at once and once more: balances and what the stream tells of them agree."""
    told = [event("", "used", n=n) for n in (3, 1, 3, 7, 2, 7)] + [event("", value=n) for n in (2, 5, 4)]
    features = ("messages", "users", "peak", "mean")
    for customer in ("alone", "together"):
        here.customer(customer, [item(4, feature=feature) for feature in features])
    for one in told:
        report(here, one._replace(customer_id="alone", id=f"alone-{one.id}"))
    together = [one._replace(customer_id="together") for one in told]
    report(here, *together, together[0])
    report(here, *together)
    counts = {customer: [used(here, customer, feature) for feature in features] for customer in ("alone", "together")}
    assert counts["together"] == counts["alone"] == [11, 4, 7, Decimal("3.8333333333")]
    stream = records(dynamodb_client(backend.url), here.table.name)
    moved: dict[str, list[tuple[str, str, Decimal, Decimal]]] = {"alone": [], "together": []}
    for change in filter(None, map(change_of, stream)):
        for use in change.uses:
            drawn = sum((deduction.value for deduction in use.deductions), Decimal(0))
            moved[change.write.customer_id].append(
                (use.use_id.removeprefix("alone-"), use.feature_id, use.value, drawn)
            )
    assert len(moved["together"]) == 3 + 6 * 3
    assert sorted(moved["together"]) == sorted(moved["alone"])


def test_events_from_the_bus_count_in_the_period_of_their_time_while_that_is_open(here: Service) -> None:
    """A MAX of 9 before the hour's end, and one of 4 after it: each hour has its own."""
    here.customer("c1", [item(100, Reset(Interval.HOUR), feature="peak"), item(100, Reset(Interval.HOUR))])
    now = NOW + HOUR + 10

    def late(name: str, at: int, **properties: Any) -> QueuedEvent:
        told = event("c1", name, **properties)._replace(at=at)
        return QueuedEvent(SANDBOX, told, "eventbridge", expected=True, by_its_time=True)

    usage_queue = UsageQueue(here.ledger, usage_events(here), here.idempotency, lambda _: None)
    told = [late("used", now, n=4), late("used", NOW + 5, n=9), late("message", NOW + 6, value=3)]
    unheard = late("unheard", now)
    outcomes = usage_queue.count([*told, unheard], now)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [NotFound]
    assert usage_queue.count(told, now) == [None] * 3
    stored = here.stored("c1", BalanceKey("messages")).balance
    assert (found(here, "c1", "peak", now)[0].used, sum(grant.consumed for grant in stored.grants) + stored.spent) == (
        4,
        3,
    )
    assert used(here, "c1", "messages", now) == 0  # its hour is over
