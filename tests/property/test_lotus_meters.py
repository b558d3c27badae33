"""Whatever events are reported in whatever order, each grant has counted what a plain recount of its period's events gives.

Rules: flexprice.md 2.5; management.md 2; lotus.md 0.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.scenario import DAY, HOUR, NOW
from tollgate.domain import manual_balances
from tollgate.domain.balances import Balance, BalanceKey, as_of
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.decisions import UseRequest
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.meters import PeriodsCounted, amount_of, counting, meter_of, unique_value
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plan_grants import ALL_USAGES, FRESH
from tollgate.domain.plans import Plan, PlanItem
from tollgate.domain.quantities import ZERO
from tollgate.domain.subscriptions import Terms, attach
from tollgate.domain.usage_events import UsageEvent, record

KINDS = ("COUNT", "SUM", "SUM_WITH_MULTIPLIER", "MAX", "LATEST", "AVG", "COUNT_UNIQUE", "WEIGHTED_SUM")
STEP = Decimal("1e-10")


def feature(kind: str, **more: Any) -> Feature:
    aggregation = {"type": kind, "field": "n", "multiplier": Decimal("0.5")}
    meter = {"event_name": "used", "aggregation": aggregation, **more}
    return Feature("f", "F", FeatureType.METERED, extra={"meter": meter})


class Metered:
    """One customer with the plans given, and what each reported event did to it."""

    def __init__(self, of: Feature, *plans: tuple[PlanItem, tuple[tuple[str, str], ...]], top_up: int = 0) -> None:
        self.catalog = Catalog({of.id: of})
        self.feature = of
        holdings = Holdings(Customer("c", created_at=NOW))
        for number, (item, filters) in enumerate(plans):
            plan = Plan(f"p{number}", "", items=(item,))
            holdings = attach(
                holdings, plan, self.catalog, f"s{number}", NOW, Terms(filters=filters, stacks=len(plans) > 1)
            )
        if top_up:
            holdings = manual_balances.create(
                holdings, self.catalog, manual_balances.NewBalance("top", "f", included=Decimal(top_up)), NOW
            )
        self.holdings = holdings
        self.balances: dict[BalanceKey, Balance] = dict(holdings.balances)
        self.counted_in: dict[str, PeriodsCounted] = {}
        self.drawn = ZERO

    def replace(self, items: tuple[PlanItem, ...], now: int, terms: Terms = Terms()) -> None:  # noqa: B008 - it is a value
        """Another version of the last plan takes its place, or, with terms for it, another plan."""
        held = replace(self.holdings, balances=self.balances)
        number = len(held.subscriptions)
        plan = Plan("p0" if terms == Terms() else f"p{number}", "", version=number + 1, items=items)
        self.holdings = attach(held, plan, self.catalog, f"s{number}", now, terms)
        self.balances = dict(self.holdings.balances)

    def report(self, at: int, **properties: Any) -> None:
        event = UsageEvent("id", "c", "used", at, properties)
        value = unique_value(self.feature, properties)
        found = record(
            UseRequest(self.feature), event, self.balances, at, self.counted_in.get(value, {}) if value else {}
        )
        if found is None or not found.decision.allowed:
            return
        self.drawn += sum(deduction.value for deduction in found.decision.deductions)
        self.balances = dict(found.decision.balances)
        if value:
            self.counted_in[value] = found.counted_in

    def counted(self, at: int) -> dict[str | None, Decimal]:
        return {grant.subscription_id: grant.counted for grant in as_of(self.balances[BalanceKey("f")], at).grants}


def recount(kind: str, events: Sequence[tuple[int, Decimal]], period: tuple[int, int] | None) -> Decimal:
    """What an aggregation of these (time, value) comes to: written down once more, from the events alone."""
    values = [value for _, value in events]
    if not values:
        return ZERO
    if kind == "COUNT":
        return Decimal(len(values))
    if kind == "SUM":
        return sum(values, ZERO)
    if kind == "SUM_WITH_MULTIPLIER":
        return sum(values, ZERO) / 2
    if kind == "MAX":
        return max(values)
    if kind == "LATEST":
        latest = max(at for at, _ in events)
        return [value for at, value in events if at == latest][-1]
    if kind == "AVG":
        return (sum(values, ZERO) / len(values)).quantize(STEP, ROUND_HALF_EVEN)
    if kind == "COUNT_UNIQUE":
        return Decimal(len(set(map(str, values))))
    if period is None:
        return sum(values, ZERO)
    start, end = period
    return sum(((v * (end - at) / (end - start)).quantize(STEP, ROUND_HALF_EVEN) for at, v in events), ZERO)


events = st.lists(
    st.tuples(
        st.integers(0, 60 * 24).map(lambda hours: hours * HOUR // 8),
        st.decimals(min_value=-9, max_value=99, places=1),
        st.sampled_from(["US", "EU"]),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
@given(events=events, top_up=st.sampled_from([0, 30]))
def test_every_grant_counts_what_a_recount_of_its_period_gives(
    kind: str, events: list[tuple[int, Decimal, str]], top_up: int
) -> None:
    """A daily grant, a weekly one for one region alone, and one that never resets; events come in their time's order."""
    metered = Metered(
        feature(kind, reset_usage="BILLING_PERIOD"),
        (PlanItem("f", Decimal(20), reset=Reset(Interval.DAY)), ()),
        (PlanItem("f", Decimal(50), reset=Reset(Interval.WEEK)), (("region", "US"),)),
        (PlanItem("f", Decimal(10)), ()),
        top_up=top_up,
    )
    told = sorted(((NOW + after, value, region) for after, value, region in events), key=lambda event: event[0])
    for at, value, region in told:
        metered.report(at, n=value, region=region)
    end = told[-1][0] if told else NOW

    def of(length: int | None, only: str | None = None) -> Decimal:
        start = NOW if length is None else NOW + (end - NOW) // length * length
        within = [(at, value) for at, value, region in told if at >= start and only in (None, region)]
        return recount(kind, within, None if length is None else (start, start + length))

    found = metered.counted(end)
    assert found["s0"] == of(DAY)
    assert found["s1"] == of(7 * DAY, "US")
    assert found["s2"] == of(None)
    assert found.get(None, found["s2"]) == found["s2"]  # a top-up counts as what never resets


