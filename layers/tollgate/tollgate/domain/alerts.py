"""Which limits are reached and which thresholds are passed by given balances.

There are three kinds: limits (a check of the smallest use is denied), thresholds (`limits.Alert`: stated by a customer,
an entity or a plan, and carried by each balance that they apply to), and a feature's own thresholds (`FeatureAlerts`,
in the catalog). A write raises an alert for what holds after it and did not hold before it; `usecases/alerts.py` says
how that is decided where several balances count together. `spent` is applied to all balances here
(`changes.as_written`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances
from tollgate.domain.decisions import UseRequest, check, limits_of
from tollgate.domain.drawing import overage_cap, totals
from tollgate.domain.features import Feature, Pool
from tollgate.domain.grants import Grant
from tollgate.domain.limits import Alert, Basis, Limits, Threshold, Window
from tollgate.domain.quantities import ZERO
from tollgate.domain.top_ups import TopUp

EPSILON = Decimal("1e-7")  # the smallest use, in units of the feature (autumn.md 7.1)
_USAGE = (Threshold.USAGE, Threshold.USAGE_PERCENTAGE)
_PERCENTAGE = (Threshold.USAGE_PERCENTAGE, Threshold.REMAINING_PERCENTAGE)


class LimitType(StrEnum):
    """The kinds of limits that can be reached."""

    INCLUDED = "included"
    MAX_PURCHASE = "max_purchase"
    SPEND_LIMIT = "spend_limit"
    USAGE_LIMIT = "usage_limit"


class Reached(NamedTuple):
    """A limit that denies a check of the smallest use. `filter`: the properties (name, value) that a usage limit
    applies to.
    """

    type: LimitType
    filter: tuple[tuple[str, str], ...] = ()


class Passed(NamedTuple):
    """A threshold that is passed. `value`: the number that was compared with it, in units or in percent."""

    alert: Alert
    value: Decimal


# ------------------------------------------------------------------ limits reached


def windows_reached(before: Balance | None, after: Balance | None) -> Iterator[Reached]:
    """The usage limits of a balance that allowed the smallest use before a write, and do not after it."""
    old_windows = _windows(before)
    for window in _windows(after):
        old = next((w for w in old_windows if _same(w, window)), None)
        if window.room < EPSILON and old is not None and old.room >= EPSILON:
            yield Reached(LimitType.USAGE_LIMIT, window.filter)


def is_closed(balance: Balance | None) -> bool:
    """Whether a usage limit of the balance denies every use, whatever its properties."""
    return any(window.room < EPSILON and not window.filter for window in _windows(balance))


def reached(feature: Feature, pools: Sequence[Pool], entity_id: str, balances: Balances) -> Reached | None:
    """The limit that denies a customer, or its entity, the smallest use of a feature; None where the use is allowed.

    Usage limits are left out. `pools`: the credit systems that pay for the feature.
    """
    own = balances.get(BalanceKey(feature.id, entity_id))
    if own is not None and _pays_alone(own):
        return None
    open_balances = _windowless(balances)
    if check(UseRequest(feature, pools, entity_id, EPSILON), open_balances).allowed:
        return None
    ids = {feature.id, *(pool.feature_id for pool in pools)}
    found = LimitType.INCLUDED
    for id in sorted(ids):
        limits = limits_of(id, entity_id, open_balances)
        cap_of = overage_cap(limits)
        if any(cap_of(grant) != 0 for balance in _of(id, open_balances) for grant in balance.live_grants):
            found = LimitType.SPEND_LIMIT if limits.spend else LimitType.MAX_PURCHASE
    return Reached(found)


def _pays_alone(balance: Balance) -> bool:
    """Whether one grant of the balance covers the smallest use whatever its properties, so that a check needs no other
    balance.
    """
    return any(
        grant.starts_at is None and not grant.filters and (grant.unlimited or grant.remaining >= EPSILON)
        for grant in balance.grants
    )


def _windows(balance: Balance | None) -> Sequence[Window]:
    """The usage limits of a balance; none where it is unlimited."""
    if balance is None or not balance.limits.windows or any(grant.unlimited for grant in balance.live_grants):
        return ()
    return balance.limits.windows


def _same(one: Window, other: Window) -> bool:
    return (one.interval, one.anchor, one.filter) == (other.interval, other.anchor, other.filter)


def _windowless(balances: Balances) -> Balances:
    return {
        key: balance._replace(limits=balance.limits._replace(windows=())) if balance.limits.windows else balance
        for key, balance in balances.items()
    }


def _of(feature_id: str, balances: Balances) -> list[Balance]:
    return [balance for key, balance in balances.items() if key.feature_id == feature_id]


# ------------------------------------------------------------------ thresholds


def crossed(key: BalanceKey, before: Balances, after: Balances) -> Iterator[Passed]:
    """The thresholds of a customer's or an entity's balance that are passed after a write and were not before it
    (autumn.md 7.1).
    """
    earlier = {alert for alert, passed in thresholds(key, before) if passed is None}
    yield from (passed for alert, passed in thresholds(key, after) if passed is not None and alert in earlier)


def thresholds(key: BalanceKey, balances: Balances) -> Iterator[tuple[Alert, Passed | None]]:
    """Each threshold of the balance with this key, with its number where it is passed, else with None.

    A customer's thresholds measure all balances of the feature, those of its entities too; an entity's measure the
    entity's own. Thresholds without a number to compare (nothing is granted, or it is unlimited) are left out.
    """
    watching = balances.get(key)
    for alert in watching.limits.alerts if watching else ():
        number = _measured(alert, grants_at(key, balances), _limits(key, balances))
        if number is not None:
            over = number >= alert.threshold if alert.type in _USAGE else number <= alert.threshold
            yield alert, Passed(alert, number) if over else None


def grants_at(key: BalanceKey, balances: Balances) -> list[Grant]:
    """The grants that the thresholds of the balance with this key measure."""
    if key.entity_id:
        return list(balances[key].live_grants) if key in balances else []
    return [grant for balance in _of(key.feature_id, balances) for grant in balance.live_grants]


def _limits(key: BalanceKey, balances: Balances) -> Limits:
    return balances[key].limits if key in balances else Limits()


def _measured(alert: Alert, grants: Sequence[Grant], limits: Limits) -> Decimal | None:
    """The number that the alert's threshold is compared with; None where there is none."""
    sums = totals(grants)
    if sums.unlimited or not grants:
        return None
    granted, remaining, usage = sums.granted, sums.remaining, sums.usage
    if alert.basis is Basis.INCLUDED:
        granted = sum((grant.granted + grant.adjustment for grant in grants), ZERO)
        remaining = max(ZERO, granted - usage)
    elif alert.basis is Basis.RECURRING:
        sums = totals(grant for grant in grants if grant.next_reset_at is not None)
        granted, remaining, usage = sums.granted, sums.remaining, sums.usage
    elif alert.basis is Basis.USAGE_LIMIT:
        window = next(iter(limits.windows), None)
        if window is None:
            return None
        granted, remaining, usage = window.limit, window.room, window.used
    number = usage if alert.type in _USAGE else remaining
    if alert.type in _PERCENTAGE:
        return number * 100 / granted if granted > 0 else None
    return number


