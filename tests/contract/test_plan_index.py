"""Who has a plan or a subscription is found by an index that is always as the customers are, whatever was changed."""

from __future__ import annotations

import random

import pytest

from tests.contract.conftest import MEMORY
from tests.service import SANDBOX, Service, item
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.plans import Plan
from tollgate.domain.subscriptions import Terms
from tollgate.store import listing
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

pytestmark = pytest.mark.parametrize("backend", [(MEMORY, False)], ids=[MEMORY], indirect=True)
PLANS = ("first", "second", "third")


def index_of(here: Service) -> dict[str, list[str]]:
    """What the table has under plans and subscriptions: partition → sort keys."""
    found: dict[str, list[str]] = {}
    for one in here.table.client.scan(TableName=here.table.name)["Items"]:
        if one["pk"]["S"].split("#")[1] in ("plan", "subscription"):
            found.setdefault(one["pk"]["S"], []).append(one["sk"]["S"])
    return {partition: sorted(positions) for partition, positions in found.items()}


def expected(here: Service) -> dict[str, list[str]]:
    """What it must have, by what each customer has and had."""
    found: dict[str, list[str]] = {}
    for holdings in here.customers.read(SANDBOX, here.customers.listed(SANDBOX)):
        position = f"{holdings.customer.created_at:014d}#{holdings.customer.id}"
        held = here.customers.with_ended(SANDBOX, holdings).subscriptions.values()
        for partition in {f"sandbox#plan#{s.plan_id}" for s in held} | {f"sandbox#subscription#{s.id}" for s in held}:
            found.setdefault(partition, []).append(position)
    return {partition: sorted(positions) for partition, positions in found.items()}


def test_the_indexes_say_what_customers_have_and_had(here: Service) -> None:
    """management.md 20: also of what has ended; nothing is left of a customer who is deleted."""
    choose, now = random.Random(20), 1_800_000_000_000
    for plan in PLANS:
        here.catalogs.create_plan(SANDBOX, Plan(plan, plan, add_on=True, items=(item(10),)))
    customers = [CustomerRef(SANDBOX, f"c{number}") for number in range(4)]
    for number, customer in enumerate(customers):
        here.customers.get_or_create(SANDBOX, Customer(customer.id), None, now + number)
    running: list[tuple[CustomerRef, str]] = []
    for step in range(30):
        at = now + step * 3_600_000
        if running and choose.random() < 0.5:
            customer, id = running.pop(choose.randrange(len(running)))
            end = SubscriptionUpdate("cancel_immediately")
            here.customers.update_subscription(customer, SubscriptionFilter(id), end, at)
        else:
            customer = choose.choice(customers)
            starts = at + choose.choice((0, 0, 86_400_000))
            terms = Terms(stacks=True, starts_at=starts)
            held, _ = here.customers.attach(customer, choose.choice(PLANS), None, at, terms, f"s{step}")
            running.append((customer, held.id))
    here.customers.delete(customers[0])
    assert index_of(here) == expected(here)


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_of_several_plans_are_the_list_of_who_has_one(
    here: Service, newest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one page of the index, plans of different sizes, customers who have several."""
    for plan in PLANS:
        here.catalogs.create_plan(SANDBOX, Plan(plan, plan, add_on=True, items=(item(10),)))
    monkeypatch.setattr(listing, "MAX_BATCH", 10)
    number = 24
    for index in range(number):
        customer = CustomerRef(SANDBOX, f"c{index:03}")
        here.customers.get_or_create(SANDBOX, Customer(customer.id), "first", index)
        if index % 5 == 0:
            here.customers.attach(customer, "second", None, index)
    here.customers.get_or_create(SANDBOX, Customer("none"), None, number)
    here.customers.get_or_create(SANDBOX, Customer("last"), "second", number + 1)
    found: list[str] = []
    position, more = "", True
    while more:
        page, more = here.customers.page_with_plans(
            SANDBOX, ["first", "second", "third"], position, newest_first=newest_first
        )
        found += [one.customer_id for one in page]
        position = page[-1].position if page else position
    wanted = [one.customer_id for one in here.customers.listed(SANDBOX, newest_first=newest_first)]
    assert found == [id for id in wanted if id != "none"]
