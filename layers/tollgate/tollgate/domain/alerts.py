"""When to warn: a limit that is reached, and thresholds that are passed.

Which thresholds an item watches is resolved where its limits are (`controls.limits_for`); a feature's own
(`FeatureAlerts`) are the catalog's. Here is what stands at balances, and what a write changed of it: a balance as it stood
before a write and after it says what the write alone crossed. Where several balances count together, the others are only
known as they are when the write is told, and what was told last says whether something was crossed (`usecases/telling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

from tollgate.domain.balances import Balance, BalanceKey, Balances, apply_spent
from tollgate.domain.decisions import UseRequest, check, limits_of
from tollgate.domain.drawing import overage_cap, totals
from tollgate.domain.features import Feature, Pool
from tollgate.domain.grants import Grant
from tollgate.domain.limits import Alert, Basis, Limits, Threshold, Window
from tollgate.domain.quantities import ZERO

EPSILON = Decimal("1e-7")  # the least use there is (autumn.md 7.1)
_USAGE = (Threshold.USAGE, Threshold.USAGE_PERCENTAGE)
_PERCENTAGE = (Threshold.USAGE_PERCENTAGE, Threshold.REMAINING_PERCENTAGE)


class LimitType(StrEnum):
    INCLUDED = "included"
    MAX_PURCHASE = "max_purchase"
    SPEND_LIMIT = "spend_limit"
    USAGE_LIMIT = "usage_limit"


class Reached(NamedTuple):
    """A limit that denies a check of the least use. `filter`: of a usage limit."""

    type: LimitType
    filter: tuple[tuple[str, str], ...] = ()


class Passed(NamedTuple):
    """A threshold that is passed, and where the measured number stands."""

    alert: Alert
    value: Decimal


# ------------------------------------------------------------------ limits reached


def windows_reached(before: Balance | None, after: Balance | None) -> Iterator[Reached]:
    """The usage limits of an item that a write has reached."""
    old_windows = _windows(before)
    for window in _windows(after):
        old = next((w for w in old_windows if _same(w, window)), None)
        if window.room < EPSILON and old is not None and old.room >= EPSILON:
            yield Reached(LimitType.USAGE_LIMIT, window.filter)


def is_closed(balance: Balance | None) -> bool:
    """Whether a usage limit of this item lets no use through at all."""
    return any(window.room < EPSILON and not window.filter for window in _windows(balance))


def reached(feature: Feature, pools: Sequence[Pool], entity_id: str, balances: Balances) -> Reached | None:
    """What a customer (or an entity of it) has reached of what it may use, usage limits aside; None where it may use more."""
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


def _windows(balance: Balance | None) -> Sequence[Window]:
    if balance is None or any(grant.unlimited for grant in balance.live_grants):
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
    """The thresholds of this place that are passed after a write, and were not before it. Source: autumn.md 7.1."""
    earlier = {alert for alert, passed in standing(key, before) if passed is None}
    yield from (passed for alert, passed in standing(key, after) if passed is not None and alert in earlier)


def standing(key: BalanceKey, balances: Balances) -> Iterator[tuple[Alert, Passed | None]]:
    """The thresholds that this place watches, and of each whether it is passed: a customer's look at all its balances of
    the feature, its entities' among them, an entity's at the entity's own. What has no such number is left out."""
    subject = balances.get(key)
    for alert in subject.limits.alerts if subject else ():
        number = _measured(alert, grants_at(key, balances), _limits(key, balances))
        if number is not None:
            over = number >= alert.threshold if alert.type in _USAGE else number <= alert.threshold
            yield alert, Passed(alert, number) if over else None


def grants_at(key: BalanceKey, balances: Balances) -> list[Grant]:
    """The grants that a place's thresholds look at."""
    if key.entity_id:
        return list(balances[key].live_grants) if key in balances else []
    return [grant for balance in _of(key.feature_id, balances) for grant in balance.live_grants]


def _limits(key: BalanceKey, balances: Balances) -> Limits:
    return balances[key].limits if key in balances else Limits()


def _measured(alert: Alert, grants: Sequence[Grant], limits: Limits) -> Decimal | None:
    """What the alert's threshold is compared with; None where there is no such number."""
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


# ------------------------------------------------------------------ a feature's own


class State(StrEnum):
    """The most severe threshold that holds (flexprice.md 3)."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    IN_ALARM = "in_alarm"


class FeatureAlerts(NamedTuple):
    """Thresholds on what remains, the most severe first; `above` or `below`, each reached when it is equalled."""

    levels: tuple[tuple[State, Decimal, bool], ...]

    def state(self, grants: Iterable[Grant]) -> tuple[State, Decimal]:
        """The state at what these grants hold, and that."""
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


# ------------------------------------------------------------------ as it was written


def as_written(balance: Balance) -> Balance:
    """A balance as it was written, with what was spent settled into its grants."""
    return balance._replace(grants=apply_spent(balance), spent=ZERO, limits=_counted(balance))


def _counted(balance: Balance) -> Limits:
    if not balance.spent or any(grant.unlimited for grant in balance.live_grants):
        return balance.limits
    windows = tuple(window._replace(used=window.used + balance.spent) for window in balance.limits.windows)
    return balance.limits._replace(windows=windows)


# ------------------------------------------------------------------ what is told


class LimitWarning(NamedTuple):
    """Who (an entity, or None for the customer itself) has reached a limit of which feature."""

    feature_id: str
    entity_id: str | None
    reached: Reached


class ThresholdWarning(NamedTuple):
    """A threshold of the customer (None), or of an entity, that was crossed."""

    feature_id: str
    entity_id: str | None
    passed: Passed


class StateWarning(NamedTuple):
    """A feature's own thresholds have led to another state; `level` is the threshold that holds now, and whether above."""

    feature_id: str
    state: State
    value: Decimal
    level: tuple[Decimal, bool] | None


Warned = LimitWarning | ThresholdWarning | StateWarning
