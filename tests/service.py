"""A small service to test in: a table with a catalog and customers, and the use cases over it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from tollgate.domain.api_keys import Caller, Scope
from tollgate.domain.balances import Balance, BalanceKey, as_of
from tollgate.domain.controls import NO_CONTROLS, Controls
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.decisions import Overage, sources_of
from tollgate.domain.drawing import Totals, totals
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import USAGE_BASED, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.subscriptions import Terms
from tollgate.domain.use_records import NO_PROPERTIES
from tollgate.store.api_keys import ApiKeyStore
from tollgate.store.balances import BalanceStore
from tollgate.store.codecs.balances import StoredBalance
from tollgate.store.codecs.use_records import decode_use_record
from tollgate.store.customers import CustomerStore
from tollgate.store.features import FeatureStore
from tollgate.store.idempotency import IdempotencyStore
from tollgate.store.keys import balance
from tollgate.store.plans import PlanStore
from tollgate.store.table import Table
from tollgate.usecases.api_keys import ApiKeys
from tollgate.usecases.catalog import Catalogs
from tollgate.usecases.checks import Checks
from tollgate.usecases.commands import Outcome, UseCommand
from tollgate.usecases.customers import Customers
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.ledger import Ledger, ledger_of
from tollgate.usecases.track import Tracking

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_767_225_600_000  # 2026-01-01
BESIDE = Terms(stacks=True)
HOUR = 3_600_000
SANDBOX = Environment.SANDBOX
CALLER = Caller(SANDBOX, Scope.SECRET, "key_test")
MONTHLY = Reset(Interval.MONTH)
HOURLY = Reset(Interval.HOUR)

FEATURES = (
    Feature("messages", "Messages", FeatureType.METERED),
    Feature("dashboard", "Dashboard", FeatureType.BOOLEAN, consumable=False),
)

# The catalog of autumn.md 5: seats, members of credit systems, and an event that two of them listen to.
FIXTURE = (
    *FEATURES,
    Feature("users", "Users", FeatureType.METERED, consumable=False),
    Feature("workflows", "Workflows", FeatureType.METERED, consumable=False),
    Feature("action1", "Action 1", FeatureType.METERED, event_names=("action-event",)),
    Feature("action2", "Action 2", FeatureType.METERED),
    Feature("action3", "Action 3", FeatureType.METERED, event_names=("action-event",)),
    Feature(
        "credits",
        "Credits",
        FeatureType.CREDIT_SYSTEM,
        credit_schema=(("action1", Decimal("0.2")), ("action2", Decimal("0.6"))),
    ),
    Feature("credits2", "Credits 2", FeatureType.CREDIT_SYSTEM, credit_schema=(("action3", Decimal("1.4")),)),
)


def item(included: int | str, reset: Reset | None = MONTHLY, feature: str = "messages") -> PlanItem:
    return PlanItem(feature, Decimal(included), reset=reset)


def pay_per_use(included: int, most: int | None = None, feature: str = "messages") -> PlanItem:
    """So many units included each month, and `most` of overage."""
    price = ItemPrice(USAGE_BASED, None if most is None else Decimal(most), Decimal("0.5"))
    return PlanItem(feature, Decimal(included), reset=MONTHLY, price=price)


class UseOptions(TypedDict, total=False):
    """What else a use may say."""

    feature: str  # else `messages`
    entity: str  # else the customer itself
    properties: Mapping[str, Any]
    idempotency_keys: tuple[IdempotencyKey, ...]


@dataclass(frozen=True)
class Service:
    table: Table
    balance_store: BalanceStore
    ledger: Ledger
    checks: Checks
    tracking: Tracking
    idempotency: IdempotencyStore
    catalogs: Catalogs
    customers: Customers
    api_keys: ApiKeys

    def plan(self, items: Sequence[PlanItem], *, add_on: bool = False) -> str:
        """The id of a new plan of these items."""
        plan = f"plan-{random.randrange(10**12)}"
        self.catalogs.create_plan(SANDBOX, Plan(plan, plan, add_on=add_on, items=tuple(items)))
        return plan

    def customer(
        self, customer_id: str, items: Sequence[PlanItem], now: int = NOW, controls: Controls = NO_CONTROLS
    ) -> None:
        """A customer with one plan of these items."""
        self.customers.get_or_create(SANDBOX, Customer(customer_id, controls=controls), None, now)
        self.attach(customer_id, items, now)

    def attach(
        self,
        customer_id: str,
        items: Sequence[PlanItem],
        now: int = NOW,
        terms: Terms = BESIDE,
        *,
        add_on: bool = False,
    ) -> None:
        """Attaches a new plan of these items, beside what is held."""
        self.customers.attach(CustomerRef(SANDBOX, customer_id), self.plan(items, add_on=add_on), None, now, terms)

    def entity(self, customer_id: str, *ids: str, now: int = NOW) -> None:
        """Entities of the feature `users`."""
        for id in ids:
            self.customers.create_entity(CustomerRef(SANDBOX, customer_id), Entity(id, "users"), now)

    def use(
        self,
        customer_id: str,
        amount: int | str | Decimal,
        overage: Overage = Overage.REJECT,
        now: int = NOW,
        **more: Unpack[UseOptions],
    ) -> Outcome:
        """Check-and-track, by default of `messages`."""
        use = UseCommand(
            customer_id,
            more.get("feature", "messages"),
            Decimal(amount),
            overage,
            more.get("properties", NO_PROPERTIES),
            more.get("entity", ""),
            idempotency_keys=more.get("idempotency_keys", ()),
        )
        return self.tracking.check_and_track(CALLER, use, now)

    def track(
        self,
        customer_id: str,
        amount: int | str,
        overage: Overage = Overage.CAP,
        idempotency_keys: tuple[IdempotencyKey, ...] = (),
    ) -> Outcome:
        """Track: a refusal is an error."""
        return self.tracking.track(
            CALLER,
            UseCommand(customer_id, "messages", Decimal(amount), overage, idempotency_keys=idempotency_keys),
            NOW,
        )

    def totals(self, customer_id: str, feature: str = "messages", entity: str = "", now: int = NOW) -> Totals:
        """What a check shows of a feature."""
        balances = self.checks.check(SANDBOX, UseCommand(customer_id, feature, ZERO, entity_id=entity), now).balances
        sources = sources_of(feature, (), entity, balances)
        return totals(grant for source in sources for grant in balances[source.key].grants if source.may(grant))

    def remaining(self, customer_id: str, now: int = NOW, *, feature: str = "messages", entity: str = "") -> Decimal:
        return self.totals(customer_id, feature, entity, now).remaining

    def held(self, customer_id: str, now: int = NOW) -> dict[BalanceKey, Balance]:
        """Every balance of the customer and its entities, as it stands."""
        held = self.customers.get(CustomerRef(SANDBOX, customer_id)).balances
        return {key: as_of(balance, now) for key, balance in held.items()}

    def consumed(self, customer_id: str, now: int = NOW) -> dict[BalanceKey, Decimal]:
        """What was drawn from each balance, in its units."""
        return {
            key: sum((grant.consumed for grant in balance.grants), ZERO)
            for key, balance in self.held(customer_id, now).items()
        }

    def stored(self, customer_id: str, key: BalanceKey = BalanceKey("messages")) -> StoredBalance:  # noqa: B008 - a tuple
        return self.balance_store.read(CustomerRef(SANDBOX, customer_id), [key])[key]

    def last_event_id(self, customer_id: str, key: BalanceKey = BalanceKey("messages")) -> str | None:  # noqa: B008 - a tuple
        found = self.table.get(balance(CustomerRef(SANDBOX, customer_id), key))
        assert found
        event = decode_use_record(found)
        return event and event.id


def service(client: DynamoDBClient, table_name: str, catalog: Sequence[Feature] = FEATURES) -> Service:
    """The use cases over an empty table that has the features of this catalog."""
    table = Table(client, table_name)
    features, balances = FeatureStore(table), BalanceStore(table)
    catalogs = Catalogs(features, PlanStore(table))
    for feature in catalog:
        catalogs.create_feature(SANDBOX, feature)
    idempotency = IdempotencyStore(table)
    ledger = ledger_of(balances, FeatureCache(features), idempotency)
    customers = Customers(CustomerStore(table), catalogs)
    api_keys = ApiKeys(ApiKeyStore(table))
    return Service(
        table, balances, ledger, Checks(ledger), Tracking(ledger), idempotency, catalogs, customers, api_keys
    )
