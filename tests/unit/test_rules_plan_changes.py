"""A plan in another's place: upgrades at once, downgrades at the end of the cycle (management.md 6, 7)."""

from __future__ import annotations

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    NOW,
    Scenario,
    consumable,
    d,
    every,
    flag,
    lifetime,
    monthly,
    ms,
    per_entity,
    price,
    rolling,
    seats,
    unlimited,
)
from tollgate.domain.customers import MAX_GRANTS
from tollgate.domain.errors import InvalidRequest, NotFound
from tollgate.domain.periods import Interval
from tollgate.domain.plan_changes import offer_of
from tollgate.domain.plan_grants import ALL_USAGES, Carried, CarryOver
from tollgate.domain.plans import BasePrice, FreeTrial, Plan

FEBRUARY, MARCH = ms("2026-02-01"), ms("2026-03-01")


class TestReplacing:
    def test_an_add_on_stacks_and_a_plan_of_another_group_too(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.attach(monthly(10), group="main", add_on=True)
        customer.attach(monthly(1), group="other")
        customer.attach(monthly(1000))
        assert customer.remaining() == 1111

    @pytest.mark.parametrize("group", [None, "main"])
    def test_no_group_is_one_group(self, group: str | None) -> None:
        customer = Scenario()
        free = customer.attach(monthly(10), group=group)
        pro = customer.attach(monthly(1000), group=group, price=price(20))
        assert (customer.status(free), customer.status(pro), customer.remaining()) == ("expired", "active", 1000)

    def test_a_plan_that_is_paid_once_stands_beside(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(100), plan="pro", price=price(20))
        pack = Plan("pack", "", items=(lifetime(50),), price=BasePrice(d(5), Interval.ONE_OFF))
        assert offer_of(customer.holdings, pack, CATALOG.features, customer.now).attaching == "purchase"
        for total in (150, 200):
            customer.attach(*pack.items, plan=pack.id, price=pack.price)
            assert (customer.status(pro), customer.remaining()) == ("active", total)

    def test_what_is_left_is_not_brought_over_to_the_same_plan(self) -> None:
        """Its use is deducted, so what is left is there already."""
        customer = Scenario()
        customer.attach(monthly(100), plan="a")
        customer.track(30)
        bringing = CarryOver(balances=Carried(True))
        for _ in range(3):
            customer.attach(monthly(100), plan="a", items=(monthly(100), flag()), carry_over=bringing)
            assert customer.remaining() == 70

    def test_an_upgrade_grants_afresh(self) -> None:
        customer = Scenario()
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.track(30)
        pro = customer.attach(monthly(500), group="main", price=price(20))
        assert (customer.status(free), customer.status(pro)) == ("expired", "active")
        assert customer.gru() == (500, 500, 0)

    def test_or_deducts_what_was_used_of_the_features_asked_for(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), monthly(100, "words"), group="main")
        customer.track(30)
        customer.track(40, "words")
        some = CarryOver(Carried(True, frozenset({"words"})))
        customer.attach(monthly(500), monthly(500, "words"), group="main", carry_over=some)
        assert (customer.gru(), customer.gru("words")) == ((500, 500, 0), (500, 460, 40))

    def test_or_brings_what_was_left_until_it_would_have_reset(self) -> None:
        """Autumn: 70 left of 100, then a plan of 500, make 570."""
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(30)
        customer.later(10 * DAY)
        customer.attach(monthly(500), group="main", carry_over=CarryOver(balances=Carried(True)))
        assert customer.gru() == (570, 570, 0)
        customer.track(20)
        customer.now = FEBRUARY
        assert customer.gru() == (500, 500, 0)

    def test_what_is_owed_lessens_what_is_granted(self) -> None:
        """Autumn: 20 over 100, then a plan of 500, leave 480."""
        customer = Scenario()
        customer.attach(consumable(100), group="main", price=price(10))
        customer.track(120)
        customer.attach(monthly(500), group="main", price=price(20), carry_over=CarryOver(balances=Carried(True)))
        assert customer.ru() == (480, 0)
        customer.now = FEBRUARY
        assert customer.remaining() == 500

    def test_seats_in_use_go_over_whatever_is_said(self) -> None:
        customer = Scenario()
        customer.attach(seats(5), group="main")
        customer.track(3, "users")
        customer.attach(seats(10), group="main", price=price(20))
        assert customer.gru("users") == (10, 7, 3)

    def test_seats_in_use_go_over_at_the_end_of_the_cycle_too(self) -> None:
        customer = Scenario()
        customer.attach(seats(10), group="main", price=price(20))
        customer.track(3, "users")
        customer.attach(seats(5), group="main")
        customer.track(1, "users")
        customer.now = FEBRUARY
        assert customer.gru("users") == (5, 1, 4)

    def test_a_plan_gives_its_allowance_once_in_a_cycle(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), plan="a")
        customer.track(70)
        customer.attach(monthly(100), plan="b")
        customer.track(40)
        customer.attach(monthly(100), plan="a")
        assert customer.gru() == (100, 30, 70)
        customer.attach(monthly(100), plan="b")
        assert customer.gru() == (100, 60, 40)
        customer.now = FEBRUARY
        assert customer.gru() == (100, 100, 0)

    @pytest.mark.parametrize("between", [None, "the other has none of it"])
    def test_a_plan_that_was_cut_short_goes_on_where_it_left_off(self, between: str | None) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="a")
        customer.track(70)
        customer.later(10 * DAY)
        if between:
            first = customer.attach(monthly(100, "words"), plan="b")
        customer.cancel(first, at_end=False)
        customer.attach(monthly(100), plan="a")
        assert customer.gru() == (100, 30, 70)
        customer.now = FEBRUARY
        assert customer.gru() == (100, 100, 0)

    def test_so_does_one_that_was_changed_meanwhile(self) -> None:
        customer = Scenario()
        for items in ((monthly(100),), (monthly(100, "words"),), (monthly(100),)):
            customer.attach(*items, plan="a")
            customer.track(70 if items[0].feature_id == "messages" and customer.gru()[2] == 0 else 0)
        assert customer.gru() == (100, 30, 70)

    def test_also_where_it_waited_and_comes_sooner(self) -> None:
        customer = Scenario()
        customer.attach(monthly(10), plan="free")
        customer.track(10)
        customer.later(DAY)
        pro = customer.attach(monthly(500), plan="pro", price=price(20))
        customer.attach(monthly(10), plan="free")
        customer.later(DAY)
        customer.cancel(pro, at_end=False)
        assert customer.gru() == (10, 0, 10)

    def test_schedules_that_are_taken_back_leave_it_as_it_was(self) -> None:
        for first, second in ((0, 1), (1, 0)):
            customer = Scenario()
            held = customer.attach(monthly(100), plan="b", price=price(20))
            waiting = [
                customer.attach(monthly(500), plan="c", price=price(50), starts_at=NOW + 50 * DAY),
                customer.attach(monthly(9), plan="d", price=price(5), starts_at=NOW + 20 * DAY, ends_at=NOW + 30 * DAY),
            ]
            customer.cancel(waiting[first], at_end=False)
            customer.cancel(waiting[second], at_end=False)
            subscription = customer.subscription(held)
            assert (subscription.canceled_at, subscription.expires_at) == (None, None)

    def test_after_the_period_it_begins_anew(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="a")
        customer.track(70)
        customer.cancel(first, at_end=False)
        customer.now = FEBRUARY
        customer.attach(monthly(100), plan="a")
        assert customer.gru() == (100, 100, 0)

    def test_what_is_granted_once_is_granted_once(self) -> None:
        customer = Scenario()
        first = customer.attach(lifetime(100), plan="a")
        customer.track(70)
        customer.cancel(first, at_end=False)
        customer.later(400 * DAY)
        customer.attach(lifetime(100), plan="a")
        assert customer.gru() == (100, 30, 70)

    def test_what_is_used_twice_is_deducted_once(self) -> None:
        """Prior use that the attach carries over, and that the plan had itself before."""
        customer = Scenario()
        customer.attach(monthly(100), plan="a")
        customer.track(60)
        customer.attach(monthly(500), plan="b", carry_over=ALL_USAGES)
        customer.track(10)
        customer.attach(monthly(100), plan="a", carry_over=ALL_USAGES)
        assert customer.gru() == (100, 30, 70)

    def test_use_of_what_was_unlimited_is_not_owed(self) -> None:
        customer = Scenario()
        customer.attach(unlimited(), group="main")
        customer.track(5000)
        customer.attach(monthly(100), group="main", carry_over=ALL_USAGES)
        assert customer.gru() == (100, 0, 100)
        customer.now = FEBRUARY
        assert customer.gru() == (100, 100, 0)

    def test_an_upgrade_from_what_costs_nothing_starts_a_cycle(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        pro = customer.attach(monthly(500), group="main", price=price(20))
        assert customer.subscription(pro).period(customer.now) == (customer.now, ms("2026-02-11"))
        assert customer.grants()[0].next_reset_at == ms("2026-02-11")

    def test_an_upgrade_keeps_the_period(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        customer.attach(monthly(500), every(Interval.WEEK, 5), group="main")
        assert {grant.granted: grant.next_reset_at for grant in customer.grants()} == {500: FEBRUARY, 5: NOW + 17 * DAY}

    def test_the_billing_cycle_goes_on_with_the_period(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        pro = customer.attach(monthly(500), per_entity(monthly(7, "words")), group="main")
        assert customer.subscription(pro).period(customer.now) == (NOW, FEBRUARY)
        customer.entity("e1")
        assert customer.grants("words", "e1")[0].next_reset_at == FEBRUARY
        customer.cancel(pro, at_end=True)
        assert customer.subscription(pro).expires_at == FEBRUARY

    def test_it_may_be_restarted(self) -> None:
        """autumn-sdk, billing.attach: billing_cycle_anchor "now"."""
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.later(10 * DAY)
        pro = customer.attach(monthly(500), group="main", restart=True)
        assert customer.subscription(pro).period(customer.now) == (customer.now, ms("2026-02-11"))
        assert customer.grants()[0].next_reset_at == ms("2026-02-11")

    def test_more_was_used_than_the_new_plan_grants(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), group="main")
        customer.track(80)
        customer.attach(monthly(50), group="main", carry_over=ALL_USAGES)
        assert customer.view() == (50, 0, 80, 0, 30)

    def test_an_upgrade_of_shares_takes_each_ones_usage_over(self) -> None:
        customer = Scenario(entities=2)
        customer.attach(per_entity(monthly(100)), group="main")
        customer.track(30, entity="e1")
        customer.attach(per_entity(monthly(200)), group="main", carry_over=ALL_USAGES)
        assert (customer.ru(entity="e1"), customer.ru(entity="e2")) == ((170, 30), (200, 0))

    def test_what_the_new_plan_does_not_grant_is_gone(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), flag(), monthly(7, "words"), group="main")
        customer.attach(monthly(200), group="main")
        assert (customer.may(1, "dashboard"), customer.may(1, "words"), customer.may(200)) == (False, False, True)

    def test_an_entitys_plan_leaves_the_customers_alone(self) -> None:
        customer = Scenario(entities=1)
        customer.attach(monthly(100), group="main")
        customer.attach(monthly(50), group="main", entity="e1")
        assert (customer.remaining(), customer.remaining(entity="e1")) == (150, 150)

    def test_a_plan_is_attached_once_unless_it_is_changed(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="pro")
        customer.track(30)
        with pytest.raises(InvalidRequest, match="already attached"):
            customer.attach(monthly(100), plan="pro")
        customer.attach(monthly(100), plan="pro", items=(monthly(150), lifetime(5)))  # of one plan, use stays used
        assert (customer.status(first), customer.gru()) == ("expired", (155, 125, 30))

    def test_a_balance_holds_so_many_grants_and_no_more(self) -> None:
        customer = Scenario(monthly(1))
        customer.attach(*[lifetime(1)] * (MAX_GRANTS - 1), add_on=True)
        with pytest.raises(InvalidRequest, match="at most"):
            customer.attach(lifetime(1), add_on=True)
        assert customer.remaining() == MAX_GRANTS

    def test_an_unknown_entity_is_not_found(self) -> None:
        with pytest.raises(NotFound):
            Scenario().attach(monthly(1), entity="e1")


class TestDowngrade:
    def test_it_waits_for_the_end_of_the_cycle(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        customer.track(30)
        free = customer.attach(monthly(100), group="main", price=price(0))
        assert (customer.status(pro), customer.status(free)) == ("active", "scheduled")
        assert (customer.subscription(pro).expires_at, customer.subscription(pro).canceled_at) == (FEBRUARY, NOW)
        customer.now = FEBRUARY - 1
        assert customer.gru() == (500, 470, 30)
        customer.now = FEBRUARY
        assert (customer.status(pro), customer.status(free)) == ("expired", "active")
        assert customer.gru() == (100, 100, 0)
        assert customer.grants()[0].next_reset_at == MARCH

    def test_the_anchors_day_comes_back_after_it(self) -> None:
        """autumn.md 3.9: the anchor is preserved."""
        customer = Scenario(now=ms("2026-01-31"))
        customer.attach(monthly(500), group="main", price=price(20))
        customer.attach(monthly(100), group="main", price=price(5))
        customer.now = ms("2026-02-28")
        assert (customer.remaining(), customer.grants()[0].next_reset_at) == (100, ms("2026-03-31"))

    def test_it_may_be_done_at_once_and_an_upgrade_may_wait(self) -> None:
        customer = Scenario()
        customer.attach(monthly(500), group="main", price=price(20))
        customer.attach(monthly(100), group="main", price=price(0), schedule="immediate")
        assert customer.remaining() == 100
        customer.attach(monthly(900), group="main", price=price(30), schedule="end_of_cycle")
        assert customer.remaining() == 100
        customer.now = FEBRUARY
        assert customer.remaining() == 900

    def test_another_choice_takes_the_place_of_the_first(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        basic = customer.attach(monthly(200), group="main", price=price(5))
        assert [customer.status(id) for id in (pro, free, basic)] == ["active", "expired", "scheduled"]
        customer.now = FEBRUARY
        assert customer.remaining() == 200

    def test_an_upgrade_undoes_it(self) -> None:
        customer = Scenario()
        customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.attach(monthly(900), group="main", price=price(50))
        assert (customer.status(free), customer.remaining()) == ("expired", 900)
        customer.now = FEBRUARY
        assert customer.remaining() == 900

    def test_it_is_taken_back_with_the_cancellation(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), group="main", price=price(20))
        free = customer.attach(monthly(100), group="main", price=price(0))
        customer.uncancel(pro)
        assert (customer.status(pro), customer.status(free)) == ("active", "expired")
        customer.now = FEBRUARY
        assert (customer.subscription(pro).expires_at, customer.remaining()) == (None, 500)


def test_an_upgrade_with_rollovers_and_usage_keeps_both() -> None:
    """autumn.md 5.8 (S179): what rolled over stays beside what was used of the grant."""
    customer = Scenario()
    customer.attach(monthly(500, rollover=rolling(600)), group="main")
    customer.now = FEBRUARY
    customer.track(700)
    assert (customer.rollovers(), customer.ru()) == ([0], (300, 700))
    customer.attach(monthly(800, rollover=rolling(600)), group="main", carry_over=ALL_USAGES)
    assert customer.remaining() == 600


class TestRenewal:
    def test_attaching_what_is_to_end_lets_it_go_on(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), plan="pro", price=price(20))
        customer.track(30)
        customer.cancel(pro, at_end=True)
        customer.attach(monthly(500), plan="pro", price=price(20))
        customer.now = FEBRUARY - 1
        assert (customer.subscription(pro).expires_at, customer.gru()) == (None, (500, 470, 30))

    def test_what_is_asked_for_goes_before_it(self) -> None:
        """A plan that is to end and is given times of its own, or that is scheduled and wanted now, is attached anew."""
        customer = Scenario()
        pro = customer.attach(monthly(500), plan="pro", price=price(20))
        customer.cancel(pro, at_end=True)
        ending = customer.attach(monthly(500), plan="pro", price=price(20), ends_at=MARCH)
        assert (customer.status(pro), customer.subscription(ending).expires_at) == ("expired", MARCH)
        basic = customer.attach(monthly(50), plan="basic", price=price(5))
        with pytest.raises(InvalidRequest, match="already attached"):
            customer.attach(monthly(50), plan="basic", price=price(5))
        now = customer.attach(monthly(50), plan="basic", price=price(5), schedule="immediate")
        assert [customer.status(id) for id in (ending, basic, now)] == ["expired", "expired", "active"]

    def test_it_takes_a_downgrade_back(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), plan="pro", price=price(20))
        basic = customer.attach(monthly(50), plan="basic", price=price(5))
        customer.attach(monthly(500), plan="pro", price=price(20))
        assert (customer.status(pro), customer.subscription(pro).canceled_at) == ("active", None)
        assert customer.status(basic) == "expired"


