"""Why a check is answered as it is, step by step, and what would make it allowed (autumn.md 2.11).

The answer is the decision's own (`decisions.check`, `decisions.use`). What is told beside it is read off the same
balances with the same functions: which of them answer and in which order, what each grant could give and what bounds
it. A remedy is tried before it is told: it is one because the decision allows with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances, all_as_of, apply_spent, as_of, recomputed
from tollgate.domain.decisions import (
    Check,
    Overage,
    Reason,
    Source,
    UseRequest,
    check,
    has_payer,
    is_granted,
    limits_of,
    payable,
    sources_of,
    spend_scope,
    use,
    verdict,
    windows_key,
)
from tollgate.domain.drawing import overage_cap, overage_room, spend_room, totals
from tollgate.domain.grants import FOREVER, Grant
from tollgate.domain.limits import SpendLimit, Window
from tollgate.domain.quantities import ZERO, converted, unconverted

_MOST_CHANGES = 8  # one for each bound of the feature and of the pools that may stand in its way
_MOST_INSTANTS = 60  # that are looked at for one from which it is allowed
_STEP = Decimal("1e-10")


class State(StrEnum):
    """What stands between a use and a grant's units."""

    AVAILABLE = "available"
    UNLIMITED = "unlimited"
    USED_UP = "used_up"
    NOT_STARTED = "not_started"
    LAPSED = "lapsed"
    NOT_MATCHED = "not_matched"  # it pays for uses with other properties
    ENTITY_ONLY = "entity_only"  # an entity holds it alone, and the customer asks
    NOT_POOLED = "not_pooled"  # the customer shares nothing with its entities, and an entity asks


class GrantFound(NamedTuple):
    """One grant of a feature, and what it could do for the use. Amounts are units of its feature.

    - `gives`: without overage; `overage`: beyond that, by its own bounds alone. None: no limit.
    - `takes`: what the use would draw from it; zero where it is not allowed.
    """

    key: BalanceKey
    grant: Grant
    state: State
    gives: Decimal | None = ZERO
    overage: Decimal | None = ZERO
    takes: Decimal = ZERO


class WindowFound(NamedTuple):
    """A usage limit, whether it counts uses with these properties, and whether it leaves too little."""

    key: BalanceKey
    window: Window
    matches: bool
    short: bool


class FeatureFound(NamedTuple):
    """What one feature (what was asked for, or a credit pool) says to the use.

    - `cost`: its units for one of what was asked; `required`: so what is asked of it.
    - `grants`: in the order in which they are drawn, then those that cannot be.
    - `remaining`: what they hold together; `overage`: what they may be overdrawn by. None: no limit.
    - `spend`: the spend limit, with what it leaves (None: a percentage of nothing, which is no limit).
    """

    feature_id: str
    cost: Decimal
    required: Decimal
    reason: Reason
    grants: tuple[GrantFound, ...]
    windows: tuple[WindowFound, ...]
    spend: tuple[SpendLimit, Decimal | None] | None
    overage_allowed: bool | None
    remaining: Decimal | None
    overage: Decimal | None


class Kind(StrEnum):
    """What a remedy changes."""

    GRANT = "grant"
    USAGE_LIMIT = "usage_limit"


class Change(NamedTuple):
    """One change towards being allowed: `amount` more units to this balance (where `flag`, the flag itself), or its
    `windows` (as they stand) raised to a limit of `amount` more than they have counted."""

    kind: Kind
    key: BalanceKey
    amount: Decimal
    windows: tuple[Window, ...] = ()
    flag: bool = False


class Explanation(NamedTuple):
    """A decision, explained.

    - `reason`: of the feature that answers. `answering`, `required`: that feature, and what was asked of it.
    - `features`: in the order in which they are asked.
    - `changes`: what, done together, makes it allowed; empty where it is, or where nothing was found.
    - `most`: what a check would allow at most now; None: no limit.
    - `allowed_at`: the first instant (epoch ms) at which it is allowed by itself, if nothing else happens.
    """

    allowed: bool
    reason: Reason
    answering: str
    required: Decimal
    features: tuple[FeatureFound, ...]
    changes: tuple[Change, ...]
    most: Decimal | None
    allowed_at: int | None
    now: int


