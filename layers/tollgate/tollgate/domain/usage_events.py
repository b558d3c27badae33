"""Usage events: what an event that has happened does to a customer's balances.

Every feature whose meter counts the event is used by the amount that the event states, in full and beyond any limit
(lotus.md 0.7). The grants whose filters match the event pay; where none does, nothing is counted. Of an aggregate such
as MAX, the balance is drawn by the change of the aggregate in the period of the first grant in deduction order, and
each grant counts the change in its own period.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.balances import Balances, all_as_of
from tollgate.domain.decisions import Decision, Overage, UseRequest, payers_of, use
from tollgate.domain.meters import ADDED, PeriodsCounted, amount_of, meter_of, period_end, step, usage_name, usage_names
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.use_records import NO_PROPERTIES, Origin


class UsageEvent(NamedTuple):
    """An event that has happened: `id` is the caller's own, `at` is its time (epoch ms), `source` where it came from, as the
    caller says (empty: not said)."""

    id: str
    customer_id: str
    name: str
    at: int
    properties: Mapping[str, Any] = NO_PROPERTIES
    source: str = ""

    @property
    def origin(self) -> Origin:
        """Its name and source."""
        return Origin(self.name, self.source)


class EventDecision(NamedTuple):
    """What an event did: the `amount` of the feature that it states, the decision, and, of COUNT_UNIQUE, the periods
    that have counted its value now.
    """

    amount: Decimal
    decision: Decision
    counted_in: PeriodsCounted


def record(
    asked: UseRequest, event: UsageEvent, balances: Balances, now: int, counted_in: PeriodsCounted
) -> EventDecision | None:
    """What the event does as a use of the feature that is asked for, at the customer's time `now` (epoch ms); None where
    the feature's meter does not count it.

    `counted_in`: of COUNT_UNIQUE, the periods in which the event's value was counted before.
    """
    feature = asked.feature
    amount = amount_of(feature, event.properties)
    if amount is None:
        return None
    request = asked._replace(amount=amount, overage=Overage.REPORTED, properties=event.properties)
    meter = meter_of(feature)
    before = all_as_of(balances, now)
    if meter is None or meter.aggregation in ADDED:
        return EventDecision(amount, use(request, before, now), counted_in)
    source = next((source for source in payers_of(request, before) if source.grants(before)), None)
    if source is None:
        return EventDecision(amount, Decision(False, ZERO, before), counted_in)
    grants = source.grants(before)
    steps, seen = {}, dict(counted_in)
    for grant in grants:
        steps[grant.id] = step(feature, grant, amount, event.at, seen, source.cost)
        if steps[grant.id].change:
            seen[str(usage_name(grant))] = period_end(grant)
    drawn = steps[grants[0].id].change
    decision = use(request._replace(amount=drawn), before, now)
    after = dict(decision.balances)
    after[source.key] = after[source.key]._replace(
        grants=tuple(
            grant._replace(
                used_elsewhere=grant.used_elsewhere + converted(steps[grant.id].change - drawn, source.cost),
                meters={**grant.meters, feature.id: steps[grant.id].memory} if steps[grant.id].memory else grant.meters,
            )
            if grant.id in steps
            else grant
            for grant in after[source.key].grants
        )
    )
    known = (grant for balance in before.values() for grant in (*balance.grants, *balance.left_off))
    held = {str(name) for grant in known for name in usage_names(feature, grant)}
    return EventDecision(
        amount, decision._replace(balances=after), {name: end for name, end in seen.items() if name in held}
    )
