"""A preview says what the same call then does, whatever was done before, and changes nothing (management.md 18)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.profiles import examples
from tests.service import MONTHLY, NOW, SANDBOX, Service, item, service
from tollgate.domain.customers import NONE_ENDED, Customer, Holdings
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import TollgateError
from tollgate.domain.periods import Interval
from tollgate.domain.plans import PREPAID, BasePrice, ItemPrice, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.customers import Customers, SubscriptionFilter, SubscriptionUpdate
from tollgate.usecases.previews import Preview, preview

DAY = 86_400_000
PACK = PlanItem("messages", Decimal(0), reset=MONTHLY, price=ItemPrice(PREPAID, None, Decimal(1)))
PLANS = (
    Plan("free", "Free", auto_enable=True, items=(item(10),)),
    Plan("hobby", "Hobby", items=(item(20),), price=BasePrice(Decimal(5), Interval.MONTH)),
    Plan("pro", "Pro", items=(item(50),), price=BasePrice(Decimal(50), Interval.MONTH)),
    Plan("more", "More", add_on=True, items=(PACK,), price=BasePrice(Decimal(1), Interval.MONTH)),
)
IDS = st.sampled_from([plan.id for plan in PLANS])
Call = Callable[[Customers, CustomerRef, int], object]


@cache
def place() -> Service:
    client = dynamodb_client(fresh_url())
    made = service(client, create_table(client))
    for plan in PLANS:
        made.catalogs.create_plan(SANDBOX, plan)
    return made


def attached(plan: str, schedule: str | None, days: int, removes: list[str]) -> Call:
    def call(customers: Customers, ref: CustomerRef, now: int) -> object:
        starts = now + days * DAY if days else None
        quantities = {"messages": Decimal(7)} if plan == "more" else {}
        terms = Terms(schedule=schedule, starts_at=starts, removes=tuple(removes), quantities=quantities)
        return customers.attach(ref, plan, None, now, terms)

    return call


def updated(plan: str, action: str | None, quantity: int) -> Call:
    def call(customers: Customers, ref: CustomerRef, now: int) -> object:
        change = SubscriptionUpdate(action, {"messages": Decimal(quantity)} if action is None else None)
        return customers.update_subscription(ref, SubscriptionFilter(None, plan), change, now)

    return call


SCHEDULES = st.sampled_from([None, None, "immediate", "end_of_cycle"])
CALLS = st.one_of(
    st.builds(attached, IDS, SCHEDULES, st.sampled_from([0, 0, 3]), st.lists(IDS, max_size=1)),
    st.builds(updated, IDS, st.sampled_from(["cancel_end_of_cycle", "cancel_immediately", "uncancel"]), st.just(0)),
    st.builds(updated, st.just("more"), st.none(), st.integers(0, 9)),
)


def shown(found: Preview | None) -> Any:
    def of(changed: Any) -> Any:
        s = changed.subscription
        return s.plan_id, changed.at, s.canceled_at, s.expires_at, s.started_at, sorted(s.quantities.items())

    return found and (sorted(map(of, found.incoming), key=repr), sorted(map(of, found.outgoing), key=repr))


def outcome(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call gives, and why it was refused."""
    try:
        return call(), ""
    except TollgateError as error:
        return None, repr(error)


def whole(here: Service, ref: CustomerRef) -> Holdings:
    """All that the customer holds or held, wherever it is kept."""
    return replace(here.customers.with_ended(SANDBOX, here.customers.get(ref)), ended=NONE_ENDED)


@settings(max_examples=examples(1))
@given(st.lists(st.tuples(CALLS, st.sampled_from([0, 1, 10, 31])), max_size=6))
def test_a_preview_is_what_the_call_then_does(steps: list[tuple[Call, int]]) -> None:
    here, ref, now = place(), CustomerRef(SANDBOX, f"c-{uuid.uuid4().hex}"), NOW
    here.customers.get_or_create(SANDBOX, Customer(ref.id), None, now)
    for call, days in steps:
        now += days * DAY
        before = whole(here, ref)
        told, refused = outcome(lambda call=call, now=now: preview(here.customers, lambda c: call(c, ref, now), now))  # type: ignore[misc]
        assert whole(here, ref) == before
        _, refusal = outcome(lambda call=call, now=now: call(here.customers, ref, now))  # type: ignore[misc]
        assert refusal == refused
        after = whole(here, ref)
        if refused:
            assert after == before
            continue
        assert shown(told) == (None if after == before else shown(Preview(before, after, now)))
        if told:
            assert told.after.balances.keys() == after.balances.keys()
            assert [b.headroom for b in told.after.balances.values()] == [b.headroom for b in after.balances.values()]
