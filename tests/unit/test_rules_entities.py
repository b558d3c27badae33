"""What a customer and its entities share, by the specification's numbers (autumn.md 2, 3.1, 5.6, 5.7).

Rules: autumn.md 2.3.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    REJECT,
    Scenario,
    consumable,
    flag,
    limit,
    monthly,
    ms,
    per_entity,
    prepaid,
    price,
    seats,
    unlimited,
)
from tollgate.domain.balances import ENTITIES, BalanceKey
from tollgate.domain.customers import Customer, Entity, Holdings, with_seats_moved
from tollgate.domain.errors import AlreadyExists, LimitReached, NotFound
from tollgate.domain.grants import Grant
from tollgate.domain.views import Shown


def each(customer: Scenario, count: int) -> list[Decimal]:
    """What each entity sees."""
    return [customer.remaining(entity=f"e{number + 1}") for number in range(count)]


class TestSeatLimits:
    def test_a_usage_limit_counts_entities_and_refuses_one_too_many(self) -> None:
        """management.md 5."""
        customer = Scenario(seats(10))
        customer.control(limit(2, "users"))
        customer.entity("e1")
        customer.track(1, "users")
        with pytest.raises(LimitReached):
            customer.entity("e2")
        assert (customer.gru("users"), list(customer.holdings.entities)) == ((10, 8, 2), ["e1"])
        customer.now = ms("2026-02-01")
        customer.entity("e2")
        assert customer.gru("users") == (10, 7, 3)

    def test_an_entity_that_is_deleted_is_not_counted_any_more(self) -> None:
        """Unless the limit was used up: giving back does not reopen it."""
        customer = Scenario(seats(9))
        customer.control(limit(3, "users"))
        customer.entity("e0")
        customer.remove_entity("e0")
        assert customer.counter("users") == 0
        for id in ("e1", "e2", "e3"):
            customer.entity(id)
        customer.remove_entity("e3")
        with pytest.raises(LimitReached):
            customer.entity("e4")

    def test_also_where_no_plan_grants_seats_but_not_where_they_are_unlimited(self) -> None:
        customer = Scenario()
        customer.control(limit(1, "users"))
        customer.entity("e1")
        with pytest.raises(LimitReached):
            customer.entity("e2")
        customer.attach(unlimited("users"))
        customer.entity("e2")


class TestShares:
    def test_the_customer_sees_all_shares_and_draws_them_by_entity_id(self) -> None:
        """S151."""
        customer = Scenario(per_entity(monthly(100)), entities=3)
        assert customer.remaining() == 300
        for entity in ("e1", "e2", "e3"):
            customer.track(10, entity=entity)
        assert (each(customer, 3), customer.remaining()) == ([90, 90, 90], 270)
        customer.track(10)
        assert (each(customer, 3), customer.remaining()) == ([80, 90, 90], 260)

    def test_the_customers_own_comes_before_the_shares_and_the_share_before_the_customers(self) -> None:
        """S152."""
        customer = Scenario(per_entity(monthly(50)), monthly(100), entities=3)
        assert (customer.remaining(), each(customer, 3)) == (250, [150, 150, 150])
        customer.track(50)
        assert (customer.remaining(), each(customer, 3)) == (200, [100, 100, 100])
        customer.track(60)
        assert (customer.ru(), each(customer, 3)) == ((140, 110), [40, 50, 50])
        for entity in ("e1", "e2", "e3"):
            customer.track(10, entity=entity)
        assert each(customer, 3) == [30, 40, 40]

    def test_each_share_is_overdrawn_by_itself(self) -> None:
        """S127, one after the other."""
        customer = Scenario(per_entity(consumable(500, most=100)), entities=5)
        assert customer.remaining() == 2500
        allowed = [customer.track(200, entity="e1", overage=REJECT).allowed for _ in range(5)]
        assert allowed == [True, True, True, False, False]
        seen = customer.view(entity="e1")
        assert (seen.overage, seen.usage) == (100, 600)
        assert each(customer, 5)[1:] == [500, 500, 500, 500]

    def test_shares_and_plans_of_entities_add_up(self) -> None:
        """S148."""
        customer = Scenario(per_entity(monthly(100)), entities=2)
        customer.attach(monthly(50), entity="e1", plan="seat")
        customer.attach(monthly(50), entity="e2", plan="seat")
        assert customer.view().granted == 300
        assert {grant.granted for grant in customer.grants(entity="e1")} == {50, 100}
        customer.track(80, entity="e1")
        assert customer.gru(entity="e1") == (150, 70, 80)
        assert (customer.gru(), customer.remaining(entity="e2")) == ((300, 220, 80), 150)

    def test_an_entitys_own_plan_pays_before_the_customers(self) -> None:
        """S149."""
        customer = Scenario(entities=1)
        customer.attach(monthly(100), plan="pro")
        customer.attach(monthly(100), plan="pro", entity="e1")
        assert (customer.view().granted, customer.view(entity="e1").granted) == (200, 200)
        assert len(customer.grants(entity="e1")) == 2
        customer.track(50, entity="e1")
        assert (customer.ru(), customer.ru(entity="e1")) == ((150, 50), (150, 50))
        customer.track(120, entity="e1")
        assert (customer.ru(), customer.ru(entity="e1")) == ((30, 170), (30, 170))
        assert customer.left(entity="e1") == [0, 30]

    def test_what_an_entity_holds_by_its_own_plan_is_not_the_customers_to_use(self) -> None:
        """autumn.md 2, 3.1, step 1: shown at the customer's level, never drawn or allowed there."""
        customer = Scenario(entities=1)
        customer.attach(monthly(100), entity="e1")
        assert (customer.remaining(), customer.may(1), customer.may(100, entity="e1")) == (100, False, True)
        assert customer.track(10).drawn == 0

    def test_a_share_is_allowed_at_the_customers_level(self) -> None:
        """autumn.md 2, entities."""
        customer = Scenario(per_entity(monthly(100)), entities=2)
        assert (customer.may(200), customer.may(201)) == (True, False)
        assert (customer.may(100, entity="e1"), customer.may(101, entity="e1")) == (True, False)

    def test_shares_of_a_credit_pool_pay_for_its_members(self) -> None:
        """autumn.md 3.1, steps 1 and 3."""
        customer = Scenario(monthly(5, "action1"), per_entity(monthly(10, "credits")), entities=2)
        customer.track(15, "action1", "e1")
        assert customer.remaining("credits", "e1") == 7
        assert customer.remaining("action1", "e1") == 5
        customer.track(15, "action1")
        assert customer.remaining("action1") == 0
        assert (customer.remaining("credits", "e1"), customer.remaining("credits", "e2")) == (5, 10)


