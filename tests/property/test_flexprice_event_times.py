"""What a grant counts is the sum of the events of its running period, in whatever order they are reported.

Rules: flexprice.md 2.6.
"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scenario import DAY, NOW
from tollgate.domain.balances import BalanceKey, all_as_of
from tollgate.domain.customers import Customer, Holdings
from tollgate.domain.decisions import UseRequest
from tollgate.domain.features import Catalog, Feature, FeatureType
from tollgate.domain.periods import Interval, Reset, last_boundary
from tollgate.domain.plans import Plan, PlanItem
from tollgate.domain.subscriptions import Terms, attach
from tollgate.domain.usage_events import UsageEvent, record

FEATURE = Feature("f", "F", FeatureType.METERED)
CATALOG = Catalog({"f": FEATURE})
KEY = BalanceKey("f")
resets = st.sampled_from([None, Reset(Interval.DAY), Reset(Interval.WEEK), Reset(Interval.MONTH)])
hours = st.integers(-40 * 24, 24)  # before or after the instant at which the event is counted


@given(
    st.lists(st.tuples(resets, st.integers(0, 60)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 90 * 24), hours, st.integers(1, 9)), max_size=15),
)
def test_a_grant_counts_the_events_of_its_running_period(
    plans: list[tuple[Reset | None, int]], reports: list[tuple[int, int, int]]
) -> None:
    """flexprice.md 2.6: `plans` began after so many days; a report comes so many hours after the first day, of an event so
    many hours later (or earlier) than that.
    """
    holdings = Holdings(Customer("c", created_at=NOW))
    for number, (reset, days) in enumerate(sorted(plans, key=lambda plan: plan[1])):
        plan = Plan(f"p{number}", "", items=(PlanItem("f", Decimal(5), reset=reset),))
        holdings = attach(holdings, plan, CATALOG, f"s{number}", NOW + days * DAY, Terms(stacks=True))
    began = {f"s{number}": NOW + days * DAY for number, (_, days) in enumerate(sorted(plans, key=lambda p: p[1]))}
    start = max(began.values())
    balances = holdings.balances
    reports = sorted((start + at * 3_600_000, start + (at + off) * 3_600_000, amount) for at, off, amount in reports)
    for now, at, amount in reports:
        event = UsageEvent("e", "c", "used", at, {"value": amount})
        found = record(UseRequest(FEATURE, dated=at), event, balances, now, {})
        assert found is not None
        balances = all_as_of(found.decision.balances, now)
    end = reports[-1][0] if reports else start
    for grant in all_as_of(balances, end)[KEY].grants:
        first = began[str(grant.subscription_id)]
        running = first if grant.reset is None else last_boundary(first, grant.reset, end)
        # an event that came before the running period began was counted, if at all, in one that is over
        expected = sum(amount for now, at, amount in reports if at >= running and now >= running)
        assert grant.counted == expected
