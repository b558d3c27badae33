"""A plan that is put together anew while it runs: what was used stays used, nothing is granted twice, and what is the
same is not touched.

Rules: management.md 18.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.profiles import examples
from tests.service import MONTHLY, NOW, SANDBOX, Service, service
from tollgate.domain.balances import Balance, as_of
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.customizing import Customizing
from tollgate.domain.decisions import Overage
from tollgate.domain.drawing import totals
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import RolloverRule
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import USAGE_BASED, BasePrice, ItemPrice, Plan, PlanItem
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

DAY = 86_400_000
FEATURES = (
    Feature("messages", "Messages", FeatureType.METERED),
    Feature("seats", "Seats", FeatureType.METERED, consumable=False),
    Feature("users", "Users", FeatureType.METERED, consumable=False),
    Feature("flag", "Flag", FeatureType.BOOLEAN, consumable=False),
)
amounts = st.integers(0, 40).map(Decimal)
resets = st.sampled_from([MONTHLY, Reset(Interval.WEEK), None])
prices = st.none() | st.just(ItemPrice(USAGE_BASED, None, Decimal(1)))
messages = st.builds(
    lambda included, reset, price, rollover: PlanItem(
        "messages", included, reset=reset, price=price, rollover=RolloverRule() if rollover and reset else None
    ),
    amounts,
    resets,
    prices,
    st.booleans(),
)
shares = st.builds(lambda included: PlanItem("messages", included, reset=MONTHLY, entity_feature_id="users"), amounts)
seats = st.builds(lambda included: PlanItem("seats", included), amounts)
sets = st.builds(
    lambda own, share, places, flag: (*own, *share, *places, *([PlanItem("flag")] if flag else [])),
    st.lists(messages, max_size=2, unique_by=lambda item: item.reset),
    st.lists(shares, max_size=1),
    st.lists(seats, max_size=1),
    st.booleans(),
)


@cache
def place() -> Service:
    client = dynamodb_client(fresh_url())
    return service(client, create_table(client), FEATURES)


class Shop:
    """A customer with two users and a plan of these items."""

    def __init__(self, items: tuple[PlanItem, ...]) -> None:
        self.here, self.now = place(), NOW
        self.ref = CustomerRef(SANDBOX, f"c-{uuid.uuid4().hex}")
        plan = Plan(f"p-{uuid.uuid4().hex}", "P", items=items, price=BasePrice(Decimal(5), Interval.MONTH))
        self.here.catalogs.create_plan(SANDBOX, plan)
        self.here.customers.get_or_create(SANDBOX, Customer(self.ref.id), None, NOW)
        for user in ("ann", "bob"):
            self.here.customers.create_entity(self.ref, Entity(user, "users"), NOW)
        self.here.customers.attach(self.ref, plan.id, None, NOW)
        (self.id,) = self.here.customers.get(self.ref).subscriptions

    def use(self, amount: int, entity: str) -> None:
        self.here.use(self.ref.id, amount, Overage.CAP, self.now, entity=entity)

    def customize(self, items: tuple[PlanItem, ...]) -> None:
        change = SubscriptionUpdate(customizing=lambda _: Customizing(items))
        self.here.customers.update_subscription(self.ref, SubscriptionFilter(self.id), change, self.now)

    def balances(self) -> dict[str, Balance]:
        held = self.here.customers.get(self.ref).balances
        return {f"{key.feature_id}#{key.entity_id}": as_of(balance, self.now) for key, balance in held.items()}

    def shown(self) -> dict[str, object]:
        """What a customer can see of each balance, whatever its grants are called."""
        return {
            key: (
                totals(balance.grants),
                balance.headroom,
                balance.ceiling,
                sorted(
                    (
                        repr(g.reset),
                        g.next_reset_at or 0,
                        g.total,
                        g.used,
                        g.overage,
                        sum(r.remaining for r in g.rollovers),
                    )
                    for g in balance.grants
                ),
            )
            for key, balance in self.balances().items()
            if balance.grants
        }

    def used(self) -> Decimal:
        return sum((grant.used for balance in self.balances().values() for grant in balance.grants), Decimal(0))


uses = st.lists(st.tuples(st.integers(1, 15), st.sampled_from(["", "", "ann", "bob"])), max_size=4)


@settings(max_examples=examples(1))
@given(sets, uses, st.sampled_from([0, 3, 10, 33]), st.randoms())
def test_the_same_items_in_another_order_change_nothing(
    items: tuple[PlanItem, ...], used: list[tuple[int, str]], days: int, random: object
) -> None:
    shop = Shop(items)
    for amount, entity in used:
        shop.use(amount, entity)
    shop.now += days * DAY
    before = shop.shown()
    other = list(items)
    random.shuffle(other)  # type: ignore[attr-defined]
    shop.customize(tuple(other))
    assert shop.shown() == before


@settings(max_examples=examples(1))
@given(sets, sets, uses, st.sampled_from([0, 3, 10]))
def test_there_and_back_grants_nothing_twice(
    items: tuple[PlanItem, ...], others: tuple[PlanItem, ...], used: list[tuple[int, str]], days: int
) -> None:
    """What is left, after a plan was customized and made what it was, is never more than it was."""
    shop = Shop(items)
    for amount, entity in used:
        shop.use(amount, entity)
    shop.now += days * DAY
    before = {key: totals(balance.grants).remaining for key, balance in shop.balances().items()}
    shop.customize(others)
    shop.customize(items)
    after = {key: totals(balance.grants).remaining for key, balance in shop.balances().items()}
    for key, left in after.items():
        assert left <= before.get(key, Decimal(0)), key


@settings(max_examples=examples(1))
@given(st.lists(messages, min_size=1, max_size=1), st.lists(messages, min_size=1, max_size=1), st.integers(1, 40))
def test_what_was_used_in_a_period_stays_used(was: list[PlanItem], new: list[PlanItem], amount: int) -> None:
    shop = Shop(tuple(was))
    shop.use(amount, "")
    used = shop.used()
    shop.customize(tuple(new))
    assert shop.used() == used
    (balance,) = (balance for key, balance in shop.balances().items() if key == "messages#")
    (grant,) = balance.grants
    assert grant.granted == new[0].included
    held = shop.here.customers.get(shop.ref).subscriptions
    assert list(held) == [shop.id], "the subscription is the same one"
    assert held[shop.id].items[0].included == new[0].included
