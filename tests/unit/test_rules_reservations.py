"""Reservations: hold, confirm, release, expire (autumn.md 3.11, 5.9). "lock 8" holds eight units.

Rules: autumn.md 2.8.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    HOUR,
    Bought,
    Number,
    Scenario,
    consumable,
    d,
    every,
    lifetime,
    limit,
    monthly,
    n,
    per_entity,
    rolling,
    seats,
)
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Decision, Overage, UseRequest
from tollgate.domain.errors import InvalidRequest
from tollgate.domain.holds import MAX_HOLDS
from tollgate.domain.periods import Interval
from tollgate.domain.plan_grants import ALL_USAGES, Carried, CarryOver
from tollgate.domain.plans import PlanItem
from tollgate.domain.reservations import HoldTerms, Reservation, finalize_hold, hold


class Reserving(Scenario):
    """A customer that holds units. `events` are the values of its uses, the newest first."""

    def __init__(self, *items: PlanItem | Bought, entities: int = 0) -> None:
        super().__init__(*items, entities=entities)
        self.locks: list[Reservation] = []
        self.events: list[Decimal] = []

    def lock(
        self,
        value: Number,
        feature: str = "messages",
        entity: str = "",
        *,
        overage: Overage = Overage.REJECT,
        lasts: int = DAY,
    ) -> Decision:
        asked, id, until = CATALOG.feature(feature), f"lock{len(self.locks)}", self.now + lasts
        pools, balances = CATALOG.pools(feature), self.holdings.balances
        decision = hold(UseRequest(asked, pools, entity, d(value), overage), HoldTerms(id, until), balances, self.now)
        self.holdings = replace(self.holdings, balances={**balances, **decision.balances})
        if decision.allowed:
            self.locks.append(Reservation(id, id, "c1", feature, entity, d(value), decision.drawn, (), self.now, until))
            self.events.insert(0, d(value))
        return decision

    def confirm(self, value: Number | None = None, lock: int = -1) -> None:
        held = self.locks[lock]
        final = None if value is None else d(value)
        asked, balances = CATALOG.feature(held.feature_id), self.holdings.balances
        decision = finalize_hold(
            UseRequest(asked, CATALOG.pools(held.feature_id), held.entity_id), held, final, balances, self.now
        )
        self.holdings = replace(self.holdings, balances={**balances, **decision.balances})
        if decision.drawn:
            self.events.insert(0, decision.drawn)

    def release(self, lock: int = -1) -> None:
        self.confirm(0, lock)

    def used(self, value: Number, feature: str = "messages", entity: str = "") -> None:
        self.track(value, feature, entity)
        self.events.insert(0, d(value))


hourly5, monthly10 = every(Interval.HOUR, 5), monthly(10)


class TestMoreThanWasHeld:
    """S190: hourly 5 and monthly 10."""

    def test_ad_1_more_than_was_held_draws_the_difference(self) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.lock(8)
        customer.confirm(11)
        assert (customer.remaining(), customer.events) == (4, [3, 8])

    @pytest.mark.parametrize(("held", "final", "events"), [(-5, -8, [-3, -5, 10]), (-3, -8, [-5, -3, 10])])
    def test_ad_2_and_4_more_back(self, held: int, final: int, events: list[int]) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.used(10)
        customer.lock(held)
        customer.confirm(final)
        assert (customer.remaining(), customer.events) == (13, events)

    def test_ad_3_the_other_sign_stops_at_the_grant(self) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.lock(5)
        customer.confirm(-2)
        assert customer.remaining() == 15


class TestLessThanWasHeld:
    """S191: hourly 5 and lifetime 20; the last units drawn go back first."""

    @pytest.mark.parametrize(
        ("held", "final", "grants"),
        [(8, 5, n(0, 20)), (8, 0, n(5, 20)), (0, None, n(5, 20)), (5, 3, n(2, 20)), (8, 8, n(0, 17))],
        ids=["BD-1", "BD-2", "BD-2b", "BD-3", "BD-4"],
    )
    def test_less_than_was_held_goes_back_last_drawn_first(
        self, held: int, final: int | None, grants: tuple[Decimal, ...]
    ) -> None:
        customer = Reserving(hourly5, lifetime(20))
        customer.lock(held)
        customer.confirm(final)
        assert tuple(customer.left()) == grants
        assert all(not balance.holds for balance in customer.holdings.balances.values())

    def test_bd_4_what_was_held_leaves_one_event(self) -> None:
        customer = Reserving(hourly5, lifetime(20))
        customer.lock(8)
        customer.confirm(8)
        assert customer.events == [8]


class TestRelease:
    """S193: hourly 5 and monthly 10."""

    def test_rl_1_a_release_gives_all_back(self) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.lock(8)
        customer.release()
        assert (customer.remaining(), customer.events) == (15, [-8, 8])

    def test_rl_2_a_release_leaves_earlier_uses(self) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.used(5)
        customer.lock(8)
        customer.release()
        assert (customer.remaining(), customer.events) == (10, [-8, 8, 5])

    def test_rl_3_a_release_gives_back_to_each_grant(self) -> None:
        customer = Reserving(hourly5, lifetime(20))
        customer.lock(8)
        customer.release()
        assert tuple(customer.left()) == n(5, 20)


class TestWhatCannotBeHeld:
    def test_err_1_seats_cannot_be_held(self) -> None:
        """S194."""
        with pytest.raises(InvalidRequest):
            Reserving(seats(5, paid=True)).lock(1, "users")

    def test_more_than_there_is(self) -> None:
        customer = Reserving(monthly(20))
        assert not customer.lock(21).allowed
        assert (customer.remaining(), customer.balance().holds) == (20, ())

    def test_more_than_there_is_capped_and_overflowing(self) -> None:
        customer = Reserving(monthly(20))
        assert customer.lock(25, overage=Overage.CAP).drawn == 20
        customer.release()
        assert customer.lock(25, overage=Overage.OVERFLOW).drawn == 25
        customer.release()
        assert customer.remaining() == 20

    def test_more_holds_than_an_item_should_carry(self) -> None:
        customer = Reserving(monthly(1000))
        for _ in range(MAX_HOLDS):
            assert customer.lock(1).allowed
        with pytest.raises(InvalidRequest):
            customer.lock(1)


class TestExpiry:
    """S196 and S197: the units are back to the millisecond, whoever looks."""

    def test_the_units_come_back(self) -> None:
        customer = Reserving(hourly5, monthly10)
        customer.lock(8, lasts=5_000)
        customer.later(4_999)
        assert customer.remaining() == 7
        customer.later(1)
        assert customer.remaining() == 15
        assert customer.may(15)

    def test_only_those_of_that_hold(self) -> None:
        """RC-1."""
        customer = Reserving(hourly5, monthly10)
        customer.used(3)
        customer.lock(8, lasts=5_000)
        customer.later(5_000)
        assert customer.remaining() == 12
        customer.track(1)
        assert (customer.remaining(), customer.balance().holds) == (11, ())

    def test_a_use_between_is_kept(self) -> None:
        customer = Reserving(monthly(100))
        customer.lock(30, lasts=HOUR)
        customer.lock(20, lasts=2 * HOUR)
        customer.track(10)
        customer.later(HOUR)
        assert customer.remaining() == 70
        customer.later(HOUR)
        assert customer.remaining() == 90

    def test_once_even_where_the_limits_change_after_it(self) -> None:
        customer = Reserving(monthly(100))
        customer.track(50)
        customer.lock(30, lasts=HOUR)
        customer.later(HOUR)
        customer.control(limit(1000))
        assert (customer.remaining(), customer.balance().holds) == (50, ())
        customer.track(5)
        assert customer.remaining() == 45

    def test_a_reset_makes_a_grant_whole_and_the_hold_forgets_it(self) -> None:
        customer = Reserving(hourly5, lifetime(20))
        customer.lock(8, lasts=2 * HOUR)
        customer.later(HOUR)
        assert tuple(customer.left()) == n(5, 17)
        customer.track(4)
        customer.release()
        assert tuple(customer.left()) == n(1, 20)

    def test_what_expires_before_a_reset_rolls_over_with_the_rest(self) -> None:
        customer = Reserving(monthly(100, rollover=rolling(200)))
        customer.lock(60, lasts=HOUR)
        customer.later(31 * DAY)
        assert customer.rollovers() == [100]


class TestCreditSystems:
    """S199: action1 100 and credits 200."""

    @pytest.mark.parametrize(
        ("used", "held", "final", "action1", "credits"),
        [
            (0, 8, 0, 100, 200),
            (95, 8, 12, 0, 198.6),
            (95, 8, 3, 2, 200),
            (0, 10, 115, 0, 197),
            (0, 27.89, 12.45, 87.55, 200),
            (95, 8, 0, 5, 200),
            (95, 8, 20, 0, 197),
            (95, 8, None, 0, 199.4),
        ],
        ids=["CS-1", "CS-2", "CS-3", "CS-4", "CS-5", "CS-8", "CS-9", "CS-10"],
    )
    def test_a_hold_is_split_over_the_feature_and_its_pool(
        self, used: Number, held: Number, final: Number | None, action1: Number, credits: Number
    ) -> None:
        customer = Reserving(monthly(100, "action1"), monthly(200, "credits"))
        customer.track(used, "action1")
        customer.lock(held, "action1")
        customer.confirm(final)
        assert customer.left("action1") == [d(action1)]
        assert customer.left("credits") == [d(credits)]

    @pytest.mark.parametrize(("final", "action3", "credits2"), [(3, 2, 100), (0, 5, 100)], ids=["CS-6", "CS-7"])
    def test_less_than_was_held_goes_back_to_the_pool_first(self, final: int, action3: int, credits2: int) -> None:
        customer = Reserving(monthly(60, "action3"), monthly(100, "credits2"))
        customer.track(55, "action3")
        customer.lock(10, "action3")
        customer.confirm(final)
        assert (customer.left("action3"), customer.left("credits2")) == ([action3], [credits2])

    @pytest.mark.parametrize(("final", "left"), [(20, 180), (45, 155)], ids=["CS-11", "CS-12"])
    def test_the_pool_itself_can_be_held(self, final: int, left: int) -> None:
        customer = Reserving(monthly(200, "credits"))
        customer.lock(30, "credits")
        customer.confirm(final)
        assert customer.left("credits") == [left]


class TestRollovers:
    """S200: monthly 100, rollover max 200 for 1 month."""

    def test_ro_1_what_is_given_back_returns_to_its_rollover(self) -> None:
        customer = Reserving(monthly(100, rollover=rolling(200)))
        for _ in range(2):
            customer.reset()
            customer.track(0)
        assert customer.remaining() == 300
        customer.lock(250)
        assert (customer.rollovers(), customer.left(), customer.remaining()) == ([0, 0], [50], 50)
        customer.confirm(80)
        assert (customer.rollovers(), customer.left(), customer.remaining()) == ([20, 100], [100], 220)
        assert customer.events == [-170, 250]

    def test_ro_3_more_than_was_held_draws_rollovers_first(self) -> None:
        customer = Reserving(monthly(100, rollover=rolling(200)))
        customer.reset()
        customer.track(0)
        customer.lock(30)
        assert (customer.rollovers(), customer.remaining()) == ([70], 170)
        customer.confirm(150)
        assert (customer.rollovers(), customer.left(), customer.events) == ([0], [50], [120, 30])


class TestEntities:
    """S202: customer-level 100 and per-entity 50, e1 and e2."""

    @pytest.fixture
    def customer(self) -> Reserving:
        return Reserving(monthly(100), per_entity(monthly(50)), entities=2)

    def views(self, customer: Reserving) -> tuple[Decimal, Decimal, Decimal]:
        """What the customer, e1 and e2 see left."""
        found = [customer.shown("messages", entity) for entity in ("", "e1", "e2")]
        first, second, third = (view.totals.remaining for view in found if view)
        return first, second, third

    def own(self, customer: Reserving, entity: str) -> Decimal:
        return customer.holdings.balances[BalanceKey("messages", entity)].grants[0].remaining

    def test_ep_2_less_than_was_held_returns_to_the_entity(self, customer: Reserving) -> None:
        customer.lock(30, entity="e1")
        customer.confirm(10)
        assert self.views(customer) == (190, 140, 150)

    def test_ep_3_more_than_was_held_draws_what_is_shared_next(self, customer: Reserving) -> None:
        customer.lock(30, entity="e1")
        customer.confirm(80)
        assert self.views(customer) == (120, 70, 120)
        assert (self.own(customer, "e1"), self.own(customer, "e2"), self.own(customer, "")) == (0, 50, 70)

    def test_ep_4_a_release_returns_all_to_the_entity(self, customer: Reserving) -> None:
        customer.lock(40, entity="e1")
        customer.release()
        assert self.views(customer) == (200, 150, 150)

    def test_ep_6_the_customers_hold_draws_entities_after_its_own(self, customer: Reserving) -> None:
        customer.lock(120)
        customer.confirm(160)
        assert (self.own(customer, ""), self.own(customer, "e1"), self.own(customer, "e2")) == (0, 0, 40)

    def test_ep_7_a_confirmed_hold_leaves_other_uses(self, customer: Reserving) -> None:
        customer.lock(30, entity="e1")
        customer.used(10)
        customer.confirm()
        assert self.views(customer) == (160, 110, 140)
        assert customer.events == [10, 30]

    def test_ep_5_the_last_entity_gives_back_first(self) -> None:
        """S203."""
        customer = Reserving(per_entity(monthly(10)), entities=2)
        customer.lock(14)
        customer.confirm(8)
        assert (self.own(customer, "e1"), self.own(customer, "e2"), customer.events) == (2, 10, [-6, 14])


class TestUsageLimits:
    """S248: monthly 100, limit 5."""

    @pytest.fixture
    def customer(self) -> Reserving:
        customer = Reserving(monthly(100))
        customer.control(limit(5))
        return customer

    def test_a_hold_counts(self, customer: Reserving) -> None:
        assert customer.lock(4).allowed
        assert (customer.remaining(), customer.counter()) == (96, 4)
        assert not customer.lock(2).allowed
        assert (customer.remaining(), customer.counter()) == (96, 4)

    def test_a_confirmed_hold_counts_once(self, customer: Reserving) -> None:
        customer.lock(3)
        customer.confirm()
        assert (customer.remaining(), customer.counter()) == (97, 3)

    def test_less_is_uncounted(self, customer: Reserving) -> None:
        customer.lock(4)
        customer.confirm(1)
        assert (customer.remaining(), customer.counter()) == (99, 1)
        assert customer.track(5).drawn == 4
        assert (customer.remaining(), customer.counter()) == (95, 5)

    def test_more_is_gated(self, customer: Reserving) -> None:
        customer.lock(3)
        customer.confirm(6)
        assert (customer.remaining(), customer.counter()) == (95, 5)
        assert customer.track(1).drawn == 0

    def test_what_expires_is_uncounted(self, customer: Reserving) -> None:
        customer.lock(4, lasts=HOUR)
        customer.later(HOUR)
        assert (customer.remaining(), customer.counter()) == (100, 0)


class TestPlanChanges:
    def test_what_is_carried_over_is_held_of_the_new_plan(self) -> None:
        customer = Reserving()
        customer.attach(monthly(100), group="main")
        customer.lock(30)
        customer.attach(monthly(500), group="main", carry_over=ALL_USAGES)
        assert customer.remaining() == 470
        customer.release()
        assert customer.remaining() == 500

    @pytest.mark.parametrize("used", [0, 70])
    def test_what_is_held_goes_over_with_what_is_left(self, used: int) -> None:
        customer = Reserving()
        customer.attach(monthly(100), group="main")
        customer.lock(30)
        customer.used(used)
        customer.attach(monthly(500), group="main", carry_over=CarryOver(balances=Carried(True)))
        assert customer.remaining() == 570 - used
        customer.release()
        assert customer.remaining() == 600 - used

    def test_what_belonged_to_a_plan_that_is_gone_is_gone_with_it(self) -> None:
        """Nothing of the new plan is given back that was never taken of it."""
        customer = Reserving()
        customer.attach(monthly(100), group="main")
        customer.lock(30)
        customer.attach(monthly(500), group="main")
        customer.used(20)
        customer.release()
        assert customer.gru() == (500, 480, 20)

    @pytest.mark.parametrize(("final", "left"), [(90, 490), (80, 500), (50, 500)])
    def test_only_what_is_more_than_was_held_lands_on_the_new_plan(self, final: int, left: int) -> None:
        customer = Reserving()
        customer.attach(monthly(100), group="main")
        customer.lock(80)
        customer.attach(monthly(500), group="main")
        customer.confirm(final)
        assert customer.remaining() == left

    def test_a_hold_keeps_what_it_took_of_grants_that_stay(self) -> None:
        customer = Reserving()
        customer.attach(monthly(100), group="main")
        customer.create("own", 50)
        customer.lock(120)
        customer.attach(monthly(500), group="main")
        assert customer.gru() == (550, 530, 20)
        customer.confirm(110)
        assert customer.gru() == (550, 540, 10)

    def test_what_was_held_of_a_grant_that_expires_is_gone_with_it(self) -> None:
        customer = Reserving(monthly(100))
        customer.create("gift", 50, expires_at=customer.now + HOUR)
        customer.used(60)
        customer.lock(70)
        customer.later(HOUR)
        before = customer.gru()
        customer.release()
        assert (before, customer.gru()) == ((100, 0, 100), (100, 40, 60))

    def test_overage_was_drawn_last_and_goes_back_first(self) -> None:
        customer = Reserving(lifetime(5), consumable(10))
        customer.lock(20)
        assert customer.view().overage == 5
        customer.confirm(12)
        assert (customer.view().overage, customer.remaining()) == (0, 3)


def test_a_balance_tells_what_is_reserved() -> None:
    customer = Reserving(monthly(100))
    customer.used(10)
    customer.lock(30)
    shown = customer.shown()
    assert shown
    assert (shown.reserved, shown.totals.usage - shown.reserved, shown.totals.remaining) == (30, 10, 60)
    assert [line.reserved for line in shown.lines] == [30]


class TestWhatIsHeldIsNotGivenBack:
    """A use that gives back leaves to a reservation what it holds, so that all of it comes back when that ends (3.3)."""

    @pytest.mark.parametrize("given_back", [1, 5, 8, 100])
    @pytest.mark.parametrize("feature", ["messages", "action1"])
    def test_all_of_it_comes_back(self, given_back: int, feature: str) -> None:
        customer = Reserving(hourly5, lifetime(20)) if feature == "messages" else Reserving(lifetime(20, "credits"))
        customer.used(3, feature)
        customer.lock(8, feature)
        held_of = "messages" if feature == "messages" else "credits"
        held = customer.remaining(held_of)
        customer.used(-given_back, feature)
        whole = customer.remaining(held_of) - held
        customer.release()
        costs = d(1) if feature == "messages" else d(0.2)
        assert whole == min(3, given_back) * costs
        assert customer.remaining(held_of) == held + whole + 8 * costs

    def test_of_overage_too(self) -> None:
        customer = Reserving(consumable(10))
        customer.used(10)
        customer.lock(5)
        customer.used(-100)
        customer.release()
        assert customer.remaining() == 10
