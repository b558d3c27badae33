"""What a balance's numbers let the one conditional write decide, and what they leave to a second look."""

from __future__ import annotations

import pytest

from tests.records import balance_of
from tests.unit.scenario import (
    CAP,
    DAY,
    HOUR,
    NOW,
    OVERFLOW,
    REJECT,
    Number,
    Scenario,
    consumable,
    d,
    every,
    limit,
    monthly,
    overage,
    per_entity,
    seats,
    spend,
    unlimited,
)
from tollgate.domain.balances import Balance, BalanceKey, as_of, recomputed
from tollgate.domain.decisions import Overage, fast_path
from tollgate.domain.grants import FOREVER
from tollgate.domain.limits import Limits, Window
from tollgate.domain.periods import Interval


def write(
    balance: Balance, amount: Number, of: Overage = REJECT, now: int = NOW, *, alone: bool = True
) -> Number | None:
    """What the one write takes of a balance; None where it decides nothing."""
    after = fast_path(balance, d(amount), of, now, alone=alone)
    return None if after is None else after.spent - balance.spent


class TestEntitiesShareTheFeature:
    """Overage is drawn when all that is granted is used, the entities' shares among it."""

    def test_the_overage_of_a_customer_is_no_part_of_what_one_write_may_take(self) -> None:
        customer = Scenario(consumable(10), per_entity(monthly(5)), entities=1)
        balance = customer.balance()
        assert (balance.headroom, balance.ceiling) == (10, 10)
        assert [write(balance, amount) for amount in (10, 11)] == [10, None]

    def test_nor_does_a_capped_use_take_what_there_is_and_leave_the_shares(self) -> None:
        balance = Scenario(monthly(10), per_entity(monthly(5)), entities=1).balance()
        assert [write(balance, amount, CAP) for amount in (10, 11)] == [10, None]

    def test_the_shares_are_used_up_before_anything_is_overdrawn(self) -> None:
        customer = Scenario(consumable(10), per_entity(monthly(5)), entities=1)
        customer.track(13)
        assert customer.left() == [0, 2]
        customer.track(4)
        assert customer.left() == [-2, 0]

    def test_without_entities_the_overage_is_there_at_once(self) -> None:
        balance = Scenario(consumable(10, most=4)).balance()
        assert (balance.headroom, balance.ceiling) == (10, 14)
        assert [write(balance, amount) for amount in (14, 15)] == [14, None]
        assert write(balance, 15, CAP) == 14
        assert [write(balance, amount, alone=False) for amount in (10, 11)] == [10, None]


class TestTheEdge:
    @pytest.mark.parametrize("of", [CAP, REJECT, OVERFLOW])
    def test_the_last_unit_is_taken_in_one_write(self, of: Overage) -> None:
        assert write(Scenario(monthly(10)).balance(), 10, of) == 10

    def test_one_more_is_capped_at_what_there_is_and_nothing_else_decides(self) -> None:
        balance = Scenario(monthly(10)).balance()
        assert [write(balance, 11, of) for of in (CAP, REJECT, OVERFLOW)] == [10, None, None]
        assert write(balance, 11, CAP, alone=False) is None

    def test_a_use_of_nothing_is_one_write_and_a_return_is_none(self) -> None:
        balance = Scenario(monthly(10)).balance()
        assert (write(balance, 0), write(balance, -1)) == (0, None)

    def test_a_write_decides_up_to_the_instant_of_the_reset_and_not_at_it(self) -> None:
        balance = Scenario(every(Interval.HOUR, 10)).balance()
        assert balance.fresh_until == NOW + HOUR
        assert [write(balance, 1, now=NOW + HOUR + late) for late in (-1, 0)] == [1, None]

    def test_what_never_changes_is_fresh_for_ever(self) -> None:
        assert Scenario(seats(5)).balance("users").fresh_until == FOREVER


