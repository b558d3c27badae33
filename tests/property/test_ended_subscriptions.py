"""That ended subscriptions are kept apart changes nothing but what is read (management.md 20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table
from tests.memory import fresh_url, memory
from tests.profiles import examples
from tests.service import FIXTURE, HOURLY, NOW, SANDBOX, Service, item, service
from tollgate.domain.customers import Customer, Entity, Holdings
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import TollgateError
from tollgate.domain.periods import Interval
from tollgate.domain.plan_changes import trials_used
from tollgate.domain.plans import FreeTrial, Plan
from tollgate.domain.subscriptions import Terms
from tollgate.store import customers
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

C1 = CustomerRef(SANDBOX, "c1")
DAY = 86_400_000
PLANS = {
    "main": Plan("main", "main", items=(item(10, HOURLY),)),
    "other": Plan("other", "other", items=(item(20),)),
    "trial": Plan("trial", "trial", items=(item(5),), free_trial=FreeTrial(3, Interval.DAY)),
    "extra": Plan("extra", "extra", add_on=True, items=(item(3), item(2, None, "users"))),
}
plan_ids = st.sampled_from(sorted(PLANS))
steps = st.one_of(
    st.tuples(st.just("attach"), plan_ids, st.sampled_from([None, None, "e1"])),
    st.tuples(st.just("attach"), plan_ids, st.none()),
    st.tuples(st.just("for a while"), plan_ids, st.sampled_from([DAY // 2, 3 * DAY])),
    st.tuples(st.just("cancel"), plan_ids, st.booleans()),
    st.tuples(st.just("cancel"), plan_ids, st.just(True)),
    st.tuples(st.just("uncancel"), plan_ids, st.none()),
    st.tuples(st.just("use"), st.sampled_from(["messages", "users"]), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([1, DAY // 24, 2 * DAY, 40 * DAY]), st.none()),
    st.tuples(st.just("again"), st.integers(0, 5), st.none()),
)


@settings(max_examples=examples(0.5))
@given(st.lists(steps, min_size=3, max_size=14))
def test_what_is_kept_apart_is_as_if_it_were_not(asked: Sequence[tuple[str, Any, Any]]) -> None:
    apart = outcomes(asked)
    with patch.object(customers, "over", lambda *_: []):
        together = outcomes(asked)
    assert apart == together


def outcomes(asked: Sequence[tuple[str, Any, Any]]) -> list[Any]:
    """What each step answered, and all that the customer then has or had."""
    client = memory(fresh_url())
    here = service(client, create_table(client), FIXTURE)
    for plan in PLANS.values():
        here.catalogs.create_plan(SANDBOX, plan)
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    here.customers.create_entity(C1, Entity("e1", "users"), NOW)
    now, told = NOW, []
    for number, step in enumerate(asked):
        now += step[1] if step[0] == "wait" else 1
        try:
            answer = did(here, step, number, now)
        except TollgateError as raised:
            answer = f"{type(raised).__name__}: {raised}"
        told.append((step, answer, shown(here, now)))
    return told


def shown(here: Service, now: int) -> Any:
    read = here.customers.get(C1)
    whole: Holdings = here.customers.with_ended(SANDBOX, read)
    assert read.ended.number == len(whole.subscriptions) - len(read.subscriptions)
    running = {id: s for id, s in read.subscriptions.items() if s.status(now) != "expired"}
    assert trials_used(read) == trials_used(whole)
    for id, held in whole.subscriptions.items():
        assert id in read.subscriptions or here.customers.ended(SANDBOX, read, id) == held
    return running, dict(sorted(whole.subscriptions.items())), whole.balances


def did(here: Service, step: tuple[str, Any, Any], number: int, now: int) -> str:
    """Does one step; what it answered."""
    newest = SubscriptionFilter(None, str(step[1]))
    match step:
        case "attach", plan, entity_id:
            terms = Terms(entity_id=entity_id, free_trial=PLANS[plan].free_trial, stacks=plan == "extra")
            here.customers.attach(C1, plan, None, now, terms, f"sub_{number}")
        case "for a while", plan, ms:
            here.customers.attach(C1, plan, None, now, Terms(ends_at=now + ms, stacks=True), f"sub_{number}")
        case "again", other, _:
            here.customers.attach(C1, "extra", None, now, Terms(stacks=True), f"sub_{other}")
        case "cancel", _, at_once:
            action = "cancel_immediately" if at_once else "cancel_end_of_cycle"
            here.customers.update_subscription(C1, newest, SubscriptionUpdate(action), now)
        case "uncancel", _, _:
            here.customers.update_subscription(C1, newest, SubscriptionUpdate("uncancel"), now)
        case "use", feature, _:
            return str(here.use("c1", 2, Overage.CAP, now, feature=feature).drawn)
    return ""
