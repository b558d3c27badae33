"""An event counts in the period that its time belongs to, and in no other (flexprice.md 2.6).

Rules: flexprice.md 2.6.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.flexprice import assert_error
from tests.handlers.conftest import Here
from tests.handlers.flexprice_history import DAY, Flow, flowing
from tests.service import MONTHLY, NOW, SANDBOX
from tollgate.dialects.flexprice.fields import time_text
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.plans import Plan, PlanItem

FEBRUARY, MARCH = NOW + 31 * DAY, NOW + 59 * DAY
MIDDLE = NOW + 45 * DAY  # February 15
HOUR = 3_600_000
YEAR = 365 * DAY
_numbers = itertools.count()


def meter(name: str, type: str, **more: Any) -> dict[str, Any]:
    return {"meter": {"event_name": name, "aggregation": {"type": type, **more}}}


@pytest.fixture(scope="module")
def flow(here: Here) -> Iterator[Flow]:
    features = (
        Feature("calls", "Calls", FeatureType.METERED, extra=meter("call", "COUNT")),
        Feature("peak", "Peak", FeatureType.METERED, extra=meter("peak", "MAX", field="n")),
        Feature("ever", "Ever", FeatureType.METERED, extra=meter("once", "COUNT")),
        Feature("loose", "Loose", FeatureType.METERED, extra=meter("loose", "COUNT")),
    )
    for feature in features:
        here.service.catalogs.create_feature(SANDBOX, feature)
    monthly = [PlanItem(id, Decimal(100), reset=MONTHLY) for id in ("calls", "peak")]
    here.service.catalogs.create_plan(
        SANDBOX, Plan("monthly", "Monthly", items=(*monthly, PlanItem("ever", Decimal(100))))
    )
    with flowing(here) as flow:
        yield flow


@pytest.fixture
def customer(flow: Flow) -> str:
    """A customer that subscribed on January 1; it is February 15."""
    id = f"customer-{next(_numbers)}"
    flow.here.service.customers.get_or_create(SANDBOX, Customer(id), None, NOW)
    flow.here.service.customers.attach(CustomerRef(SANDBOX, id), "monthly", None, NOW)
    flow.now = MIDDLE
    return id


def event(customer: str, name: str, at: int | None = None, **properties: Any) -> dict[str, Any]:
    dated = {} if at is None else {"timestamp": time_text(at)}
    return {"event_name": name, "external_customer_id": customer, "properties": properties, **dated}


def count(flow: Flow, customer: str, name: str, start: int, end: int) -> Any:
    body = {
        "external_customer_id": customer,
        "event_name": name,
        "aggregation_type": "COUNT",
        "start_time": time_text(start),
        "end_time": time_text(end),
    }
    return flow.asked("events/usage", body)["value"]


@pytest.mark.parametrize(
    ("at", "running"),
    [
        (FEBRUARY, 1),
        (FEBRUARY - 1, 0),
        (NOW, 0),
        (NOW - 1, 0),
        (NOW - 300 * DAY, 0),
        (MIDDLE, 1),
        (MIDDLE + HOUR, 1),
        (None, 1),
    ],
)
def test_an_event_counts_in_its_own_period(flow: Flow, customer: str, at: int | None, running: int) -> None:
    """flexprice.md 2.6: the running period is February's; any other event is in the history alone, at its time."""
    flow.send(event(customer, "call", at))
    assert flow.used(customer)["calls"] == str(running)
    dated = MIDDLE if at is None else at
    assert count(flow, customer, "call", dated, dated + 1) == 1
    assert count(flow, customer, "call", dated + 1, MARCH) == 0


def test_whether_anybody_looked_at_the_new_period_does_not_matter(flow: Flow, customer: str) -> None:
    """flexprice.md 2.6: a late event of January does not count in February, seen before or not, nor reopen January."""
    flow.now = NOW + 20 * DAY
    flow.send(event(customer, "call", NOW + DAY))
    assert flow.used(customer)["calls"] == "1"
    flow.now = MIDDLE
    flow.send(event(customer, "call", NOW + 2 * DAY))
    assert flow.used(customer)["calls"] == "0"
    flow.send(event(customer, "call", NOW + 3 * DAY), event(customer, "call", MIDDLE))
    assert flow.used(customer)["calls"] == "1"
    assert count(flow, customer, "call", NOW, FEBRUARY) == 3
    flow.now = MARCH
    assert flow.used(customer)["calls"] == "0"
    flow.send(event(customer, "call", MARCH - 1))
    assert flow.used(customer)["calls"] == "0"


def test_a_highest_value_is_that_of_its_period(flow: Flow, customer: str) -> None:
    flow.send(event(customer, "peak", NOW + DAY, n=90), event(customer, "peak", MIDDLE, n=7))
    assert flow.used(customer)["peak"] == "7"


def test_what_never_resets_counts_since_it_was_granted(flow: Flow, customer: str) -> None:
    flow.send(event(customer, "once", NOW), event(customer, "once", MIDDLE), event(customer, "once", NOW - 1))
    assert flow.used(customer)["ever"] == "2"
    assert count(flow, customer, "once", NOW - DAY, MARCH) == 3


def test_an_event_of_a_feature_that_nothing_grants_is_in_the_history(flow: Flow, customer: str) -> None:
    """flexprice.md 2.6: it moves nothing, and counts once all the same."""
    for _ in range(2):
        flow.send({**event(customer, "loose"), "event_id": f"{customer}-loose"})
    assert count(flow, customer, "loose", MIDDLE, MIDDLE + 1) == 1


@pytest.mark.parametrize("at", [MIDDLE + HOUR + 1, MIDDLE - YEAR - 1, NOW + 90 * DAY])
def test_a_time_out_of_bounds_is_refused_and_nothing_is_counted(flow: Flow, customer: str, at: int) -> None:
    """flexprice.md 2.6: at most a year back, and an hour ahead."""
    assert_error(*flow.post("events", event(customer, "call", at)), (400, "validation_error"))
    both = {"events": [event(customer, "call"), event(customer, "call", at)]}
    status, body = flow.post("events/bulk", both)
    assert_error(status, body, (400, "validation_error"))
    assert "events.1.timestamp" in body["message"]
    flow.deliver()
    assert flow.used(customer)["calls"] == "0"
    assert_error(*flow.post("events", event(f"{customer}-unknown", "call", at)), (400, "validation_error"))


def test_ahead_of_its_customers_own_clock_that_is(flow: Flow, customer: str) -> None:
    """flexprice.md 2.6: a test clock in May takes events of May, and April's are not May's."""
    may = NOW + 135 * DAY
    flow.here.service.customers.advance_test_clock(CustomerRef(SANDBOX, customer), may, flow.now)
    flow.send(event(customer, "call", may), event(customer, "call", may - 20 * DAY))
    assert flow.used(customer)["calls"] == "1"
    assert_error(*flow.post("events", event(customer, "call", may + HOUR + 1)), (400, "validation_error"))