@pytest.mark.parametrize("kind", KINDS)
@given(events=events)
def test_what_is_drawn_is_the_aggregate_of_the_first_grant(kind: str, events: list[tuple[int, Decimal, str]]) -> None:
    metered = Metered(
        feature(kind, reset_usage="BILLING_PERIOD"), (PlanItem("f", Decimal(5)), ()), (PlanItem("f", Decimal(7)), ())
    )
    for after, value, _ in events:
        metered.report(NOW + after, n=value)
    grants = metered.balances[BalanceKey("f")].grants
    assert metered.drawn == sum((grant.used for grant in grants), ZERO) == grants[0].counted == grants[1].counted


@given(st.permutations([(1, Decimal(3)), (2, Decimal(9)), (3, Decimal(4))]))
def test_the_latest_value_is_the_one_of_the_latest_time_whatever_comes_last(order: list[tuple[int, Decimal]]) -> None:
    metered = Metered(feature("LATEST"), (PlanItem("f", Decimal(10)), ()))
    for hours, value in order:
        metered.report(NOW + hours * HOUR, n=value)
    assert metered.counted(NOW) == {"s0": 4}


def test_a_gauge_goes_up_and_down_and_outlives_the_period() -> None:
    """lotus.md 3: num_users 1, 10, 1 against 10; lotus.md 2.3: not bounded by the period."""
    metered = Metered(feature("LATEST"), (PlanItem("f", Decimal(10), reset=Reset(Interval.DAY)), ()))
    for hours, value in ((0, 1), (1, 10), (2, 1)):
        metered.report(NOW + hours * HOUR, n=value)
    assert metered.counted(NOW + 2 * HOUR) == {"s0": 1}
    assert metered.counted(NOW + 5 * DAY) == {"s0": 1}


@pytest.mark.parametrize("kind", ["COUNT", "SUM", "SUM_WITH_MULTIPLIER", "MAX", "AVG", "COUNT_UNIQUE"])
@given(
    events=st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["1", "2", "3", "5"])), max_size=12),
    replaced=st.lists(st.integers(0, 99), max_size=3),
    reset=st.sampled_from([None, Reset(Interval.MONTH)]),
)
def test_what_a_meter_remembers_follows_the_usage_that_it_belongs_to(
    kind: str, events: list[tuple[int, str]], replaced: list[int], reset: Reset | None
) -> None:
    """management.md 2 (meter): a plan that takes another's place goes on with it as with the usage."""
    item = PlanItem("f", Decimal(200), reset=reset)
    metered = Metered(feature(kind), (item, ()))
    for after in sorted({*(at for at, _ in events), *replaced}):
        for at, value in events:
            if at == after:
                metered.report(NOW + at, n=value)
        if after in replaced:
            metered.replace((item,), NOW + after)
    (counted,) = metered.counted(NOW + 100).values()
    ordered = [(NOW + at, Decimal(value)) for at, value in sorted(events, key=lambda event: event[0])]
    assert counted == recount(kind, ordered, None)


VALUES = st.sampled_from("abcdef")
TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("value"), VALUES),
        st.tuples(st.just("plan"), st.sampled_from("ABC"), st.booleans()),
    ),
    max_size=25,
)