def explain(request: UseRequest, stored: Balances, now: int, *, counts: bool = False) -> Explanation:
    """Explains what a check of `request` is answered at `now` (epoch ms); with `counts`, one that counts the use in the
    same step, as its `overage` says.

    `stored` are all balances of the customer, as they are stored: those that have lapsed are told too.
    """
    stored = {key: balance for key, balance in stored.items() if key.feature_id in request.feature_ids}
    balances = all_as_of(stored, now)
    answer = check(request, balances)
    allowed = _allowed(request, balances, now, counts=counts)
    return Explanation(
        allowed,
        _reason(request, answer, balances, allowed=allowed),
        answer.feature_id,
        answer.required,
        tuple(_features(request, stored, balances, now, counts=counts)),
        () if allowed else _changes(request, balances, now, counts=counts),
        _most(request, balances),
        None if allowed else _allowed_at(request, stored, now, counts=counts),
        now,
    )


def _allowed(request: UseRequest, balances: Balances, now: int, *, counts: bool) -> bool:
    if not counts or request.feature.type.is_flag:
        return check(request, balances).allowed
    nothing_of_nothing = request.amount <= 0 and not has_payer(request, balances)  # autumn.md 2.6
    return nothing_of_nothing or use(request, balances, now).allowed


def _reason(request: UseRequest, answer: Check, balances: Balances, *, allowed: bool) -> Reason:
    if answer.allowed == allowed:
        return answer.reason
    if not has_payer(request, balances):
        return Reason.NOTHING_ASKED
    return Reason.TOGETHER if request.overage is Overage.REJECT else Reason.OVERAGE_BEHAVIOR


# ------------------------------------------------------------------ what there is


def _features(
    request: UseRequest, stored: Balances, balances: Balances, now: int, *, counts: bool
) -> Iterator[FeatureFound]:
    """The feature and its credit pools, in the order in which they are asked."""
    takes: dict[tuple[str, str], Decimal] = {}
    if request.amount > 0 and not request.feature.type.is_flag and _allowed(request, balances, now, counts=counts):
        for moved in use(request, balances, now).deductions:
            takes[moved.feature_id, moved.grant.id] = moved.value
    for feature_id in request.feature_ids:
        cost = request.cost(feature_id)
        required = converted(request.amount, cost)
        limits = limits_of(feature_id, request.entity_id, balances)
        spending = spend_scope(feature_id, request.entity_id, balances)
        grants = payable(feature_id, request.entity_id, balances, request.properties)
        endless = any(grant.unlimited for grant in grants)
        key = windows_key(feature_id, request.entity_id, balances)
        yield FeatureFound(
            feature_id,
            cost,
            required,
            verdict(feature_id, request.entity_id, required, request.properties, balances),
            tuple(_grants(feature_id, request, stored, balances, takes)),
            tuple(_windows(key, limits.windows, request, required, endless=endless)),
            limits.spend and (limits.spend, spend_room(limits, spending)),
            limits.overage_allowed,
            None if endless else totals(grants).remaining,
            None if endless else overage_room(grants, limits, spending),
        )


def _windows(
    key: BalanceKey, windows: tuple[Window, ...], request: UseRequest, required: Decimal, *, endless: bool
) -> Iterator[WindowFound]:
    for window in windows:
        matches = window.matches(request.properties) and not endless  # autumn.md 3.7
        yield WindowFound(key, window, matches, matches and _short(window, required))


def _short(window: Window, required: Decimal) -> bool:
    return required >= 0 and window.limit - window.used < required


