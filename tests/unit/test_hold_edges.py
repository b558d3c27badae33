"""Holds at the edge: what comes back where the grants have changed meanwhile, and to which of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.records import balance_of
from tests.unit.scenario import DAY, HOUR, NOW, d, every, lifetime, limit, monthly, rolling
from tests.unit.test_rules_reservations import Reserving
from tollgate.domain.balances import BalanceKey, as_of
from tollgate.domain.grants import Grant
from tollgate.domain.holds import Hold, Part, parts_of, undo, used_elsewhere_of
from tollgate.domain.periods import Interval


def grant(id: str, used: int = 0, granted: int = 10, used_elsewhere: int = 0) -> Grant:
    return Grant(id, None, None, granted=d(granted), used=d(used), used_elsewhere=d(used_elsewhere))


def part(id: str, amount: int, seq: int = 0) -> Part:
    return Part(seq, id, d(amount))


class TestUndoing:
    @pytest.mark.parametrize("used", [5, 3, 0, -3])
    def test_all_of_it_comes_back_also_where_units_were_added_by_hand_meanwhile(self, used: int) -> None:
        grants, rest = undo((grant("a", used=used),), [part("a", 5)])
        assert (grants[0].used, rest) == (used - 5, 0)

    def test_what_was_given_back_is_used_again(self) -> None:
        grants, rest = undo((grant("a"),), [part("a", -5)])
        assert (grants[0].used, rest) == (5, 0)

    def test_of_a_grant_that_is_gone_all_is_left_over(self) -> None:
        grants, rest = undo((grant("a"),), [part("gone", 5), part("gone", -2)])
        assert (grants, rest) == ((grant("a"),), 3)

    def test_a_rollover_that_never_expires_gets_its_own_back(self) -> None:
        customer = Reserving(monthly(10, rollover=rolling(months=None)))
        customer.later(31 * DAY)
        assert customer.rollovers() == [10]
        customer.lock(8)
        assert customer.rollovers() == [2]
        customer.release()
        assert (customer.rollovers(), customer.remaining()) == ([10], 20)


class TestWhatIsHeld:
    def test_what_moved_is_numbered_in_the_order_in_which_it_was_drawn_overage_last(self) -> None:
        before = (grant("a", granted=5), grant("b"))
        held, over = parts_of(before, (grant("a", used=7, granted=5), grant("b", used=4)), 3)
        assert held == [part("a", 5, 3), part("b", 4, 4)]
        assert over == [part("a", 2, 5)]

    def test_what_is_drawn_of_an_overdrawn_grant_is_all_overage(self) -> None:
        assert parts_of((grant("a", used=12),), (grant("a", used=13),), 0) == ([], [part("a", 1)])

    def test_what_others_paid_for_is_the_difference(self) -> None:
        assert used_elsewhere_of(
            (grant("a", used_elsewhere=3), grant("b")), (grant("a", used_elsewhere=5), grant("b"))
        ) == (("a", 2),)


class TestExpiring:
    def expired(self, *grants: Grant, amount: int) -> list[Decimal]:
        """What is used of these grants when a hold of a grant that is gone has expired."""
        hold = Hold("h", NOW + 5, (part("gone", amount),))
        balance = balance_of(BalanceKey("messages"), grants)._replace(holds=(hold,), fresh_until=NOW + 5)
        after = as_of(balance, NOW + 5)
        assert after.holds == ()
        return [grant.used for grant in after.grants]

    def test_what_is_given_back_goes_to_overdrawn_grants_first(self) -> None:
        assert self.expired(grant("a", used=4), grant("b", used=12), amount=3) == [3, 10]

    def test_even_one_unit_does(self) -> None:
        assert self.expired(grant("a", used=4), amount=1) == [3]

    def test_what_no_grant_has_used_is_gone(self) -> None:
        assert self.expired(grant("a", used=4), amount=6) == [0]

    def test_what_had_been_returned_is_used_again_past_zero_if_it_must(self) -> None:
        assert self.expired(grant("a", used=4), amount=-5) == [9]
        assert self.expired(grant("a", used=4), amount=-7) == [11]

    def test_where_no_grant_is_left_nothing_is_used(self) -> None:
        assert self.expired(amount=-5) == []
        assert self.expired(amount=5) == []

    def test_a_hold_lasts_up_to_its_instant_and_not_through_it(self) -> None:
        customer = Reserving(lifetime(10))
        customer.lock(8, lasts=HOUR)
        customer.later(HOUR - 1)
        assert customer.remaining() == 2
        customer.later(1)
        assert customer.remaining() == 10

    def test_of_two_holds_each_expires_at_its_own(self) -> None:
        customer = Reserving(lifetime(10))
        customer.lock(5, lasts=2 * HOUR)
        customer.lock(3, lasts=HOUR)
        seen = []
        for _ in range(3):
            seen.append(customer.remaining())
            customer.later(HOUR)
        assert seen == [2, 5, 10]

    def test_a_reset_at_the_same_instant_comes_first_and_makes_the_grant_whole(self) -> None:
        customer = Reserving(every(Interval.HOUR, 5), lifetime(10))
        customer.lock(8, lasts=HOUR)
        customer.later(HOUR)
        assert customer.left() == [5, 10]


class TestUsageLimits:
    @pytest.mark.parametrize("finalized", [True, False])
    def test_what_credits_hold_is_uncounted_at_the_limit_of_the_feature(self, finalized: bool) -> None:
        """The feature has a limit and no grant: its item holds nothing but the count."""
        customer = Reserving(monthly(100, "credits"))
        customer.control(limit(50, "action1"))
        customer.lock(5, "action1", lasts=HOUR)
        assert (customer.counter("action1"), customer.remaining("credits")) == (5, 99)
        if finalized:
            customer.release()
        else:
            customer.later(HOUR)
        assert (customer.counter("action1"), customer.remaining("credits")) == (0, 100)

    def test_a_hold_that_counted_in_an_earlier_window_is_not_uncounted_in_this_one(self) -> None:
        customer = Reserving(lifetime(100))
        customer.control(limit(50, interval=Interval.DAY))
        customer.later(DAY - HOUR)
        customer.lock(5, lasts=2 * HOUR)
        customer.later(HOUR)
        customer.track(3)
        customer.later(HOUR)
        assert (customer.counter(), customer.remaining()) == (3, 97)


def test_a_return_while_units_are_held_is_no_more_than_was_used() -> None:
    customer = Reserving(monthly(10))
    customer.lock(8)
    customer.track(-8)
    customer.release()
    assert customer.remaining() == 10
