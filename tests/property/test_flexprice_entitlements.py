"""What holds of the aggregation whatever the sources are.

Rules: flexprice.md 0.2, 2.2.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import resets
from tollgate.domain.entitlements import EntitlementSource, SourceKind, canonical, combined
from tollgate.domain.features import Feature, FeatureType

METERED = Feature("calls", "Calls", FeatureType.METERED)
STATIC = Feature("sla", "SLA", FeatureType.STATIC)
limits = st.decimals(min_value=0, max_value=10**12, places=4, allow_nan=False)


@st.composite
def source(draw: st.DrawFn, enabled: bool | None = None) -> EntitlementSource:
    return EntitlementSource(
        "e",
        "calls",
        "s",
        draw(st.sampled_from(SourceKind)),
        enabled=draw(st.booleans()) if enabled is None else enabled,
        limit=draw(st.none() | limits),
        soft=draw(st.booleans()),
        reset=draw(st.none() | resets),
        value=draw(st.none() | st.sampled_from(["", "gold", "silver", "bronze"])),
    )


sources = st.lists(source(), max_size=8)


@given(sources.flatmap(lambda held: st.tuples(st.just(held), st.permutations(held))))
def test_the_order_of_sources_changes_no_sum(orders: tuple[list[EntitlementSource], list[EntitlementSource]]) -> None:
    first, other = orders
    assert combined(METERED, first) == combined(METERED, other)
    values, others = combined(STATIC, first).values, combined(STATIC, other).values
    assert sorted(values) == sorted(others)


@given(sources, source(enabled=True))
def test_one_without_a_limit_makes_the_sum_one_without(held: list[EntitlementSource], more: EntitlementSource) -> None:
    total = combined(METERED, [*held, more._replace(limit=None)])
    assert (total.enabled, total.limit) == (True, None)


@given(sources, st.lists(source(enabled=False), max_size=4))
def test_disabled_sources_change_nothing(held: list[EntitlementSource], off: list[EntitlementSource]) -> None:
    for feature in (METERED, STATIC):
        assert combined(feature, [*off, *held]) == combined(feature, held) == combined(feature, [*held, *off])


@given(st.lists(source(enabled=True).map(lambda s: s._replace(limit=s.limit or Decimal(0))), min_size=1, max_size=8))
def test_limits_add_up_exactly(held: list[EntitlementSource]) -> None:
    expected = sum(int((s.limit or Decimal(0)) * 10_000) for s in held)
    total = combined(METERED, held)
    assert total.limit is not None
    assert int(total.limit * 10_000) == expected
    assert total.soft == any(s.soft for s in held)


@given(st.lists(source(enabled=True), min_size=1, max_size=8))
def test_no_period_is_more_frequent_and_none_as_frequent_is_shorter(held: list[EntitlementSource]) -> None:
    period = combined(METERED, held).period
    periods = [canonical(s.reset) for s in held]

    def length(p: object) -> float:
        return float("inf") if p is None else p.nominal_ms  # type: ignore[attr-defined]

    for other in set(periods):
        assert periods.count(other) <= periods.count(period)
        if periods.count(other) == periods.count(period):
            assert length(other) >= length(period)
