"""Customers and their plans, from the command to what is stored, over a table in memory."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.service import HOUR, NOW, SANDBOX, Service, item
from tests.unit.usecases import LOST, breaking, here
from tollgate.domain.controls import Controls, SpendControl, UsageControl
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import AlreadyExists, Conflict, InvalidInput, InvalidRequest, NotFound, TollgateError
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES, FRESH, Carried, CarryOver
from tollgate.domain.plans import BasePrice, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.customers import Customers, PlanDefaults, SubscriptionFilter, SubscriptionUpdate

DAY = 24 * HOUR


@pytest.fixture
def shop() -> Service:
    return here()


def subscriptions(shop: Service, now: int = NOW) -> dict[str, str]:
    """How each of the customer's plans stands: one that was ended and attached again, as it stands since."""
    read = shop.customers.get(CustomerRef(SANDBOX, "c1"))
    held = shop.customers.with_ended(SANDBOX, read).subscriptions.values()
    ended_first = sorted(held, key=lambda subscription: subscription.status(now) != "expired")
    return {subscription.plan_id: subscription.status(now) for subscription in ended_first}


def test_an_automatic_plan_comes_with_the_customer_once(shop: Service) -> None:
    shop.catalogs.create_plan(SANDBOX, Plan("free", "Free", auto_enable=True, items=(item(10),)))
    for _ in range(2):
        shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    assert subscriptions(shop) == {"free": "active"}
    assert shop.remaining("c1") == 10


def test_a_plan_whose_attach_is_refused_is_not_in_use(shop: Service) -> None:
    """management.md 3 (plans.update): its next change makes no version; that of one who has it does."""
    ref = CustomerRef(SANDBOX, "c1")
    shop.customer("c1", [item(5)])
    shop.catalogs.create_plan(SANDBOX, Plan("held", "Held", group="one", items=(item(1),)))
    shop.customers.attach(ref, "held", None, NOW, subscription_id="mine")
    shop.catalogs.create_plan(SANDBOX, Plan("new", "New", group="two", items=(item(2),)))
    refused: list[tuple[CustomerRef, str, Terms, type[TollgateError]]] = [
        (ref, "mine", Terms(), AlreadyExists),
        (ref, "other", Terms(quantities={"messages": Decimal(5)}), TollgateError),
        (ref, "other", Terms(removes=("nothing",)), InvalidInput),
        (ref, "other", Terms(entity_id="nobody"), NotFound),
        (CustomerRef(SANDBOX, "nobody"), "other", Terms(), NotFound),
    ]
    for customer, id, terms, error in refused:
        with pytest.raises(error):
            shop.customers.attach(customer, "new", None, NOW, terms, subscription_id=id)
        assert not shop.catalogs.plan(SANDBOX, "new").in_use
    for id, version in (("new", 1), ("held", 2)):
        changed = shop.catalogs.update_plan(SANDBOX, id, lambda plan: replace(plan, items=(item(9),)), NOW)
        assert changed.version == version
    shop.customers.attach(ref, "new", None, NOW)
    assert shop.catalogs.plan(SANDBOX, "new").in_use


def test_a_feature_that_a_plan_names_in_any_way_is_not_deleted(shop: Service) -> None:
    """management.md 2: in an item, as what entities count, or in its controls."""
    shares = PlanItem("messages", Decimal(5), entity_feature_id="users")
    controls = Controls((SpendControl("action1"),), (UsageControl("action2", Decimal(1), Interval.DAY),))
    shop.catalogs.create_plan(SANDBOX, Plan("team", "Team", items=(shares,), controls=controls))
    for named in ("messages", "users", "action1", "action2"):
        with pytest.raises(Conflict, match="archive it instead"):
            shop.catalogs.delete_feature(SANDBOX, named)
    shop.catalogs.delete_feature(SANDBOX, "workflows")


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