class TestPooling:
    def test_entities_of_an_unpooled_customer_have_their_own_alone(self) -> None:
        """autumn.md 2, disable_pooled_balance."""
        customer = Scenario(monthly(100), entities=1, unpooled=True)
        customer.create("own", 10, entity="e1")
        assert (customer.may(10, entity="e1"), customer.may(11, entity="e1")) == (True, False)
        assert customer.track(15, entity="e1").drawn == 10
        assert customer.gru(entity="e1") == (10, 0, 10)
        assert customer.may(100)

    def test_the_customers_balance_knows_that_entities_hold_some(self) -> None:
        """A use of the customer's must then be thought through."""
        customer = Scenario(monthly(100), entities=1)
        assert customer.balance().paid_first == frozenset()
        customer.create("own", 10, entity="e1")
        assert customer.balance().paid_first == {ENTITIES}


class TestSeats:
    def test_each_entity_takes_a_seat_and_gives_it_back(self) -> None:
        """management.md 5; S046's free seats."""
        customer = Scenario(seats(5), entities=3)
        assert customer.gru("users") == (5, 2, 3)
        customer.remove_entity("e2")
        assert customer.gru("users") == (5, 3, 2)

    def test_seats_of_free_features_may_run_out(self) -> None:
        """autumn.md 3.4."""
        customer = Scenario(seats(1), entities=3)
        assert customer.view("users") == (1, 0, 3, 0, 2)
        customer.remove_entity("e1")
        assert customer.view("users") == (1, 0, 2, 0, 1)

    def test_an_entity_takes_its_balances_and_plans_with_it(self) -> None:
        customer = Scenario(per_entity(monthly(100)), flag(), entities=2)
        own = customer.attach(monthly(50), entity="e1")
        customer.remove_entity("e1")
        assert customer.remaining() == 100
        assert customer.status(own) == "expired"
        assert BalanceKey("messages", "e1") not in customer.holdings.balances
        with pytest.raises(NotFound):
            customer.attach(monthly(50), entity="e1")

    def test_a_later_entity_gets_its_share_on_the_plans_terms(self) -> None:
        customer = Scenario(per_entity(monthly(100)))
        customer.later(86_400_000)
        customer.entity("e1")
        assert customer.gru(entity="e1") == (100, 100, 0)
        assert customer.grants(entity="e1")[0].next_reset_at == customer.subscription("sub_1").period(customer.now)[1]  # type: ignore[index]

    def test_an_entity_is_there_once_and_of_a_known_feature(self) -> None:
        customer = Scenario(entities=1)
        with pytest.raises(AlreadyExists):
            customer.entity("e1")
        with pytest.raises(NotFound):
            customer.entity("e2", "nope")


