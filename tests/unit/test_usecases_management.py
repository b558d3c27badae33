"""Customers and their plans, from the command to what is stored, over a table in memory."""

from __future__ import annotations

import pytest

from tests.service import HOUR, NOW, SANDBOX, Service, item
from tests.unit.usecases import LOST, breaking, here
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import AlreadyExists, InvalidRequest, NotFound
from tollgate.domain.plans import Plan
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

DAY = 24 * HOUR


@pytest.fixture
def shop() -> Service:
    return here()


def subscriptions(shop: Service, now: int = NOW) -> dict[str, str]:
    """How each of the customer's plans stands."""
    held = shop.customers.get(CustomerRef(SANDBOX, "c1")).subscriptions.values()
    return {subscription.plan_id: subscription.status(now) for subscription in held}


def test_an_automatic_plan_comes_with_the_customer_once(shop: Service) -> None:
    shop.catalogs.create_plan(SANDBOX, Plan("free", "Free", auto_enable=True, items=(item(10),)))
    for _ in range(2):
        shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    assert subscriptions(shop) == {"free": "active"}
    assert shop.remaining("c1") == 10


def test_a_plan_grants_what_it_holds_and_is_attached_once(shop: Service) -> None:
    shop.customer("c1", [])
    plan = shop.plan([item(10), item(5, feature="action1")])
    shop.customers.attach(CustomerRef(SANDBOX, "c1"), plan, None, NOW)
    assert (shop.remaining("c1"), shop.remaining("c1", feature="action1")) == (10, 5)
    with pytest.raises(InvalidRequest, match="already attached"):
        shop.customers.attach(CustomerRef(SANDBOX, "c1"), plan, None, NOW)
    assert shop.remaining("c1") == 10


def test_uses_before_a_plan_is_attached_stay_used(shop: Service) -> None:
    shop.customer("c1", [item(10)])
    shop.use("c1", 4)
    shop.attach("c1", [item(100)], add_on=True)
    assert shop.remaining("c1") == 106


def test_a_plan_that_is_canceled_grants_no_more(shop: Service) -> None:
    shop.customer("c1", [item(10)])
    (subscription,) = shop.customers.get(CustomerRef(SANDBOX, "c1")).subscriptions
    shop.customers.update_subscription(
        CustomerRef(SANDBOX, "c1"), SubscriptionFilter(subscription), SubscriptionUpdate("cancel_immediately"), NOW
    )
    assert list(subscriptions(shop).values()) == ["expired"]
    assert not shop.use("c1", 1).allowed


def test_what_is_canceled_at_the_end_of_the_cycle_is_there_until_then(shop: Service) -> None:
    shop.customer("c1", [item(10)])
    (subscription,) = shop.customers.get(CustomerRef(SANDBOX, "c1")).subscriptions
    shop.customers.update_subscription(
        CustomerRef(SANDBOX, "c1"), SubscriptionFilter(subscription), SubscriptionUpdate("cancel_end_of_cycle"), NOW
    )
    end = NOW + 31 * DAY
    assert shop.use("c1", 1, now=end - 1).allowed
    assert not shop.use("c1", 1, now=end).allowed


def test_a_lost_answer_attaches_no_second_plan(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.customer("c1", [item(10)])
    plan = shop.plan([item(5)], add_on=True)
    breaking(shop, monkeypatch, "transact_write_items", LOST, times=1, applied=True)
    shop.customers.attach(CustomerRef(SANDBOX, "c1"), plan, None, NOW)
    assert shop.remaining("c1") == 15


def test_what_exists_is_not_made_again_and_what_does_not_is_not_found(shop: Service) -> None:
    shop.customer("c1", [item(10)])
    with pytest.raises(AlreadyExists):
        shop.customers.create(SANDBOX, Customer("c1"), NOW)
    shop.customers.delete(CustomerRef(SANDBOX, "c1"))
    with pytest.raises(NotFound):
        shop.customers.get(CustomerRef(SANDBOX, "c1"))
    with pytest.raises(NotFound):
        shop.use("c1", 1)