class TestCancellation:
    def test_nothing_that_costs_starts_after_it(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), price=price(50))
        basic = customer.attach(monthly(50), price=price(5))
        customer.cancel(pro, at_end=True)
        assert (customer.status(pro), customer.status(basic)) == ("active", "expired")
        customer.now = FEBRUARY
        assert (customer.status(pro), customer.may(1)) == ("expired", False)

    def test_what_costs_nothing_starts_when_it_ends(self) -> None:
        for at_end in (True, False):
            customer = Scenario()
            pro = customer.attach(monthly(500), price=price(50))
            free = customer.attach(monthly(50))
            customer.cancel(pro, at_end=at_end)
            assert customer.status(free) == ("scheduled" if at_end else "active")
            customer.now = FEBRUARY
            assert (customer.status(pro), customer.remaining()) == ("expired", 50)

    def test_of_what_was_to_follow_leaves_the_first_as_it_was(self) -> None:
        """It was to end, though nothing were to follow: it still is."""
        customer = Scenario()
        pro = customer.attach(monthly(500), price=price(50))
        customer.cancel(pro, at_end=True)
        basic = customer.attach(monthly(50), price=price(5))
        customer.cancel(basic, at_end=False)
        assert (customer.subscription(pro).canceled_at, customer.subscription(pro).expires_at) == (NOW, FEBRUARY)