def test_an_entity_of_another_feature_gets_no_share() -> None:
    """management.md 3 (entity_feature_id): every entity of that feature."""
    customer = Scenario(per_entity(monthly(100)))
    customer.entity("w1", "workflows")
    assert customer.grants(entity="w1") == []


def test_an_unknown_entity_is_not_found() -> None:
    with pytest.raises(NotFound):
        Holdings(Customer("c1"), {"e1": Entity("e1", "users")}).entity("e2")
    assert CATALOG.features["users"].consumable is False


def test_a_grant_is_an_entitys_where_no_plan_of_its_customer_gave_it() -> None:
    """autumn.md 1.2.2: `source` of a grant."""
    key = BalanceKey("messages", "e1")
    grant = Grant("g", "pro", "sub_1")
    assert Shown(grant, key).of_entity
    assert not Shown(grant._replace(entity_share=True), key).of_entity
    assert not Shown(grant, BalanceKey("messages")).of_entity


def test_seats_in_use_stay_in_use_when_what_counts_them_is_deleted() -> None:
    """invariants.md 12; management.md 5."""
    customer = Scenario(entities=3)
    customer.create("first", 10, "users")
    customer.create("second", 1, "users")
    customer.delete("first", "users")
    assert customer.gru("users") == (1, 0, 3)


class TestSeatsInUse:
    """management.md 5, invariants.md 12."""

    def test_what_is_left_of_seats_does_not_depend_on_which_grant_came_first(self) -> None:
        customer = Scenario(seats(2), entities=5)
        customer.attach(seats(4), add_on=True)
        assert customer.gru("users") == (6, 1, 5)
        assert not customer.may(2, "users")
        customer.create("more", 10, "users")
        assert customer.gru("users") == (16, 11, 5)

    def test_nor_on_an_add_on_that_starts_by_the_clock(self) -> None:
        customer = Scenario(seats(2), entities=5)
        customer.attach(seats(4), add_on=True, starts_at=customer.now + DAY)
        assert customer.gru("users")[1:] == (0, 5)
        customer.later(DAY)
        assert customer.gru("users") == (6, 1, 5)

    def test_what_is_bought_anew_takes_what_another_grant_was_overdrawn_by(self) -> None:
        customer = Scenario(seats(2), entities=5)
        id = customer.attach(prepaid(0, 1, "users"), add_on=True)
        assert customer.gru("users") == (3, 0, 5)
        customer.quantity(id, 4, "users")
        assert customer.gru("users") == (6, 1, 5)

    @pytest.mark.parametrize("by_the_clock", [False, True])
    def test_seats_that_are_granted_to_entities_instead_are_counted_there_and_back(self, by_the_clock: bool) -> None:
        customer = Scenario(seats(5, "workflows"), entities=2)
        customer.entity("w1", "workflows")
        customer.track(2, "workflows")
        starts_at = customer.now + DAY if by_the_clock else None
        id = customer.attach(per_entity(seats(3, "workflows")), price=price(9), starts_at=starts_at)
        if by_the_clock:
            customer.later(DAY)
            customer.holdings = with_seats_moved(customer.holdings, customer.now)
        assert customer.gru("workflows") == (6, 3, 3)
        customer.cancel(id, at_end=False)
        customer.attach(seats(5, "workflows"))
        assert customer.gru("workflows") == (5, 2, 3)
