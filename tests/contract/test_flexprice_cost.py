"""What an answer costs, and that it is whole, on every backend that is atomic."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.conftest import Spent, create_table
from tests.contract.conftest import Backend
from tests.service import BESIDE, MONTHLY, NOW, SANDBOX, Service, service
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import AlreadyExists
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.plans import Plan, PlanItem
from tollgate.store.customers import CustomerStore
from tollgate.store.features import FeatureStore
from tollgate.store.plans import PlanStore
from tollgate.store.table import Item
from tollgate.usecases.entitlements import Entitlements
from tollgate.usecases.features import FeatureCache
from tollgate.usecases.plans import PlanCache

MANY = 200
IN_A_PLAN = 50


@pytest.fixture
def here(backend: Backend) -> Service:
    client = backend.client()
    return service(client, create_table(client))


def reader(here: Service) -> Entitlements:
    return Entitlements(
        CustomerStore(here.table), FeatureCache(FeatureStore(here.table)), PlanCache(PlanStore(here.table))
    )


def stock(here: Service, customer: str, features: int) -> None:
    """A customer of so many features, fifty of them in each plan."""
    here.customers.get_or_create(SANDBOX, Customer(customer), None, NOW)
    ids = [f"feature-{number:03}" for number in range(features)]
    with ThreadPoolExecutor(8) as threads:
        made = [Feature(id, id, FeatureType.METERED, extra={"description": "x" * 200}) for id in ids]
        list(threads.map(lambda feature: here.catalogs.create_feature(SANDBOX, feature), made))
    for start in range(0, features, IN_A_PLAN):
        items = tuple(PlanItem(id, Decimal(100), reset=MONTHLY) for id in ids[start : start + IN_A_PLAN])
        here.catalogs.create_plan(SANDBOX, Plan(f"plan-{start}", "Plan", items=items))
        here.customers.attach(CustomerRef(SANDBOX, customer), f"plan-{start}", None, NOW, BESIDE)


def test_200_features_cost_one_query_beside_the_cached_catalog_and_a_page_for_each_megabyte(here: Service) -> None:
    stock(here, "c1", MANY)
    entitlements = reader(here)
    spent = Spent(here.table.client)
    first = spent.of(lambda: entitlements.of(CustomerRef(SANDBOX, "c1"), NOW))
    assert [name for name, _ in first] == [
        "Query",
        "BatchGetItem",
        "Query",
        "Query",
    ]  # the customer, the features, the plans
    again = spent.of(lambda: entitlements.of(CustomerRef(SANDBOX, "c1"), NOW))
    assert [name for name, _ in again] == ["Query"]
    read = entitlements.of(CustomerRef(SANDBOX, "c1"), NOW)
    assert len(read.features) == MANY
    assert sum(found.entitlement.limit or 0 for found in read.features) == 100 * MANY
    usage = spent.of(lambda: entitlements.of(CustomerRef(SANDBOX, "c1"), NOW).usage())
    assert [name for name, _ in usage] == ["Query"]
    spent.stop()
    here.use("c1", 1, feature="feature-000")
    for number in range(0, MANY, 50):  # each balance swells to 300 KB
        key: Item = {"pk": {"S": "sandbox#customer#c1"}, "sk": {"S": f"BALANCE#feature-{number:03}#"}}
        here.table.client.update_item(
            TableName=here.table.name,
            Key=key,
            UpdateExpression="SET swollen = :x",
            ExpressionAttributeValues={":x": {"S": "x" * 300_000}},
        )
    requests = Spent(here.table.client).of(lambda: entitlements.of(CustomerRef(SANDBOX, "c1"), NOW))
    assert [name for name, _ in requests] == ["Query", "Query"]
    assert len(entitlements.of(CustomerRef(SANDBOX, "c1"), NOW).features) == MANY


def test_a_customer_of_few_features_costs_as_many_requests(here: Service) -> None:
    stock(here, "c1", 2)
    entitlements = reader(here)
    entitlements.of(CustomerRef(SANDBOX, "c1"), NOW)
    (request,) = Spent(here.table.client).of(lambda: entitlements.of(CustomerRef(SANDBOX, "c1"), NOW))
    assert request == ("Query", 1.0)  # of about 3 KB


def test_entitlements_added_at_once_are_all_there_and_none_twice(here: Service) -> None:
    ids = [f"f{number}" for number in range(12)]
    for id in ids:
        here.catalogs.create_feature(SANDBOX, Feature(id, id, FeatureType.METERED))
    here.catalogs.create_plan(SANDBOX, Plan("pro", "Pro"))
    start = threading.Barrier(6)

    def add(id: str) -> None:
        def change(plan: Plan) -> Plan:
            if any(item.feature_id == id for item in plan.items):
                raise AlreadyExists("entitlement", id)
            return replace(plan, items=(PlanItem(id, Decimal(1)), *plan.items))

        start.wait()
        here.catalogs.edit_plan(SANDBOX, "pro", change, NOW)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(add, ids))
    plan = here.catalogs.plan(SANDBOX, "pro")
    assert sorted(item.feature_id for item in plan.items) == sorted(ids)
    assert plan.version == 1
    with pytest.raises(AlreadyExists):
        here.catalogs.edit_plan(SANDBOX, "pro", lambda _: (_ for _ in ()).throw(AlreadyExists("x", "y")), NOW)


def test_a_plan_that_somebody_holds_is_changed_as_a_new_version(here: Service) -> None:
    here.catalogs.create_feature(SANDBOX, Feature("f1", "F1", FeatureType.METERED))
    here.catalogs.create_plan(SANDBOX, Plan("pro", "Pro"))
    here.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    here.customers.attach(CustomerRef(SANDBOX, "c1"), "pro", None, NOW)
    new = here.catalogs.edit_plan(SANDBOX, "pro", lambda p: replace(p, items=(PlanItem("f1", Decimal(1)),)), NOW)
    assert (new.version, new.in_use) == (2, False)
    assert here.catalogs.plan(SANDBOX, "pro", 1).items == ()
