"""How the grants of a feature come together, and where they come from (flexprice.md 2, 4).

Rules: flexprice.md 2.1, 2.2, 2.4, 0.2, 0.4, 0.6 to 0.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from tollgate.domain.balances import all_as_of
from tollgate.domain.customers import Customer, Entity, Holdings
from tollgate.domain.decisions import Overage, UseRequest, use
from tollgate.domain.entities import add_entity
from tollgate.domain.entitlement_usage import EntitledUsage, usage_of
from tollgate.domain.entitlements import (
    Entitled,
    EntitlementSource,
    SourceKind,
    canonical,
    combined,
    entitled,
    entitlement_id,
    running,
)
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.manual_balances import NewBalance
from tollgate.domain.manual_balances import create as grant
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import PREPAID, USAGE_BASED, FreeTrial, ItemPrice, Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.subscriptions import Terms, attach, cancel

NOW = 1_767_225_600_000  # 2026-01-01
DAY = 86_400_000
MONTHLY = Reset(Interval.MONTH)
METERED = Feature("calls", "API calls", FeatureType.METERED)
STATIC = Feature("sla", "SLA", FeatureType.STATIC, consumable=False)
FEATURES = {
    feature.id: feature
    for feature in (
        METERED,
        STATIC,
        Feature("storage", "Storage", FeatureType.METERED),
        Feature("users", "Users", FeatureType.METERED, consumable=False),
        Feature("sso", "SSO", FeatureType.BOOLEAN, consumable=False),
    )
}
CATALOG = Catalog(FEATURES)
NAMES = {"pro": "Pro", "extra": "Extra"}


def source(
    limit: int | None, *, enabled: bool = True, reset: Reset | None = MONTHLY, **more: object
) -> EntitlementSource:
    total = None if limit is None else Decimal(limit)
    return EntitlementSource("e", "calls", "s", SourceKind.PLAN, limit=total, enabled=enabled, reset=reset, **more)  # type: ignore[arg-type]


def item(feature: str, limit: int | None = None, reset: Reset | None = MONTHLY, **more: object) -> PlanItem:
    return PlanItem(feature, Decimal(limit or 0), limit is None, reset, **more)  # type: ignore[arg-type]


def plan(id: str, *items: PlanItem, add_on: bool = False) -> Plan:
    return Plan(id, NAMES.get(id, id), items=items, add_on=add_on)


def held(*plans: Plan, terms: Terms | None = None) -> Holdings:
    """A customer with these plans, attached one day after the other: `s0` first."""
    holdings = Holdings(Customer("c1"))
    for number, one in enumerate(plans):
        holdings = attach(
            holdings, one, CATALOG, f"s{number}", NOW + number * DAY, replace(terms or Terms(), stacks=True)
        )
    return holdings


def shown(holdings: Holdings, now: int = NOW + 20 * DAY, **filters: set[str]) -> list[Entitled]:
    return entitled(holdings, NAMES, FEATURES, now, **filters)


def limit_of(holdings: Holdings, feature: str = "calls", now: int = NOW + 20 * DAY) -> Decimal | None:
    (found,) = shown(holdings, now, feature_ids={feature})
    return found.entitlement.limit


class TestCombining:
    @pytest.mark.parametrize(
        ("sources", "limit"),
        [
            ([source(100), source(250)], 350),
            ([source(100), source(None)], None),
            ([source(100, enabled=False), source(50)], 50),
            ([source(0)], 0),
        ],
    )
    def test_limits_add_up_and_one_without_makes_none(
        self, sources: list[EntitlementSource], limit: int | None
    ) -> None:
        total = combined(METERED, sources)
        assert (total.enabled, total.limit) == (True, limit)

    def test_only_disabled_sources_are_no_entitlement(self) -> None:
        assert not combined(METERED, [source(100, enabled=False)]).enabled
        assert not combined(METERED, []).enabled

    def test_soft_where_any_is(self) -> None:
        assert combined(METERED, [source(1), source(1, soft=True)]).soft
        assert not combined(METERED, [source(1), source(1, soft=True, enabled=False)]).soft

    def test_static_values_keep_their_order_each_once(self) -> None:
        values = ["gold", None, "silver", "gold", "", "bronze"]
        assert combined(STATIC, [source(0, value=value) for value in values]).values == ("gold", "silver", "bronze")

    def test_different_periods_are_one_number(self) -> None:
        """100 a day and 1,000 a month: 1,100, as upstream."""
        total = combined(METERED, [source(100, reset=Reset(Interval.DAY)), source(1000)])
        assert (total.limit, total.period) == (1100, canonical(Reset(Interval.DAY)))

    @pytest.mark.parametrize(
        ("resets", "period"),
        [
            ([MONTHLY, MONTHLY, Reset(Interval.DAY)], MONTHLY),
            ([MONTHLY, Reset(Interval.YEAR)], MONTHLY),
            ([Reset(Interval.YEAR), Reset(Interval.WEEK), MONTHLY], Reset(Interval.WEEK)),
            ([None, Reset(Interval.YEAR)], Reset(Interval.YEAR)),
            ([Reset(Interval.ONE_OFF), Reset(Interval.YEAR)], Reset(Interval.YEAR)),
            ([None, Reset(Interval.ONE_OFF), Reset(Interval.DAY)], None),
            ([Reset(Interval.MONTH, 3), Reset(Interval.QUARTER), Reset(Interval.DAY)], Reset(Interval.QUARTER)),
            ([MONTHLY, Reset(Interval.DAY, 30)], Reset(Interval.DAY, 30)),
            ([Reset(Interval.DAY, 30), MONTHLY], Reset(Interval.DAY, 30)),
            ([Reset(Interval.DAY, 7), Reset(Interval.WEEK), MONTHLY], Reset(Interval.WEEK)),
        ],
    )
    def test_the_most_frequent_period_and_of_several_the_shortest(
        self, resets: Sequence[Reset | None], period: Reset | None
    ) -> None:
        assert combined(METERED, [source(1, reset=reset) for reset in resets]).period == canonical(period)


class TestSources:
    def test_no_subscription_no_feature(self) -> None:
        assert shown(Holdings(Customer("c1"))) == []
        assert running(Holdings(Customer("c1")), NOW) == []

    def test_each_source_carries_its_plan_and_its_subscription(self) -> None:
        (found,) = shown(held(plan("pro", item("calls", 1000))))
        (only,) = found.sources
        assert found.entitlement == (True, 1000, False, canonical(MONTHLY), ())
        assert (only.kind, only.entity_id, only.entity_name, only.subscription_id) == ("plan", "pro", "Pro", "s0")
        assert only.id == entitlement_id("pro", "calls")

    def test_newest_subscription_first_and_features_by_first_appearance(self) -> None:
        holdings = held(plan("pro", item("calls", 1), item("sso")), plan("b", item("storage", 2), item("calls", 3)))
        found = shown(holdings)
        assert [entry.feature.id for entry in found] == ["storage", "calls", "sso"]
        assert [(s.subscription_id, s.limit) for s in found[1].sources] == [("s1", 3), ("s0", 1)]

    def test_newest_static_value_first(self) -> None:
        gold, silver = (PlanItem("sla", static_value=value) for value in ("gold", "silver"))
        (found,) = shown(held(plan("a", gold), plan("b", silver)))
        assert found.entitlement.values == ("silver", "gold")

    def test_the_same_add_on_twice_is_two_sources(self) -> None:
        add_on = plan("extra", item("calls", 50), add_on=True)
        (found,) = shown(held(plan("pro", item("calls", 100)), add_on, add_on))
        assert found.entitlement.limit == 200
        assert [(s.kind, s.entity_id, s.subscription_id) for s in found.sources] == [
            ("add_on", "extra", "s2"),
            ("add_on", "extra", "s1"),
            ("plan", "pro", "s0"),
        ]

    def test_an_add_on_of_a_subscription_comes_after_its_plan_and_before_what_is_its_alone(self) -> None:
        pro = plan("pro", item("calls", 100), item("storage", 5))
        holdings = held(pro, terms=Terms(items=(item("calls", 100), item("storage", 7))))
        add_on = plan("extra", item("calls", 50), item("storage", 1), add_on=True)
        holdings = attach(holdings, add_on, CATALOG, "a0", NOW + DAY, Terms(parent_id="s0"))
        calls, storage = shown(holdings)
        assert [(s.kind, s.subscription_id) for s in calls.sources] == [("plan", "s0"), ("add_on", "s0")]
        assert [(s.kind, s.subscription_id, s.limit) for s in storage.sources] == [
            ("add_on", "s0", 1),
            ("subscription", "s0", 7),
        ]
        assert [(s.id, [a.id for a in add_ons]) for s, add_ons in running(holdings, NOW + DAY)] == [("s0", ["a0"])]

    def test_an_add_on_may_be_asked_for_by_its_own_id(self) -> None:
        """flexprice.md 2.1."""
        holdings = held(plan("pro", item("calls", 100)))
        add_on = plan("extra", item("calls", 50), add_on=True)
        holdings = attach(holdings, add_on, CATALOG, "a0", NOW + DAY, Terms(parent_id="s0"))
        (found,) = shown(holdings, subscription_ids={"a0"})
        assert (found.entitlement.limit, [s.kind for s in found.sources]) == (50, ["add_on"])

    def test_an_add_on_ends_with_its_subscription(self) -> None:
        holdings = held(plan("pro", item("calls", 100)))
        add_on = plan("extra", item("calls", 50), add_on=True)
        holdings = attach(holdings, add_on, CATALOG, "a0", NOW + DAY, Terms(parent_id="s0"))
        assert shown(cancel(holdings, CATALOG, "s0", NOW + 2 * DAY, at_end=False)) == []

    def test_what_one_subscription_has_replaces_what_its_plan_has(self) -> None:
        pro = plan("pro", item("calls", 100), item("sso"))
        own = (item("calls", 700), item("sso", enabled=False))
        (found,) = shown(held(pro, terms=Terms(items=own)))
        (only,) = found.sources
        assert (found.feature.id, found.entitlement.limit) == ("calls", 700)
        assert (only.kind, only.entity_id, only.entity_name) == ("subscription", "s0", "")

    def test_a_disabled_grant_grants_nothing(self) -> None:
        holdings = held(plan("pro", item("calls", 100, enabled=False), item("storage", 1)))
        assert [entry.feature.id for entry in shown(holdings)] == ["storage"]
        assert not any(key.feature_id == "calls" for key in holdings.balances)

    def test_filters_narrow_features_and_subscriptions(self) -> None:
        holdings = held(plan("pro", item("calls", 1)), plan("b", item("storage", 2)))
        assert [e.feature.id for e in shown(holdings, feature_ids={"calls"})] == ["calls"]
        assert [e.feature.id for e in shown(holdings, subscription_ids={"s0"})] == ["calls"]
        assert shown(holdings, subscription_ids={"nope"}) == []
        assert shown(holdings, feature_ids={"storage"}, subscription_ids={"s0"}) == []

    def test_an_unknown_feature_is_left_out(self) -> None:
        holdings = held(plan("pro", item("calls", 1), item("storage", 2)))
        known = {"calls": METERED}
        assert [e.feature.id for e in entitled(holdings, NAMES, known, NOW + DAY)] == ["calls"]

    def test_only_what_runs_counts(self) -> None:
        ended = cancel(
            held(plan("pro", item("calls", 1)), plan("b", item("calls", 10))), CATALOG, "s0", NOW, at_end=False
        )
        assert limit_of(ended) == 10
        later = attach(
            ended, plan("c", item("calls", 100)), CATALOG, "s9", NOW, Terms(starts_at=NOW + 30 * DAY, stacks=True)
        )
        assert limit_of(later) == 10
        assert limit_of(later, now=NOW + 31 * DAY) == 110

    def test_a_trial_counts(self) -> None:
        trial = Terms(free_trial=FreeTrial(14, Interval.DAY))
        assert limit_of(held(plan("pro", item("calls", 5)), terms=trial), now=NOW + DAY) == 5

    def test_a_balance_set_by_hand_is_a_source_without_a_subscription(self) -> None:
        holdings = grant(
            held(plan("pro", item("calls", 5))), CATALOG, NewBalance("b1", "calls", included=Decimal(7)), NOW
        )
        (found,) = shown(holdings)
        assert found.entitlement.limit == 12
        assert [(s.kind, s.id, s.subscription_id) for s in found.sources][-1] == ("subscription", "b1", "")
        assert shown(holdings, subscription_ids={"s0"})[0].entitlement.limit == 5

    def test_each_entitys_share_is_the_customers_too_and_what_only_an_entity_has_is_not(self) -> None:
        holdings = held(plan("pro", item("calls", 5, entity_feature_id="users")))
        assert shown(holdings) == []
        for name in ("ada", "bob", "eve"):
            holdings = add_entity(holdings, CATALOG, Entity(name, "users"), NOW)
        assert limit_of(holdings) == 15
        holdings = attach(holdings, plan("b", item("calls", 100)), CATALOG, "s9", NOW, Terms(entity_id="ada"))
        assert limit_of(holdings) == 15


class TestPriced:
    """management.md 10 (one domain in three dialects)."""

    def test_usage_based_with_a_cap_is_a_limit_of_both(self) -> None:
        priced = item("calls", 100, price=ItemPrice(USAGE_BASED, Decimal(50)))
        (found,) = shown(held(plan("pro", priced)))
        assert (found.entitlement.limit, found.entitlement.soft) == (150, False)

    def test_usage_based_without_a_cap_is_a_soft_limit(self) -> None:
        (found,) = shown(held(plan("pro", item("calls", 100, price=ItemPrice(USAGE_BASED)))))
        assert (found.entitlement.limit, found.entitlement.soft) == (100, True)

    def test_prepaid_is_what_was_bought(self) -> None:
        priced = item("calls", 100, price=ItemPrice(PREPAID))
        (found,) = shown(held(plan("pro", priced), terms=Terms(quantities={"calls": Decimal(300)})))
        assert (found.entitlement.limit, found.entitlement.soft) == (300, False)


class TestUsage:
    def usage(self, holdings: Holdings, now: int = NOW + 2 * DAY) -> EntitledUsage:
        (found,) = shown(holdings, now, feature_ids={"calls"})
        return usage_of(found, (), all_as_of(holdings.balances, now))

    def used(self, holdings: Holdings, amount: int, now: int = NOW + 2 * DAY) -> Holdings:
        decision = use(UseRequest(METERED, (), "", Decimal(amount), Overage.OVERFLOW), holdings.balances, now)
        return replace(holdings, balances=decision.balances)

    def test_upstreams_probe_150_events_against_a_soft_limit_of_100(self) -> None:
        usage = self.usage(self.used(held(plan("pro", item("calls", 100, soft_limit=True))), 150))
        assert (usage.used, usage.ratio, usage.check.allowed) == (150, Decimal("1.5"), True)

    def test_past_a_hard_limit_it_is_counted_and_denied(self) -> None:
        """500 events, allowance 100."""
        usage = self.usage(self.used(held(plan("pro", item("calls", 100))), 500))
        assert (usage.used, usage.ratio, usage.check.allowed) == (500, 5, False)

    def test_usage_is_counted_once_however_many_subscriptions_hold_the_feature(self) -> None:
        holdings = held(plan("pro", item("calls", 100)), plan("b", item("calls", 100)))
        usage = self.usage(self.used(holdings, 120))
        assert (usage.used, usage.ratio, usage.check.allowed) == (120, Decimal("0.6"), True)

    def test_ratio_is_0_without_a_limit_and_100_where_the_limit_is_nothing(self) -> None:
        assert self.usage(self.used(held(plan("pro", item("calls"))), 7)).ratio == 0
        assert self.usage(held(plan("pro", item("calls", 0)))).ratio == 100
        assert not self.usage(held(plan("pro", item("calls", 0)))).check.allowed

    def test_next_reset_is_the_soonest_and_never_later_than_the_end(self) -> None:
        monthly = held(plan("pro", item("calls", 1)))
        assert self.usage(monthly).next_reset_at == NOW + 31 * DAY
        both = attach(monthly, plan("b", item("calls", 1, Reset(Interval.DAY))), CATALOG, "s9", NOW, Terms(stacks=True))
        assert self.usage(both, NOW + DAY // 2).next_reset_at == NOW + DAY
        ending = held(plan("pro", item("calls", 1)), terms=Terms(ends_at=NOW + 10 * DAY))
        assert self.usage(ending).next_reset_at == NOW + 10 * DAY
        assert self.usage(held(plan("pro", item("calls", 1, None)))).next_reset_at is None

    def test_a_flag_has_no_usage_and_is_allowed(self) -> None:
        holdings = held(plan("pro", PlanItem("sso")))
        (found,) = shown(holdings)
        usage = usage_of(found, (), all_as_of(holdings.balances, NOW))
        assert (usage.used, usage.ratio, usage.next_reset_at, usage.check.allowed) == (ZERO, ZERO, None, True)