class TestTrials:
    TRIAL = FreeTrial(7, Interval.DAY)

    def test_there_is_one_for_a_customer_and_a_plan(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="pro", free_trial=self.TRIAL)
        customer.cancel(first, at_end=False)
        second = customer.attach(monthly(100), plan="pro", free_trial=self.TRIAL)
        third = customer.attach(monthly(100), plan="other", free_trial=self.TRIAL)
        assert [customer.subscription(id).trialing(NOW) for id in (second, third)] == [False, True]

    def test_one_that_runs_goes_on_where_the_plan_is_attached_with_other_items(self) -> None:
        customer = Scenario()
        customer.attach(monthly(100), plan="pro", free_trial=self.TRIAL)
        customer.later(DAY)
        changed = customer.attach(monthly(200), plan="pro", free_trial=self.TRIAL)
        assert customer.subscription(changed).trial_ends_at == NOW + 7 * DAY
        customer.later(DAY)
        ended = customer.attach(monthly(300), plan="pro")  # the attach asks for none
        assert customer.subscription(ended).trial_ends_at is None

    def test_unless_the_attach_asks_for_another(self) -> None:
        customer = Scenario()
        first = customer.attach(monthly(100), plan="pro", free_trial=self.TRIAL)
        customer.later(DAY)
        customer.cancel(first, at_end=False)
        again = customer.attach(monthly(100), plan="pro", free_trial=self.TRIAL, trial_again=True)
        assert customer.subscription(again).trialing(customer.now)