class TestTheAutomaticPlan:
    """management.md 7: it comes back where another plan of its group ends."""

    @pytest.fixture
    def subscriber(self, shop: Service) -> Service:
        """A customer on `pro`, which took the place of the automatic `free` one."""
        cost = BasePrice(Decimal(20), Interval.MONTH)
        shop.catalogs.create_plan(SANDBOX, Plan("free", "Free", auto_enable=True, items=(item(10),)))
        shop.catalogs.create_plan(SANDBOX, Plan("pro", "Pro", items=(item(100),), price=cost))
        shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
        shop.customers.attach(CustomerRef(SANDBOX, "c1"), "pro", None, NOW)
        assert subscriptions(shop) == {"free": "expired", "pro": "active"}
        return shop

    def change(self, shop: Service, plan: str, action: str) -> None:
        which = SubscriptionFilter(None, plan)
        shop.customers.update_subscription(CustomerRef(SANDBOX, "c1"), which, SubscriptionUpdate(action), NOW)

    def test_at_once(self, subscriber: Service) -> None:
        self.change(subscriber, "pro", "cancel_immediately")
        assert subscriptions(subscriber) == {"free": "active", "pro": "expired"}
        assert subscriber.remaining("c1") == 10

    def test_at_the_end_of_the_cycle_unless_the_cancellation_is_taken_back(self, subscriber: Service) -> None:
        self.change(subscriber, "pro", "cancel_end_of_cycle")
        assert subscriptions(subscriber) == {"free": "scheduled", "pro": "active"}
        assert subscriptions(subscriber, NOW + 31 * DAY) == {"free": "active", "pro": "expired"}
        self.change(subscriber, "pro", "uncancel")
        assert subscriptions(subscriber, NOW + 31 * DAY) == {"free": "expired", "pro": "active"}

    @pytest.mark.parametrize("action", ["cancel_immediately", "cancel_end_of_cycle"])
    def test_seats_in_use_go_over_to_it(self, shop: Service, action: str) -> None:
        """management.md 6: though the plan that counted them is gone before it comes."""
        cost = BasePrice(Decimal(20), Interval.MONTH)
        seats = PlanItem("users", Decimal(5))
        shop.catalogs.create_plan(SANDBOX, Plan("free", "Free", auto_enable=True, items=(seats,)))
        shop.catalogs.create_plan(SANDBOX, Plan("pro", "Pro", items=(seats,), price=cost))
        shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
        shop.customers.attach(CustomerRef(SANDBOX, "c1"), "pro", None, NOW)
        shop.use("c1", 3, feature="users")
        self.change(shop, "pro", action)
        assert shop.remaining("c1", NOW + 31 * DAY, feature="users") == 2

    def later(self, shop: Service, plan: str, starts: int, ends: int | None = None) -> None:
        """Attaches a plan from so many days on, until so many."""
        if plan == "max":
            cost = BasePrice(Decimal(50), Interval.MONTH)
            shop.catalogs.create_plan(SANDBOX, Plan("max", "Max", items=(item(1000),), price=cost))
        terms = Terms(starts_at=NOW + starts * DAY, ends_at=None if ends is None else NOW + ends * DAY)
        shop.customers.attach(CustomerRef(SANDBOX, "c1"), plan, None, NOW, terms)

    def runs(self, shop: Service, *days: int) -> list[str]:
        """Which plan runs after so many days."""
        held = shop.customers.get(CustomerRef(SANDBOX, "c1"))
        return [one.plan_id for day in days for one in held.active(NOW + day * DAY)]

    def test_a_plan_for_a_time_is_followed_by_it_and_taken_back_leaves_no_trace(self, subscriber: Service) -> None:
        self.later(subscriber, "max", 10, 20)
        assert self.runs(subscriber, 0, 15, 25) == ["pro", "max", "free"]
        self.change(subscriber, "max", "cancel_immediately")
        assert self.runs(subscriber, 0, 15, 25, 400) == ["pro"] * 4
        assert subscriptions(subscriber)["pro"] == "active"

    @pytest.mark.parametrize(("action", "after"), [("cancel_immediately", "free"), ("cancel_end_of_cycle", "pro")])
    def test_what_is_canceled_while_another_waits_ends_when_it_is_to(
        self, subscriber: Service, action: str, after: str
    ) -> None:
        """The one that waits and costs something never starts."""
        self.later(subscriber, "max", 5, 35)
        assert self.runs(subscriber, 0, 10, 40) == ["pro", "max", "free"]
        self.change(subscriber, "pro", action)
        assert self.runs(subscriber, 0, 10, 20, 40) == [after, after, after, "free"]

    def test_a_plan_for_a_time_may_come_before_it(self, subscriber: Service) -> None:
        self.change(subscriber, "pro", "cancel_end_of_cycle")
        self.later(subscriber, "max", 10, 20)
        assert self.runs(subscriber, 0, 15, 25, 40) == ["pro", "max", "free", "free"]

    def test_not_where_it_is_itself_canceled(self, subscriber: Service) -> None:
        self.change(subscriber, "pro", "cancel_immediately")
        self.change(subscriber, "free", "cancel_immediately")
        assert set(subscriptions(subscriber).values()) == {"expired"}

    def test_where_a_plan_was_given_an_end(self, shop: Service) -> None:
        shop.catalogs.create_plan(SANDBOX, Plan("free", "Free", auto_enable=True, items=(item(10),)))
        shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
        shop.catalogs.create_plan(SANDBOX, Plan("gift", "Gift", items=(item(100),)))
        shop.customers.attach(CustomerRef(SANDBOX, "c1"), "gift", None, NOW, Terms(ends_at=NOW + DAY))
        assert subscriptions(shop) == {"free": "scheduled", "gift": "active"}
        assert subscriptions(shop, NOW + DAY) == {"free": "active", "gift": "expired"}