def _grants(
    feature_id: str,
    request: UseRequest,
    stored: Balances,
    balances: Balances,
    takes: Mapping[tuple[str, str], Decimal],
) -> Iterator[GrantFound]:
    """The grants of one feature: those of the balances that answer, in their order; then what cannot be drawn."""
    cap_of = overage_cap(limits_of(feature_id, request.entity_id, balances))
    others: list[GrantFound] = []
    sources = sources_of(feature_id, (), request.entity_id, balances, request.properties)
    for source in sources:
        for grant in balances[source.key].grants:
            state = _state(source, grant)
            if state not in (State.AVAILABLE, State.UNLIMITED, State.USED_UP):
                others.append(GrantFound(source.key, grant, state))
                continue
            cap = None if grant.unlimited else cap_of(grant)
            yield GrantFound(
                source.key,
                grant,
                state,
                None if grant.unlimited else max(ZERO, grant.remaining) + grant.rolled,
                None if cap is None else max(ZERO, cap - grant.overdrawn),
                takes.get((feature_id, grant.id), ZERO),
            )
    asked = {source.key for source in sources}
    for key in sorted(key for key in balances if key.feature_id == feature_id and key not in asked):
        others += _unasked(request, balances[key])
    yield from others
    for key, balance in sorted(stored.items()):
        if key.feature_id == feature_id and key.entity_id in ("", request.entity_id):
            live = {grant.id for grant in balances[key].grants}
            for grant in apply_spent(balance):
                if grant.id not in live:
                    yield GrantFound(key, grant, State.LAPSED)


def _state(source: Source, grant: Grant) -> State:
    """What stands between a use and the units of a grant, whose balance answers."""
    if grant.starts_at is not None:
        return State.NOT_STARTED
    if source.shares_only and not grant.entity_share:
        return State.ENTITY_ONLY
    if not source.may(grant):
        return State.NOT_MATCHED
    if grant.unlimited:
        return State.UNLIMITED
    return State.AVAILABLE if grant.remaining > 0 or grant.rolled > 0 else State.USED_UP


def _unasked(request: UseRequest, balance: Balance) -> Iterator[GrantFound]:
    """The grants of a balance that does not pay: a flag's, or one that is not shared. Other entities' are none of an
    entity's business."""
    owner = balance.key.entity_id
    if owner not in ("", request.entity_id):
        if request.entity_id:
            return
        state = State.ENTITY_ONLY
    elif balance.unpooled and owner != request.entity_id:
        state = State.NOT_POOLED
    else:
        state = State.AVAILABLE
    for grant in balance.grants:
        started = grant.starts_at is None
        gives = None if started and state is State.AVAILABLE else ZERO
        yield GrantFound(balance.key, grant, state if started else State.NOT_STARTED, gives)


# ------------------------------------------------------------------ what would make it allowed


def _changes(request: UseRequest, balances: Balances, now: int, *, counts: bool) -> tuple[Change, ...]:
    """What, done together, makes it allowed: each time, what the decision stumbles over is mended, and it is asked
    again."""
    changes: list[Change] = []
    for _ in range(_MOST_CHANGES):
        change = _change(request, balances)
        if change is None:
            return ()
        changes.append(change)
        balances = changed(balances, change)
        if _allowed(request, balances, now, counts=counts):
            return tuple(changes)
    return ()


def _change(request: UseRequest, balances: Balances) -> Change | None:
    answer = check(request, balances)
    if answer.allowed:
        return None
    feature_id, required, entity_id = answer.feature_id, answer.required, request.entity_id
    if not is_granted(feature_id, entity_id, balances):
        feature_id, required = request.feature.id, request.amount  # rather the feature itself than a credit pool
    limits = limits_of(feature_id, entity_id, balances)
    if answer.reason is Reason.USAGE_LIMIT:
        windows = _short_windows(limits.windows, request, required)
        if not windows:  # it is the member's own limit that a credit pool is held by
            feature_id, required = request.feature.id, request.amount
            windows = _short_windows(limits_of(feature_id, entity_id, balances).windows, request, required)
        return Change(Kind.USAGE_LIMIT, windows_key(feature_id, entity_id, balances), required, windows)
    grants = payable(feature_id, entity_id, balances, request.properties)
    room = overage_room(grants, limits, spend_scope(feature_id, entity_id, balances))
    missing = required - totals(grants).remaining - (room or ZERO)
    flag = feature_id == request.feature.id and request.feature.type.is_flag
    return Change(Kind.GRANT, BalanceKey(feature_id, entity_id), max(ZERO, missing), flag=flag)


