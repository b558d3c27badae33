"""What becomes of a balance's grants at the instant at which some end and others start, whatever ended them.

A plan's grant ends at its `expires_at`, whether a call set that to now, or a schedule, the plan's own end or the end of
its trial to a later time. What was used of it still counts until it would have reset: it stays with its balance, in
`left_off`. A grant that starts takes over what its `takes` says:

| from | its use | its period | rollovers | what is left |
|---|---|---|---|---|
| grants with which its own plan left off | is deducted | goes on, unless another was asked for | go over | is its own |
| grants of a plan in whose place it starts | is deducted where asked | goes on where it does | go over | is brought over where asked |

What goes over to the plan itself leaves `left_off`. What goes over to another plan stays there too, so that nothing is
granted twice in a period, whatever plan comes next: what is brought over counts as used where it came from.

Use of an allocated feature belongs to no plan (`domain.seats`): it is in `left_off` only while nothing grants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from tollgate.domain.drawing import any_grant, draw, draw_overage, overage_cap, push
from tollgate.domain.grants import Grant, HeldRollovers, Takes, deduction_order, renewed, trimmed
from tollgate.domain.holds import Heir, Hold, held_of, held_rollovers, inherited
from tollgate.domain.limits import NO_LIMITS
from tollgate.domain.periods import sooner
from tollgate.domain.quantities import ZERO
from tollgate.domain.seats import kept_together, spread
from tollgate.domain.unique_values import Numbers, drawn_by, is_unique, merged

MAX_LEFT_OFF = 50  # grants of one balance: those that ended last

Grants = tuple[Grant, ...]


class State(NamedTuple):
    """What a handover changes of a balance."""

    grants: Grants
    left_off: Grants
    holds: tuple[Hold, ...]


def next_handover(grants: Iterable[Grant], now: int) -> int | None:
    """The first instant (epoch ms) up to `now` at which one of these grants starts or ends; None: there is none. What a
    handover brings over may end by `now` too: this is to be asked again after each."""
    found = (at for grant in grants for at in (grant.starts_at, grant.expires_at) if at is not None and at <= now)
    return min(found, default=None)


def handed_over(state: State, moment: int, *, allocated: bool) -> State:
    """The state after the grants that end by `moment` (epoch ms) have ended, and those that start by then have started.

    The grants are as of the instant before.
    """
    ended = tuple(grant for grant in state.grants if grant.expires_at is not None and grant.expires_at <= moment)
    staying = tuple(grant for grant in state.grants if grant not in ended)
    if allocated:
        after = _seats_handed_over(state._replace(grants=staying), ended, moment)
    else:
        starting = [grant for grant in staying if grant.starts_at is not None and grant.starts_at <= moment]
        over = tuple(grant for grant in ended if grant.plan_id and grant.starts_at is None)
        after = State(tuple(g for g in staying if g not in starting), (*state.left_off, *over), state.holds)
        for subscription_id in dict.fromkeys(g.subscription_id for g in sorted(starting, key=deduction_order)):
            own = tuple(grant for grant in starting if grant.subscription_id == subscription_id)
            after = _started(own, after, moment)
        after = after._replace(left_off=tuple(map(_record, after.left_off)))
    after = pruned(after, moment)
    return _without_holds_of({grant.id for grant in (*state.grants, *state.left_off)}, after)


def pruned(state: State, now: int) -> State:
    """The state without what was left off that says nothing any more, or would have reset by `now` (epoch ms), and
    without what is held of it."""
    kept = tuple(grant for grant in state.left_off if _runs(grant, now) and _tells_something(grant))[-MAX_LEFT_OFF:]
    if kept == state.left_off:
        return state
    return _without_holds_of({grant.id for grant in state.left_off}, state._replace(left_off=kept))


def _without_holds_of(ids: set[str], state: State) -> State:
    """The state without what is held of those of these grants that are gone."""
    gone = ids - {grant.id for grant in (*state.grants, *state.left_off)}
    if not gone or not state.holds:
        return state
    return state._replace(holds=inherited(state.holds, dict.fromkeys(gone, (None, None))))


def _runs(grant: Grant, moment: int) -> bool:
    return grant.next_reset_at is None or grant.next_reset_at > moment


def _tells_something(grant: Grant) -> bool:
    return bool(grant.used or grant.used_elsewhere or grant.meters or grant.adjustment or grant.rollovers)


def _record(grant: Grant) -> Grant:
    """A grant that has ended, without what no other grant takes over."""
    return grant._replace(price=None, value=None, expires_at=None, takes=None, rollover=None, max_purchase=None)


def _seats_handed_over(state: State, ended: Grants, moment: int) -> State:
    """The use of seats moves to the grants that there are; while there is none, it is left off."""
    after = tuple(grant for grant in (renewed(grant, moment) for grant in state.grants) if grant is not None)
    if after:
        before = (*state.left_off, *ended, *state.grants)
        return State(spread(before, kept_together(before, after)), (), state.holds)
    over = tuple(_record(grant) for grant in ended if grant.used > 0)
    return state._replace(left_off=(*state.left_off, *over))


# ------------------------------------------------------------------ what starts


def _started(own: Grants, state: State, moment: int) -> State:
    """The state after these grants of one subscription have started. Where its plan does not grant the feature, one
    without a plan stands for them: only what is left is brought over."""
    grants, left_off, holds = state
    takes = own[0].takes or Takes(resumes=False)
    earlier = _earlier(own[0], left_off) if takes.resumes else ()
    replaced = tuple(g for g in left_off if g.subscription_id in takes.replaces and g not in earlier)
    heirs = sorted((g._replace(starts_at=None, takes=None) for g in own if g.plan_id), key=deduction_order)
    own_run = tuple(grant for grant in earlier if _runs(grant, moment))
    others_run = tuple(grant for grant in replaced if _runs(grant, moment))
    periods = (*(own_run if takes.resumes_period else ()), *(others_run if takes.keeps_period else ()))
    heirs = [_adjusted(_in_period_of(_twin(heir, periods), heir), own_run) for heir in heirs]
    heirs = _deducted(heirs, own_run)
    if takes.usages:
        heirs = _deducted(heirs, others_run)
    heirs, holder = _with_rollovers(heirs, (*earlier, *replaced), holds)
    new_parts: dict[str, Heir] = {was.id: (_heir_id(was, heirs), holder or was.id) for was in earlier}
    records = {}
    loose: list[Grant] = []
    held = held_of(holds)
    for number, was in enumerate(replaced):
        record = was._replace(rollovers=()) if holder else was
        holding: str | None = was.id
        reserved = min(max(ZERO, was.used), held.get(was.id, ZERO))
        left = max(ZERO, was.remaining)
        if takes.usages and heirs and was in others_run:
            holding = _heir_id(was, heirs)
            record, reserved = record._replace(used=record.used - reserved), ZERO
        elif takes.balances and heirs and was in others_run:
            heirs[0] = heirs[0]._replace(adjustment=heirs[0].adjustment - was.overdrawn)
        if takes.balances and was in others_run and left + reserved > 0:
            loose.append(_left_of(was, reserved, f"{own[0].subscription_id}:left:{number}", own[0]))
            holding = loose[-1].id if reserved else holding
            record = record._replace(used=record.used + left)
        records[was.id] = record
        new_parts[was.id] = (holding, holder or was.id)
    left_off = tuple(records.get(grant.id, grant) for grant in left_off if grant not in earlier)
    return State((*grants, *heirs, *loose), left_off, inherited(holds, new_parts) if holds else ())


def _earlier(new: Grant, left_off: Grants) -> Grants:
    """The grants with which the plan of a new one left off: those of its last subscription. An add-on may have several."""
    same = [
        g for g in left_off if (g.plan_id, g.filters, g.entity_share) == (new.plan_id, new.filters, new.entity_share)
    ]
    return tuple(grant for grant in same if grant.subscription_id == same[-1].subscription_id)


def _twin(heir: Grant, old: Grants) -> Grant | None:
    """The first of the old grants that resets as the heir does."""
    return next((was for was in old if was.reset == heir.reset), None)


def _heir_id(was: Grant, heirs: list[Grant]) -> str:
    return next((heir.id for heir in heirs if heir.reset == was.reset), heirs[0].id)


def _in_period_of(old: Grant | None, new: Grant) -> Grant:
    if old is None or old.next_reset_at is None:
        return new
    return new._replace(anchor=old.anchor, next_reset_at=old.next_reset_at)


def _adjusted(heir: Grant, earlier: Grants) -> Grant:
    """The heir with what was set by hand on its twin: it lasts until the reset."""
    twin = _twin(heir, earlier)
    return heir if twin is None else heir._replace(adjustment=twin.adjustment)


def _spans(grant: Grant) -> dict[str, Decimal]:
    """By plan id, what was used of a grant while that plan ran: what it inherited, and its own."""
    spans = dict(grant.inherited)
    own = grant.plan_id or ""
    spans[own] = spans.get(own, ZERO) + grant.used - sum(spans.values(), ZERO)
    return spans


def _deducted(heirs: list[Grant], old: Grants) -> list[Grant]:
    """The heirs with what was used of old grants, and what their meters remember of it.

    A heir takes as much as it grants of what was used of the old one that resets as it does; the rest is drawn anew.
    What the heirs count already, use of the same plans or values that both have counted, counts once. Use of an unlimited
    grant is never owed: it uses up what there is, at most.
    """
    if not old or not heirs:
        return heirs
    before = {heir.id: heir for heir in heirs}
    known: dict[str, Decimal] = {}
    for plan_id, units in (span for heir in heirs for span in _spans(heir).items()):
        known[plan_id] = known.get(plan_id, ZERO) + units
    heirs, owed, uses_up = list(heirs), ZERO, ZERO
    matched: dict[str, tuple[Grant, Decimal]] = {}
    both = _counted_by_both(_remembered(heirs), _remembered(old))
    left_of_both = both
    for was in sorted(old, key=deduction_order):
        same = _counted_already(was, heirs, known, left_of_both)
        left_of_both = None if left_of_both is None else max(ZERO, left_of_both - same)
        left = was.used - same
        number = next((n for n, h in enumerate(heirs) if h.reset == was.reset and h.id not in matched), None)
        if number is not None:
            heir = heirs[number]
            matched[heir.id] = was, max(same, both or ZERO)
            part = max(ZERO, left if heir.unlimited else min(left, heir.remaining))
            heirs[number] = heir._replace(used=heir.used + part)
            left -= part
        if was.unlimited:
            uses_up += left
        else:
            owed += left
    drawn = tuple(heirs)
    if owed > 0:
        drawn, owed = draw(drawn, owed)
        if owed:
            drawn, owed = draw_overage(drawn, owed, overage_cap(NO_LIMITS))
    if owed:
        drawn = push(drawn, owed, any_grant)
    if uses_up > 0:
        drawn, _ = draw(drawn, uses_up)
    return [
        _counting(heir, before[heir.id], *matched.get(heir.id, (old[0], both or ZERO)))
        if heir.id in matched or both is not None
        else heir._replace(used_elsewhere=old[0].counted - heir.used, meters=old[0].meters)
        for heir in drawn
    ]


def _remembered(grants: Iterable[Grant]) -> dict[str, Numbers]:
    """By feature, all different values that the meters of these grants remember."""
    found: dict[str, Numbers] = {}
    for grant in grants:
        for feature_id, memory in grant.meters.items():
            if is_unique(memory):
                found[feature_id] = merged(found[feature_id], memory) if feature_id in found else memory
    return found


def _counted_by_both(one: Mapping[str, Numbers], other: Mapping[str, Numbers]) -> Decimal | None:
    """What the values that both have counted have drawn; None where not both count different values."""
    shared = one.keys() & other.keys()
    if not shared:
        return None
    return sum((drawn_by(one[id]) + drawn_by(other[id]) - drawn_by(merged(one[id], other[id])) for id in shared), ZERO)


def _counted_already(was: Grant, heirs: list[Grant], known: dict[str, Decimal], both: Decimal | None) -> Decimal:
    """How much of what was used of an old grant the heirs count, out of what is `known`, by plan, and of what `both` have
    counted as different values. What another meter made of events is no sum: the larger of two numbers is the use."""
    if both is None and was.meters and any(heir.meters for heir in heirs):
        return min(was.used, sum((heir.used for heir in heirs), ZERO))
    by_values = sum((drawn_by(memory) for memory in was.meters.values() if is_unique(memory)), ZERO)
    if both is not None and was.counted == by_values:  # it has no other use, so `both` is all of what the heirs count
        return max(ZERO, min(was.used, both))
    same = ZERO
    for plan_id, units in _spans(was).items():
        counted = known.get(plan_id, ZERO)
        part = _in_both(units, counted)
        known[plan_id] = counted - part
        same += part
    return same if both is None else max(same, ZERO, min(was.used, both))


def _in_both(one: Decimal, other: Decimal) -> Decimal:
    """How much of the use under one plan two grants count both: one has known more of it than the other. It is below zero
    where units were added by hand; what only one of them has the sign of, they do not share."""
    return min(one, other, key=abs) if (one < 0) == (other < 0) else ZERO


def _counting(heir: Grant, before: Grant, was: Grant, same: Decimal) -> Grant:
    """A heir with what the old grant counted, and remembers: its counts go on from there. `before`: the heir before it
    took over the use, of which it counted as much as `same` already."""
    spans = _spans(was)
    for plan_id, units in _spans(before).items():
        known = spans.get(plan_id, ZERO)
        spans[plan_id] = units + known - _in_both(units, known)
    spans.pop(heir.plan_id or "", None)
    remembers = dict(was.meters if was.used >= before.used or not before.meters else before.meters)
    for feature_id in before.meters.keys() & was.meters.keys():
        one, other = before.meters[feature_id], was.meters[feature_id]
        if is_unique(one) and is_unique(other):
            remembers[feature_id] = merged(one, other)
    return heir._replace(
        used_elsewhere=before.counted + was.counted - same - heir.used,
        meters=remembers,
        inherited=tuple(sorted((plan, units) for plan, units in spans.items() if units)),
    )


def _with_rollovers(
    heirs: list[Grant], old: Iterable[Grant], holds: tuple[Hold, ...]
) -> tuple[list[Grant], str | None]:
    """The heirs with the rollovers of old grants, cut to the rule of the one that takes them (S179), and its id; None:
    there are none."""
    old = tuple(old)
    rollovers = tuple(rollover for grant in old for rollover in grant.rollovers)
    if not rollovers or not heirs:
        return heirs, None
    number = next((n for n, heir in enumerate(heirs) if heir.rollover), 0)
    heir = heirs[number]
    held: HeldRollovers = frozenset[int | None]().union(*(held_rollovers(holds, grant.id) for grant in old))
    if heir.rollover:
        rollovers = trimmed(rollovers, heir.rollover, heir.granted + heir.prepaid, held)
    taken = heir._replace(rollovers=(*heir.rollovers, *rollovers))
    return [*heirs[:number], taken, *heirs[number + 1 :]], heir.id


def _left_of(was: Grant, reserved: Decimal, id: str, new: Grant) -> Grant:
    """What was left of a grant, and what is `reserved` of it, as a grant of its own beside the new ones."""
    takes = new.takes or Takes()
    end = was.next_reset_at or takes.lapses_at
    return Grant(
        id=id,
        plan_id=None,
        subscription_id=None,
        granted=max(ZERO, was.remaining) + reserved,
        used=reserved,
        anchor=new.created_at,
        expires_at=takes.until if end is None else sooner(takes.until, end),
        created_at=new.created_at,
        entity_share=was.entity_share,
        filters=was.filters,
    )