def test_a_deployment_may_carry_usage_over(shop: Service) -> None:
    """management.md 6: unless the attach says otherwise."""
    carrying = Customers(shop.customers._store, shop.catalogs, PlanDefaults(carry_over=ALL_USAGES))
    shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    left = []
    for terms in (Terms(), Terms(), Terms(carry_over=FRESH)):
        carrying.attach(CustomerRef(SANDBOX, "c1"), shop.plan([item(100)]), None, NOW, terms)
        shop.use("c1", 10)
        left.append(shop.remaining("c1"))
    assert left == [90, 80, 90]


def test_each_part_of_what_is_carried_over_has_its_own_default(shop: Service) -> None:
    """management.md 6: to say something of what was left says nothing of what was used."""
    carrying = Customers(shop.customers._store, shop.catalogs, PlanDefaults(carry_over=ALL_USAGES))
    shop.customers.get_or_create(SANDBOX, Customer("c1"), None, NOW)
    carrying.attach(CustomerRef(SANDBOX, "c1"), shop.plan([item(10)]), None, NOW)
    shop.use("c1", 4)
    terms = Terms(carry_over=CarryOver(balances=Carried(False)))
    carrying.attach(CustomerRef(SANDBOX, "c1"), shop.plan([item(500)]), None, NOW, terms)
    assert shop.remaining("c1") == 496


def test_a_renewal_answers_with_the_plan_that_goes_on(shop: Service) -> None:
    shop.customer("c1", [])
    ref, plan = CustomerRef(SANDBOX, "c1"), shop.plan([item(10)])
    first, _ = shop.customers.attach(ref, plan, None, NOW)
    shop.customers.update_subscription(
        ref, SubscriptionFilter(first.id), SubscriptionUpdate("cancel_end_of_cycle"), NOW
    )
    again, _ = shop.customers.attach(ref, plan, None, NOW)
    assert (again.id, again.canceled_at) == (first.id, None)