def _short_windows(windows: tuple[Window, ...], request: UseRequest, required: Decimal) -> tuple[Window, ...]:
    return tuple(window for window in windows if window.matches(request.properties) and _short(window, required))


def changed(balances: Balances, change: Change) -> dict[BalanceKey, Balance]:
    """The balances, as of an instant, after a change."""
    balance = balances.get(change.key, Balance(change.key, flag=change.flag))
    if change.kind is Kind.GRANT:
        grant = Grant(f"+{len(balance.grants)}", None, None, granted=change.amount, created_at=FOREVER)
        balance = balance._replace(grants=(*balance.grants, grant))
    else:
        windows = tuple(
            window._replace(limit=window.used + change.amount) if window in change.windows else window
            for window in balance.limits.windows
        )
        balance = balance._replace(limits=balance.limits._replace(windows=windows))
    return {**balances, change.key: recomputed(balance)}


def _most(request: UseRequest, balances: Balances) -> Decimal | None:
    """What a check would allow at most now: what the feature, or the best of its credit pools, could cover."""
    rooms = [_room(request, feature_id, balances) for feature_id in request.feature_ids]
    if None in rooms:
        return None
    known = sorted((room for room in rooms if room), reverse=True)
    amounts = (amount for room in known for amount in (room, room - _STEP))  # what a pool charges is rounded
    return next((amount for amount in amounts if check(request._replace(amount=amount), balances).allowed), ZERO)


def _room(request: UseRequest, feature_id: str, balances: Balances) -> Decimal | None:
    """What one feature could cover, in units of what is asked; None: no limit."""
    entity_id = request.entity_id
    reason = verdict(feature_id, entity_id, ZERO, request.properties, balances)
    if reason in (Reason.FLAG, Reason.NOT_GRANTED, Reason.NOT_MATCHED):
        return None if reason is Reason.FLAG else ZERO
    limits = limits_of(feature_id, entity_id, balances)
    rooms: list[Decimal] = []
    if reason is not Reason.UNLIMITED:
        grants = payable(feature_id, entity_id, balances, request.properties)
        overage = overage_room(grants, limits, spend_scope(feature_id, entity_id, balances))
        windows = [w.limit - w.used for w in limits.windows if w.matches(request.properties)]
        rooms += windows if overage is None else [totals(grants).remaining + overage, *windows]
        rooms = [unconverted(room, request.cost(feature_id)) for room in rooms]
    if feature_id != request.feature.id:  # a usage limit of a member counts where a pool pays, too
        own = limits_of(request.feature.id, entity_id, balances).windows
        rooms += [window.limit - window.used for window in own if window.matches(request.properties)]
    return max(ZERO, min(rooms)) if rooms else None


def _allowed_at(request: UseRequest, stored: Balances, now: int, *, counts: bool) -> int | None:
    """The first instant after `now` at which it is allowed, if nothing else happens; None where none is near."""
    balances = all_as_of(stored, now)
    for _ in range(_MOST_INSTANTS):
        now = min((moment for moment in _moments(balances) if moment > now), default=FOREVER)
        if now == FOREVER:
            return None
        balances = {key: as_of(balance, now) for key, balance in stored.items()}
        if _allowed(request, balances, now, counts=counts):
            return now
    return None


def _moments(balances: Balances) -> Iterator[int]:
    """The instants at which something changes by itself."""
    for balance in balances.values():
        yield from (grant.changes_at for grant in balance.grants)
        yield from (hold.expires_at for hold in balance.holds)
        yield from (window.ends_at for window in balance.limits.windows)
