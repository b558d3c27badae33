"""Why a check is answered as it is, and what would make it allowed.

Rules: autumn.md 2.10, 2.11.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.scenario import (
    CATALOG,
    DAY,
    NOW,
    REJECT,
    Number,
    Scenario,
    consumable,
    d,
    flag,
    lifetime,
    limit,
    monthly,
    ms,
    overage,
    per_entity,
    rolling,
    spend,
    unlimited,
)
from tollgate.domain.balances import all_as_of
from tollgate.domain.decisions import Overage, Reason, UseRequest, check
from tollgate.domain.explanations import Explanation, Kind, State, explain
from tollgate.domain.periods import Interval

FEBRUARY = ms("2026-02-01")


def request(required: Number, feature: str, entity: str, properties: dict[str, object]) -> UseRequest:
    return UseRequest(CATALOG.feature(feature), CATALOG.pools(feature), entity, d(required), REJECT, properties)


def reason(
    customer: Scenario, required: Number = 1, feature: str = "messages", entity: str = "", **properties: object
) -> Reason:
    """Why the check is answered as it is."""
    asked = request(required, feature, entity, properties)
    balances = all_as_of(customer.holdings.balances, customer.now)
    return check(asked, balances).reason


def explained(
    customer: Scenario,
    required: Number = 1,
    feature: str = "messages",
    entity: str = "",
    *,
    counts: bool = False,
    **properties: object,
) -> Explanation:
    asked = request(required, feature, entity, properties)
    return explain(asked, customer.holdings.balances, customer.now, counts=counts)


def states(found: Explanation) -> list[State]:
    return [grant.state for feature in found.features for grant in feature.grants]


class TestReasons:
    """autumn.md 2.10: a code for each way in which a check is denied."""

    def test_nothing_grants_it(self) -> None:
        assert reason(Scenario()) is Reason.NOT_GRANTED
        assert reason(Scenario(monthly(5)), 1, "dashboard") is Reason.NOT_GRANTED
        assert reason(Scenario(flag()), 1, "dashboard") is Reason.FLAG

    def test_the_balance_is_used_up(self) -> None:
        customer = Scenario(monthly(5))
        customer.track(3)
        assert (reason(customer, 2), reason(customer, 3)) == (Reason.WITHIN_BALANCE, Reason.BALANCE_EXHAUSTED)

    def test_overage_ends_at_its_bound(self) -> None:
        assert reason(Scenario(consumable(5)), 99) is Reason.WITHIN_OVERAGE
        capped = Scenario(consumable(5, most=10))
        assert (reason(capped, 15), reason(capped, 16)) == (Reason.WITHIN_OVERAGE, Reason.MAX_PURCHASE)
        capped.control(spend(3))
        assert (reason(capped, 8), reason(capped, 9)) == (Reason.WITHIN_OVERAGE, Reason.SPEND_LIMIT)
        capped.control(overage(False))
        assert (reason(capped, 5), reason(capped, 6)) == (Reason.WITHIN_BALANCE, Reason.BALANCE_EXHAUSTED)

    def test_a_usage_limit_comes_before_the_balance(self) -> None:
        customer = Scenario(monthly(5))
        customer.control(limit(2))
        assert (reason(customer, 3), reason(customer, 9)) == (Reason.USAGE_LIMIT, Reason.USAGE_LIMIT)

    def test_a_members_usage_limit_holds_where_a_credit_pool_answers(self) -> None:
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(2, "action1"))
        assert customer.check(3, "action1")[:3] == (False, "credits", d(0.6))
        assert reason(customer, 3, "action1") is Reason.USAGE_LIMIT

    def test_what_is_unlimited_or_given_back_is_always_allowed(self) -> None:
        assert reason(Scenario(unlimited()), 10**9) is Reason.UNLIMITED
        assert reason(Scenario(monthly(0)), -1) is Reason.GIVES_BACK


class TestGrants:
    """autumn.md 2.11: what each grant could give, and what bounds it."""

    def test_they_are_told_in_the_order_in_which_they_are_drawn(self) -> None:
        customer = Scenario(lifetime(100), monthly(10))
        found = explained(customer, 15)
        assert [(grant.gives, grant.takes) for grant in found.features[0].grants] == [(10, 10), (100, 5)]
        customer.track(10)
        assert states(explained(customer)) == [State.USED_UP, State.AVAILABLE]

    def test_an_unlimited_grant_gives_all_whatever_else_there_is(self) -> None:
        customer = Scenario(unlimited(), monthly(5))
        customer.control(limit(2))
        (feature,) = explained(customer, 9).features
        assert [(grant.state, grant.gives) for grant in feature.grants] == [
            (State.UNLIMITED, None),
            (State.AVAILABLE, 5),
        ]
        assert (feature.remaining, feature.overage) == (None, None)
        assert [(window.matches, window.short) for window in feature.windows] == [(False, False)]  # autumn.md 3.7

    def test_a_grant_that_has_lapsed_or_not_started_gives_nothing(self) -> None:
        customer = Scenario()
        customer.create("trial", 5, expires_at=NOW + DAY)
        customer.later(DAY)
        found = explained(customer)
        assert (found.reason, states(found)) == (Reason.NOT_GRANTED, [State.LAPSED])
        assert found.features[0].grants[0].grant.expires_at == NOW + DAY

    def test_what_an_entity_holds_alone_is_not_its_customers(self) -> None:
        customer = Scenario(entities=2)
        customer.create("own", 5, entity="e1")
        assert states(explained(customer)) == [State.ENTITY_ONLY]
        assert states(explained(customer, entity="e1")) == [State.AVAILABLE]
        assert states(explained(customer, entity="e2")) == []

    def test_a_customer_that_shares_nothing_says_so(self) -> None:
        customer = Scenario(monthly(5), entities=1, unpooled=True)
        found = explained(customer, entity="e1")
        assert (found.allowed, states(found)) == (False, [State.NOT_POOLED])

    def test_a_share_of_an_entity_pays_for_its_customer(self) -> None:
        customer = Scenario(per_entity(monthly(5)), entities=1)
        assert [grant.gives for grant in explained(customer).features[0].grants] == [5]

    def test_what_rolled_over_can_be_given_too(self) -> None:
        customer = Scenario(monthly(10, rollover=rolling()))
        customer.now = FEBRUARY
        assert [grant.gives for grant in explained(customer).features[0].grants] == [20]


class TestWhatWouldAllow:
    """autumn.md 2.11: a remedy is told because the decision allows with it."""

    def test_as_many_units_as_are_missing(self) -> None:
        customer = Scenario(consumable(5, most=10))
        (change,) = explained(customer, 18).changes
        assert (change.kind, change.key.feature_id, change.amount) == (Kind.GRANT, "messages", 3)

    def test_a_limit_and_units_where_both_stand_in_the_way(self) -> None:
        customer = Scenario(monthly(5))
        customer.control(limit(2))
        found = explained(customer, 7)
        assert [(change.kind, change.amount) for change in found.changes] == [(Kind.USAGE_LIMIT, 7), (Kind.GRANT, 2)]

    def test_the_feature_itself_where_nothing_is_granted(self) -> None:
        (change,) = explained(Scenario(), 4, "action1").changes
        assert (change.key.feature_id, change.amount) == ("action1", 4)

    def test_time_where_a_grant_resets(self) -> None:
        customer = Scenario(monthly(5))
        customer.track(5)
        assert explained(customer, 5).allowed_at == FEBRUARY
        assert explained(customer, 6).allowed_at is None
        assert explained(Scenario(monthly(5)), 5).allowed_at is None

    def test_time_where_a_usage_limit_begins_anew(self) -> None:
        customer = Scenario(lifetime(50))
        customer.control(limit(2, interval=Interval.DAY, utc=True))
        customer.track(2)
        assert explained(customer).allowed_at == NOW + DAY

    @pytest.mark.parametrize(("feature", "most"), [("action1", 50), ("action2", Decimal("16.6666666667"))])
    def test_a_smaller_amount(self, feature: str, most: Number) -> None:
        """Ten credits pay for 50 of what costs 0.2, and for 16 2/3 of what costs 0.6."""
        assert explained(Scenario(monthly(10, "credits")), 100, feature).most == most

    def test_a_smaller_amount_within_a_members_usage_limit_where_it_counts(self) -> None:
        customer = Scenario(monthly(100, "credits"))
        customer.control(limit(2, "action1", region="eu"))
        assert explained(customer, 1000, "action1", region="eu").most == 2
        assert explained(customer, 1000, "action1", region="us").most == 500

    def test_no_amount_is_too_much_where_there_is_no_limit(self) -> None:
        assert explained(Scenario(unlimited())).most is None
        assert explained(Scenario(consumable(5))).most is None


class TestUse:
    """autumn.md 2.11: with send_event, it is the use that is explained."""

    def test_a_use_draws_from_the_feature_and_its_credits_together(self) -> None:
        customer = Scenario(monthly(5, "action1"), monthly(1, "credits"))
        assert not explained(customer, 8, "action1").allowed
        found = explained(customer, 8, "action1", counts=True)
        assert (found.allowed, found.reason) == (True, Reason.TOGETHER)
        takes = [grant.takes for feature in found.features for grant in feature.grants]
        assert takes == [5, d(0.6)]

    def test_nothing_of_what_nothing_grants(self) -> None:
        found = explained(Scenario(), 0, counts=True)
        assert (found.allowed, found.reason) == (True, Reason.NOTHING_ASKED)
        assert not explained(Scenario(), 0).allowed

    def test_a_lock_that_may_overflow(self) -> None:
        customer = Scenario(monthly(5))
        asked = request(9, "messages", "", {})._replace(overage=Overage.OVERFLOW)
        found = explain(asked, customer.holdings.balances, customer.now, counts=True)
        assert (found.allowed, found.reason) == (True, Reason.OVERAGE_BEHAVIOR)
