"""Reported usage: what an event that has happened does to a customer's balances.

Every feature whose meter looks at the event is used by what the event says, in full, past any limit (lotus.md 0.7), by
the rows whose filters it passes; where none does, nothing is counted. Of an aggregate (MAX and its like), what is drawn
from the balance is the change in the period of the first row in deduction order, and each row counts the change in its
own period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tollgate.domain.decisions import Decision, Overage, Source, World, folded, sources_of, use
from tollgate.domain.features import Feature, Pool
from tollgate.domain.meters import ADDED, Seen, amount_of, meter_of, period_end, step
from tollgate.domain.quantities import ZERO, converted
from tollgate.domain.rows import Row
from tollgate.domain.usage import NO_PROPERTIES


class Report(NamedTuple):
    """An event that has happened: `id` is the caller's own, `at` (ms) is when."""

    id: str
    customer_id: str
    name: str
    at: int
    properties: Mapping[str, Any] = NO_PROPERTIES


class Recorded(NamedTuple):
    """What an event did: what it says of the feature, the decision, and, of COUNT_UNIQUE, who has seen its value."""

    amount: Decimal
    decision: Decision
    seen: Seen


def record(
    feature: Feature, pools: Sequence[Pool], event: Report, world: World, now: int, seen: Seen
) -> Recorded | None:
    """What the event does as a use of this feature; None where the feature's meter does not look at it."""
    amount = amount_of(feature, event.properties)
    if amount is None:
        return None
    meter = meter_of(feature)
    before = folded(world, now)
    if meter is None or meter.aggregation in ADDED:
        return Recorded(amount, _used(feature, pools, amount, event, before, now), seen)
    sources = sources_of(feature.id, pools, "", before, event.properties)
    source = next((source for source in sources if _rows(source, before)), None)
    if source is None:
        return Recorded(amount, Decision(False, ZERO, before), seen)
    rows = _rows(source, before)
    steps = {row.id: step(feature, row, amount, event.at, seen) for row in rows}
    drawn = steps[rows[0].id].change
    decision = _used(feature, pools, drawn, event, before, now)
    after = dict(decision.world)
    after[source.place] = after[source.place]._replace(
        rows=tuple(
            row._replace(
                beside=row.beside + converted(steps[row.id].change - drawn, source.cost),
                meters={**row.meters, feature.id: steps[row.id].memory} if steps[row.id].memory else row.meters,
            )
            if row.id in steps
            else row
            for row in after[source.place].rows
        )
    )
    held = {row.id for row in before[source.place].rows}
    kept = {id: end for id, end in seen.items() if id in held}
    return Recorded(amount, decision._replace(world=after), kept | {row.id: period_end(row) for row in rows})


def _used(feature: Feature, pools: Sequence[Pool], amount: Decimal, event: Report, world: World, now: int) -> Decision:
    return use(feature, pools, "", amount, Overage.REPORTED, event.properties, world, now)


def _rows(source: Source, world: World) -> list[Row]:
    return [row for row in world[source.place].rows if source.may(row)]