def left_at(key: BalanceKey, balances: Balances) -> Decimal | None:
    """The units that are left of a customer's feature, its entities' too; below zero where it is overdrawn. None where
    nothing is granted, or it is unlimited.
    """
    grants = grants_at(key, balances)
    sums = totals(grants)
    if sums.unlimited or not grants:
        return None
    return sums.remaining - sum((grant.overdrawn for grant in grants), ZERO)


# ------------------------------------------------------------------ a feature's own


class State(StrEnum):
    """The state of a feature for a customer: that of the most severe of the feature's own thresholds that applies
    (flexprice.md 3).
    """

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    IN_ALARM = "in_alarm"


class FeatureAlerts(NamedTuple):
    """A feature's own thresholds on the remaining units, the most severe first.

    Each level is (state, threshold, above): it applies where the remaining units are at or above the threshold, or,
    where not `above`, at or below it.
    """

    levels: tuple[tuple[State, Decimal, bool], ...]

    def state(self, grants: Iterable[Grant]) -> tuple[State, Decimal]:
        """The state that follows from these grants, and their remaining units: below zero where they are overdrawn."""
        grants = list(grants)
        sums = totals(grants)
        if sums.unlimited:
            return State.OK, ZERO
        remaining = sums.remaining - sum((grant.overdrawn for grant in grants), ZERO)
        for state, threshold, above in self.levels:
            if remaining >= threshold if above else remaining <= threshold:
                return state, remaining
        return State.OK, remaining


def feature_alerts(extra: Mapping[str, Any]) -> FeatureAlerts | None:
    """The thresholds in a feature's `alert_settings`; None where there are none, or they are not enabled."""
    settings = extra.get("alert_settings")
    if not settings or not settings.get("alert_enabled"):
        return None
    levels = []
    for name, state in (("critical", State.IN_ALARM), ("warning", State.WARNING), ("info", State.INFO)):
        level = settings.get(name)
        if level:
            try:
                levels.append((state, Decimal(str(level["threshold"])), level.get("condition") == "above"))
            except InvalidOperation:
                continue
    return FeatureAlerts(tuple(levels)) if levels else None


# ------------------------------------------------------------------ alerts that are raised


class LimitAlert(NamedTuple):
    """The customer (`entity_id` None) or an entity has reached a limit of the feature."""

    feature_id: str
    entity_id: str | None
    reached: Reached


class ThresholdAlert(NamedTuple):
    """A threshold of the customer (`entity_id` None) or of an entity is passed."""

    feature_id: str
    entity_id: str | None
    passed: Passed


class StateAlert(NamedTuple):
    """The state of a feature's own thresholds has changed for the customer.

    - `value`: the remaining units.
    - `level`: the threshold that applies now, and whether the state applies `above` it; None in the state `ok`.
    """

    feature_id: str
    state: State
    value: Decimal
    level: tuple[Decimal, bool] | None


class TopUpAlert(NamedTuple):
    """A customer's balance of the feature is low and is to be topped up, or cannot be for its purchase limit (`blocked`).

    `remaining`: the units that are left, of the customer and its entities; below zero where it is overdrawn.
    """

    feature_id: str
    top_up: TopUp
    remaining: Decimal
    blocked: bool


RaisedAlert = LimitAlert | ThresholdAlert | StateAlert | TopUpAlert
