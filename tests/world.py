"""A small world to test in: a table with a catalog and customers, and the use cases over it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tollgate.domain.balances import totals
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.keys import Caller, Environment, Scope
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem
from tollgate.store.api_keys import ApiKeys
from tollgate.store.balance_items import decode_event
from tollgate.store.balances import Balances
from tollgate.store.customers import Customers
from tollgate.store.features import Features
from tollgate.store.keys import balance
from tollgate.store.plans import Plans
from tollgate.store.table import Table
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.management import Management
from tollgate.usecases.usage import Meter, Outcome, Use

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_767_225_600_000  # 2026-01-01
HOUR = 3_600_000
SANDBOX = Environment.SANDBOX
CALLER = Caller(SANDBOX, Scope.SECRET, "key_test")
MONTHLY = Reset(Interval.MONTH)

FEATURES = (
    Feature("messages", "Messages", FeatureType.METERED),
    Feature("dashboard", "Dashboard", FeatureType.BOOLEAN, consumable=False),
)


def item(included: int | str, reset: Reset | None = MONTHLY, feature: str = "messages") -> PlanItem:
    return PlanItem(feature, Decimal(included), reset=reset)


@dataclass(frozen=True)
class World:
    table: Table
    balances: Balances
    meter: Meter
    management: Management

    def customer(self, customer_id: str, items: Sequence[PlanItem], now: int = NOW) -> None:
        """A customer with one plan of these items."""
        plan = f"plan-{random.randrange(10**12)}"
        self.management.create_plan(SANDBOX, Plan(plan, plan, items=tuple(items)))
        self.management.get_or_create_customer(SANDBOX, Customer(customer_id), None, now)
        self.management.attach(SANDBOX, customer_id, plan, None, now)

    def use(
        self, customer_id: str, amount: int | str | Decimal, overage: Overage = Overage.REJECT, now: int = NOW
    ) -> Outcome:
        """Check-and-track."""
        return self.meter.check_and_track(CALLER, Use(customer_id, "messages", Decimal(amount), overage), now)

    def remaining(self, customer_id: str, now: int = NOW) -> Decimal:
        outcome = self.meter.check(SANDBOX, customer_id, "messages", Decimal(0), now)
        assert outcome.balance
        return totals(outcome.balance.rows).remaining

    def last_event_id(self, customer_id: str) -> str | None:
        found = self.table.get(balance(SANDBOX, customer_id, "messages"))
        assert found
        event = decode_event(found)
        return event and event.id


def world(client: DynamoDBClient, table_name: str) -> World:
    """The use cases over an empty table that has the features above."""
    table = Table(client, table_name)
    features, balances = Features(table), Balances(table)
    management = Management(features, Plans(table), Customers(table), ApiKeys(table))
    for feature in FEATURES:
        management.create_feature(SANDBOX, feature)
    return World(table, balances, Meter(balances, FeatureCache(features)), management)