@given(TURNS, st.sampled_from([None, Reset(Interval.MONTH)]), st.sampled_from([1, 3, 200]))
@example(
    [
        *[("plan", "A", False), ("value", "a"), ("value", "b"), ("plan", "B", False), ("value", "a"), ("value", "c")],
        *[("plan", "A", True), ("value", "b"), ("value", "c"), ("value", "d")],
    ],
    None,
    200,
)
@example(
    [
        *[("plan", "C", False), ("value", "a"), ("plan", "A", True), ("plan", "B", False), ("value", "a")],
        *[("plan", "A", True), ("plan", "B", True), ("plan", "A", True)],
    ],
    None,
    1,
)
def test_different_values_that_were_counted_apart_and_carried_to_one_are_their_union(
    turns: list[tuple[Any, ...]], reset: Reset | None, included: int
) -> None:
    """management.md 2 (meter): each plan counts on from its own values and, where its rival's usage is carried over, from
    those of the rival too."""
    of = feature("COUNT_UNIQUE")
    catalog, now, number = Catalog({of.id: of}), NOW, 0
    holdings, held = Holdings(Customer("c", created_at=NOW)), ""
    values: dict[str, set[str]] = {}
    seen: dict[str, PeriodsCounted] = {}
    for turn in turns:
        now += 1
        if turn[0] == "plan":
            _, id, carries = turn
            if id == held:
                continue
            plan, number = Plan(id, "", items=(PlanItem("f", Decimal(included), reset=reset),)), number + 1
            terms = Terms(carry_over=ALL_USAGES if carries else FRESH)
            holdings = attach(holdings, plan, catalog, f"s{number}", now, terms)
            values[id] = values.get(id, set()) | (values.get(held, set()) if carries else set())
            held = id
        elif held:
            event = UsageEvent("id", "c", "used", now, {"n": turn[1]})
            digest = unique_value(of, event.properties) or ""
            found = record(UseRequest(of), event, holdings.balances, now, seen.get(digest, {}))
            assert found
            holdings = replace(holdings, balances=dict(found.decision.balances))
            seen[digest] = found.counted_in
            values[held].add(turn[1])
        if held:
            (grant,) = as_of(holdings.balances[BalanceKey("f")], now).live_grants
            assert (grant.used, grant.counted) == (len(values[held]), len(values[held]))


def test_a_plan_that_begins_anew_counts_unique_values_anew() -> None:
    """management.md 2 (meter): where usage is not carried over, no memory is."""
    item = PlanItem("f", Decimal(200))
    metered = Metered(feature("COUNT_UNIQUE"), (item, ()))
    metered.report(NOW, n="a")
    metered.replace((item,), NOW + 1, Terms(carry_over=FRESH))
    metered.report(NOW + 2, n="a")
    assert metered.counted(NOW + 2) == {"s1": 1}


def test_unique_values_are_counted_anew_in_a_new_period() -> None:
    """lotus.md 3: ten events of two values are two."""
    metered = Metered(feature("COUNT_UNIQUE"), (PlanItem("f", Decimal(10), reset=Reset(Interval.DAY)), ()))
    for number in range(10):
        metered.report(NOW + number, n=f"user-{number % 2}")
    assert metered.counted(NOW + HOUR) == {"s0": 2}
    metered.report(NOW + DAY, n="user-1")
    assert metered.counted(NOW + DAY) == {"s0": 1}


class TestAmounts:
    def test_without_a_meter_the_value_is_the_amount_else_one(self) -> None:
        plain = Feature("f", "F", FeatureType.METERED, event_names=("used",))
        assert amount_of(plain, {"value": Decimal("2.5")}) == Decimal("2.5")
        assert amount_of(plain, {"value": "7"}) == 7
        assert amount_of(plain, {}) == amount_of(plain, {"value": "many"}) == 1

    @pytest.mark.parametrize(
        ("properties", "amount"),
        [
            ({"n": 3}, Decimal("1.5")),
            ({"n": "3"}, Decimal("1.5")),
            ({"n": True}, None),
            ({"n": "x"}, None),
            ({"n": "NaN"}, None),
            ({"n": 10**15}, None),
            ({}, None),
        ],
    )
    def test_a_field_without_a_number_says_nothing(self, properties: dict[str, Any], amount: Decimal | None) -> None:
        assert amount_of(feature("SUM_WITH_MULTIPLIER"), properties) == amount

    def test_an_event_must_pass_every_filter_by_one_of_its_values(self) -> None:
        filters = [{"key": "region", "values": ["US", "EU"]}, {"key": "ok", "values": ["true"]}]
        filtered = feature("COUNT", filters=filters)
        assert amount_of(filtered, {"region": "EU", "ok": True}) == 1
        assert amount_of(filtered, {"region": "EU", "ok": False}) is None
        assert amount_of(filtered, {"region": "AP", "ok": True}) is None
        assert amount_of(filtered, {"ok": True}) is None

    def test_features_hear_the_events_that_they_list_and_the_one_of_their_meter(self) -> None:
        plain = Feature("a", "A", FeatureType.METERED, event_names=("used", "other"))
        flag = Feature("b", "B", FeatureType.BOOLEAN, event_names=("used",))
        assert counting([feature("SUM"), plain, flag], "used") == [plain, feature("SUM")]
        assert counting([feature("SUM"), plain, flag], "other") == [plain]

    def test_a_meter_may_say_for_itself_whether_it_resets(self) -> None:
        for kind, said, resets in (
            ("SUM", None, True),
            ("SUM", "NEVER", False),
            ("LATEST", None, False),
            ("LATEST", "BILLING_PERIOD", True),
        ):
            meter = meter_of(feature(kind, **({"reset_usage": said} if said else {})))
            assert meter
            assert meter.resets is resets