class TestWhatLowersTheNumbers:
    def test_a_usage_limit_bounds_what_is_held_and_what_may_be_overdrawn(self) -> None:
        customer = Scenario(consumable(10))
        customer.control(limit(12))
        balance = customer.balance()
        assert (balance.headroom, balance.ceiling) == (10, 12)
        customer.control(limit(7))
        balance = customer.balance()
        assert (balance.headroom, balance.ceiling) == (7, 7)

    def test_of_two_usage_limits_the_closer_one_counts(self) -> None:
        customer = Scenario(monthly(10))
        customer.control(limit(7), limit(3, interval=Interval.DAY))
        assert (customer.balance().headroom, customer.balance().fresh_until) == (3, NOW + DAY)

    def test_a_limit_of_some_properties_sends_every_use_to_a_second_look(self) -> None:
        customer = Scenario(monthly(10))
        customer.control(limit(7, region="eu"))
        assert customer.balance().fresh_until == 0

    def test_so_does_one_grant_that_pays_for_some_uses_only(self) -> None:
        grant = Scenario(monthly(10)).balance().grants[0]
        some = grant._replace(id="some", filters=(("region", "eu"),))
        for grants, fresh in (([grant], True), ([grant, some], False), ([some], False)):
            assert (balance_of(BalanceKey("messages"), grants).fresh_until > 0) is fresh

    def test_a_spend_limit_is_what_may_be_overdrawn(self) -> None:
        customer = Scenario(consumable(10, most=100))
        customer.control(spend(3))
        assert (customer.balance().headroom, customer.balance().ceiling) == (10, 13)

    def test_overage_that_is_off_is_not_there(self) -> None:
        customer = Scenario(consumable(10))
        customer.control(overage(False))
        assert customer.balance().ceiling == 10

    def test_an_unlimited_balance_is_bounded_by_no_usage_limit(self) -> None:
        customer = Scenario(unlimited())
        customer.control(limit(7))
        assert customer.balance().headroom == customer.balance().ceiling > 10**15

    def test_a_grant_that_has_not_started_holds_nothing_and_ends_the_freshness(self) -> None:
        grant = Scenario(monthly(10)).balance().grants[0]
        balance = balance_of(BalanceKey("messages"), [grant, grant._replace(id="later", starts_at=NOW + 5)])
        assert (balance.headroom, balance.ceiling, balance.fresh_until) == (10, 10, NOW + 5)

    def test_what_a_grant_is_overdrawn_by_is_not_taken_from_another(self) -> None:
        grant = Scenario(monthly(10)).balance().grants[0]
        balance = balance_of(BalanceKey("messages"), [grant, grant._replace(id="over", used=d(14), overage=True)])
        assert balance.headroom == 10


class TestFolding:
    def test_uses_since_then_are_applied_to_grants_and_limits(self) -> None:
        customer = Scenario(consumable(10))
        customer.control(limit(20))
        spent = fast_path(customer.balance(), d(14), REJECT, NOW, alone=True)
        assert spent is not None
        computed = as_of(spent, NOW)
        assert (computed.grants[0].used, computed.headroom, computed.ceiling, computed.spent) == (14, 0, 6, 0)
        assert computed.limits.windows[0].used == 14
        assert computed == recomputed(computed)

    def test_uses_before_a_reset_count_in_a_limit_that_runs_on(self) -> None:
        customer = Scenario(every(Interval.HOUR, 10))
        customer.control(limit(20, interval=Interval.DAY))
        spent = fast_path(customer.balance(), d(3), REJECT, NOW, alone=True)
        assert spent is not None
        computed = as_of(spent, NOW + HOUR)
        assert (computed.headroom, computed.limits.windows[0].used) == (10, 3)

    def test_a_limit_s_window_ends_at_its_instant(self) -> None:
        window = Window(d(5), Interval.DAY, NOW + DAY, used=d(5))
        balance = recomputed(Scenario(monthly(10)).balance()._replace(limits=Limits(windows=(window,))))
        assert as_of(balance, NOW + DAY - 1).headroom == 0
        assert as_of(balance, NOW + DAY).headroom == 5

    def test_uses_of_an_unlimited_balance_count_in_no_limit(self) -> None:
        customer = Scenario(unlimited())
        customer.control(limit(7))
        spent = fast_path(customer.balance(), d(50), REJECT, NOW, alone=True)
        assert spent is not None
        assert as_of(spent, NOW).limits.windows[0].used == 0
        assert as_of(spent, NOW + DAY).limits.windows[0].used == 0
