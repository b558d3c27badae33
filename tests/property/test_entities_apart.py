"""An entity that is made from a part of what its customer holds leaves the same as one made from all of it (management.md 5)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table
from tests.memory import fresh_url, memory
from tests.profiles import examples
from tests.service import FIXTURE, HOURLY, NOW, SANDBOX, Service, item, pay_per_use, service
from tollgate.domain.controls import Controls, OverageControl, SpendControl, UsageControl
from tollgate.domain.customers import NONE_ENDED, Customer, Entity
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import TollgateError
from tollgate.domain.periods import Interval
from tollgate.domain.plans import Plan
from tollgate.domain.subscriptions import Terms
from tollgate.store import customers, listing
from tollgate.store.customers import CustomerStore
from tollgate.store.plans import PlanStore
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate
from tollgate.usecases.entitlements import Entitlements
from tollgate.usecases.plans import PlanCache

C1 = CustomerRef(SANDBOX, "c1")
ITEMS = {
    "seats": (item(2, None, "users"),),
    "sold seats": (replace(pay_per_use(1, 2, "users"), reset=None),),
    "shares": (replace(item(3), entity_feature_id="users"),),
    "seats each": (replace(item(1, None, "workflows"), entity_feature_id="users"),),
    "both": (item(2, HOURLY), replace(item(4, None, "credits"), entity_feature_id="users")),
    "overage": (pay_per_use(1, 3), replace(pay_per_use(0, 2), entity_feature_id="users")),
    "own seats": (item(3, None, "workflows"), item(5, None, "action1")),
}
FEATURE_IDS = tuple(feature.id for feature in FIXTURE)
CONTROLS = (
    Controls(),
    Controls(
        usage=(UsageControl("messages", Decimal(4), Interval.DAY), UsageControl("users", Decimal(3), Interval.DAY))
    ),
    Controls(spend=(SpendControl("messages", limit=Decimal(2)),), overage=(OverageControl("messages", True),)),
)
entity = st.sampled_from(["e1", "e2", "e3"])
steps = st.one_of(
    st.tuples(st.just("make"), entity, st.sampled_from(CONTROLS)),
    st.tuples(st.just("make"), entity, st.sampled_from(CONTROLS)),
    st.tuples(st.just("end"), entity, st.none()),
    st.tuples(st.just("attach"), st.sampled_from(sorted(ITEMS)), st.one_of(st.none(), entity)),
    st.tuples(st.just("cancel"), st.sampled_from(sorted(ITEMS)), st.none()),
    st.tuples(st.just("use"), st.sampled_from(["messages", "workflows", "users"]), st.one_of(st.just(""), entity)),
    st.tuples(st.just("limit"), st.sampled_from(CONTROLS), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([1, 3_600_000, 90_000_000]), st.none()),
)


@settings(max_examples=examples(0.4))
@given(st.lists(steps, min_size=2, max_size=12))
def test_an_entity_made_from_a_part_is_as_one_made_from_all(asked: Sequence[tuple[str, Any, Any]]) -> None:
    found = []
    for apart in (True, False):
        with ExitStack() as patched:
            for module in (customers, listing):
                patched.enter_context(patch.object(module, "MOST_PARTS", 0))
            least = Decimal("0.01") if apart else 10**9
            patched.enter_context(patch.object(customers, "THINGS_IN_A_UNIT", least))
            found.append(outcomes(asked))
    assert found[0] == found[1]


def outcomes(asked: Sequence[tuple[str, Any, Any]]) -> list[Any]:
    """What came of each step, and what the customer then held."""
    client = memory(fresh_url())
    return outcomes_of(service(client, create_table(client), FIXTURE), asked)


def outcomes_of(here: Service, asked: Sequence[tuple[str, Any, Any]]) -> list[Any]:
    """The same, with this service."""
    for plan, items in ITEMS.items():
        here.catalogs.create_plan(SANDBOX, Plan(plan.replace(" ", "-"), plan, add_on=True, items=items))
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    now, told = NOW, []
    for number, step in enumerate(asked):
        now += step[1] if step[0] == "wait" else 1
        try:
            error = did(here, step, number, now)
        except TollgateError as raised:
            error = f"{type(raised).__name__}: {raised}"
        held = here.customers.get(C1)
        told.append((step, error, replace(here.customers.with_ended(SANDBOX, held), ended=NONE_ENDED)))
        assert {
            one: here.customers.with_entity(SANDBOX, "c1", one).entity(one) for one in told[-1][2].entities
        } == dict(told[-1][2].entities)
    return told


def did(here: Service, step: tuple[str, Any, Any], number: int, now: int) -> str:
    """Does one step; what it answered."""
    match step:
        case "make", id, controls:
            here.customers.create_entity(C1, Entity(id, "users", controls=controls), now)
        case "end", id, _:
            here.customers.delete_entity(C1, id, now)
        case "attach", plan, entity_id:
            terms = Terms(stacks=True, entity_id=entity_id)
            here.customers.attach(C1, plan.replace(" ", "-"), None, now, terms, f"sub_{number}")
        case "cancel", plan, _:
            change = SubscriptionUpdate("cancel_immediately")
            here.customers.update_subscription(C1, SubscriptionFilter(None, plan.replace(" ", "-")), change, now)
        case "use", feature, entity_id:
            return str(here.use("c1", 1, Overage.OVERFLOW, now, feature=feature, entity=entity_id).allowed)
        case "limit", controls, _:
            here.customers.update(C1, lambda customer: replace(customer, controls=controls), now)
    return ""


@settings(max_examples=examples(0.3))
@given(
    st.lists(steps, min_size=2, max_size=8),
    st.sets(st.sampled_from([*FEATURE_IDS, "unknown", "messages#e1"]), min_size=1),
)
def test_entitlements_to_some_features_are_those_of_all(
    asked: Sequence[tuple[str, Any, Any]], wanted: set[str]
) -> None:
    """flexprice.md 2.1, 2.4: `feature_ids` leaves features out, and changes nothing of the others."""
    client = memory(fresh_url())
    here = service(client, create_table(client), FIXTURE)
    with patch.object(customers, "MOST_PARTS", 0), patch.object(listing, "MOST_PARTS", 0):
        outcomes_of(here, asked)
    read = Entitlements(CustomerStore(here.table), here.ledger.features, PlanCache(PlanStore(here.table)))
    now = NOW + 10**9
    some, everything = read.of(C1, now, wanted), read.of(C1, now)
    assert some.usage() == [each for each in everything.usage() if each[0].feature.id in wanted]
    assert some.holdings.subscriptions == everything.holdings.subscriptions
    assert len(some.holdings.balances) <= len(everything.holdings.balances)