class TestOffers:
    """management.md 12: what attaching a plan would be."""

    PRO = Plan("pro", "", items=(monthly(500),), price=price(20), free_trial=FreeTrial(7, Interval.DAY))
    BASIC = Plan("basic", "", items=(monthly(50),), price=price(5))
    FREE = Plan("free", "", items=(monthly(5),))
    ONCE = Plan("once", "", items=(lifetime(5),), price=BasePrice(d(9), Interval.ONE_OFF), add_on=True)

    def of(self, customer: Scenario, *plans: Plan) -> list[str]:
        return [offer_of(customer.holdings, plan, CATALOG.features, customer.now).attaching for plan in plans]

    def test_to_who_has_none_each_starts(self) -> None:
        customer = Scenario()
        assert self.of(customer, self.PRO, self.FREE, self.ONCE) == ["activate", "activate", "purchase"]

    def test_beside_another_it_is_a_change(self) -> None:
        customer = Scenario()
        customer.attach(monthly(50), plan="basic", price=price(5))
        assert self.of(customer, self.PRO, self.BASIC, self.FREE) == ["upgrade", "none", "downgrade"]

    def test_what_is_held_is_attached_also_where_it_is_to_end_or_has_not_started(self) -> None:
        customer = Scenario()
        pro = customer.attach(monthly(500), plan="pro", price=price(20))
        customer.attach(monthly(50), plan="basic", price=price(5))
        assert self.of(customer, self.PRO, self.BASIC) == ["none", "none"]
        assert customer.subscription(pro).canceled_at is not None

    def test_an_add_on_is_held_and_what_is_paid_once_can_be_bought_again(self) -> None:
        customer = Scenario()
        more = Plan("more", "", items=(monthly(5),), price=price(2), add_on=True)
        for plan in (more, self.ONCE):
            customer.attach(*plan.items, plan=plan.id, price=plan.price, add_on=True)
        assert self.of(customer, more, self.ONCE) == ["none", "purchase"]

    def test_an_entity_has_offers_of_its_own(self) -> None:
        customer = Scenario()
        customer.entity("e1")
        customer.attach(monthly(50), plan="basic", price=price(5), entity="e1")
        asked = [
            offer_of(customer.holdings, plan, CATALOG.features, customer.now, "e1").attaching
            for plan in (self.PRO, self.BASIC, self.FREE)
        ]
        assert asked == ["upgrade", "none", "downgrade"]
        assert self.of(customer, self.PRO, self.BASIC) == ["activate", "activate"]

    def test_a_trial_is_available_once(self) -> None:
        customer = Scenario()
        offer = offer_of(customer.holdings, self.PRO, CATALOG.features, customer.now)
        assert (offer.trial_available, offer.held) == (True, None)
        customer.attach(monthly(500), plan="pro", price=price(20), free_trial=FreeTrial(7, Interval.DAY))
        assert not offer_of(customer.holdings, self.PRO, CATALOG.features, customer.now).trial_available

    @pytest.mark.parametrize("plan", [PRO, BASIC, FREE])
    @pytest.mark.parametrize("held", [None, PRO, BASIC, FREE])
    def test_attaching_does_what_was_told(self, held: Plan | None, plan: Plan) -> None:
        customer = Scenario()
        if held:
            customer.attach(*held.items, plan=held.id, price=held.price)
        (told,) = self.of(customer, plan)
        if told == "none":
            with pytest.raises(InvalidRequest, match="already attached"):
                customer.attach(*plan.items, plan=plan.id, price=plan.price)
            return
        id = customer.attach(*plan.items, plan=plan.id, price=plan.price)
        assert customer.status(id) == ("scheduled" if told == "downgrade" else "active")
