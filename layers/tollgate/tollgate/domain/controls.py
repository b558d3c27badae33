"""Billing controls as customers, entities and plans state them, and the limits of one feature that follow from them.

A customer's control of a feature takes precedence over its plans', an entity's over the customer's. Where several plans
state a spend limit, the lowest applies (autumn.md 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tollgate.domain.limits import Alert, Basis, Limits, SpendLimit, Threshold, Window, window_end
from tollgate.domain.periods import Interval
from tollgate.domain.quantities import ZERO
from tollgate.domain.top_ups import TopUp


@dataclass(frozen=True, slots=True)
class SpendControl:
    """A spend limit, in units or percent. Without a feature, it applies to every feature that has no control of its
    own.
    """

    feature_id: str | None = None
    enabled: bool = True
    percentage: bool = False
    limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class UsageControl:
    """At most `limit` units in each window: calendar windows where `utc`, else windows of the billing cycle."""

    feature_id: str
    limit: Decimal
    interval: Interval
    enabled: bool = True
    utc: bool = False
    filter: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OverageControl:
    """Whether a feature may be overdrawn."""

    feature_id: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AlertControl:
    """A threshold to alert on; `data` holds its fields as they were sent."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TopUpControl:
    """Whether a feature is topped up by itself, and how; of customers and plans alone."""

    feature_id: str
    top_up: TopUp
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Controls:
    """All controls that one customer, entity or plan states."""

    spend: tuple[SpendControl, ...] = ()
    usage: tuple[UsageControl, ...] = ()
    overage: tuple[OverageControl, ...] = ()
    alerts: tuple[AlertControl, ...] = ()
    top_ups: tuple[TopUpControl, ...] = ()

    def features(self) -> set[str]:
        """The ids of the features with an enabled usage limit: each needs a balance that counts its uses."""
        return {control.feature_id for control in self.usage if control.enabled}

    def named(self) -> set[str]:
        """The ids of the features that a limit, an overage, an alert or a top-up names."""
        general = (
            (control.feature_id for control in self.spend),
            (control.data.get("feature_id") for control in self.alerts),
        )
        named = {id for ids in general for id in ids if id is not None}  # of a control of all features it is None
        named.update(control.feature_id for control in self.usage)
        named.update(control.feature_id for control in self.overage)
        return named.union(control.feature_id for control in self.top_ups)

    def rules_overage_of(self, feature_id: str) -> bool:
        """Whether a control says how far this feature may be overdrawn."""
        named = {*(control.feature_id for control in self.spend), *(control.feature_id for control in self.overage)}
        return None in named or feature_id in named


NO_CONTROLS = Controls()


def usage_controls(feature_id: str, first: Controls, plans: Sequence[Controls] = ()) -> tuple[UsageControl, ...]:
    """The enabled usage limits of a feature: those that `first` (a customer or an entity) states, else its plans'."""
    own = [control for control in first.usage if control.feature_id == feature_id]
    found = own or [control for plan in plans for control in plan.usage if control.feature_id == feature_id]
    return tuple(control for control in found if control.enabled)


def limits_for(
    feature_id: str, first: Controls, plans: Sequence[Controls], anchor: int, known: Sequence[Window], now: int
) -> Limits:
    """The limits of one feature that follow from a customer's or entity's controls (`first`) and its plans'.

    Windows of the billing cycle are counted from `anchor` (epoch ms). A window that is among `known` already keeps its
    count; one that is not asked for is kept, paused, until it ends.
    """
    overage = next((c.enabled for c in first.overage if c.feature_id == feature_id), None)
    if overage is None:
        overage = next((c.enabled for plan in plans for c in plan.overage if c.feature_id == feature_id), None)
    counted = {(window.interval, window.anchor is None, window.filter): window.at(now) for window in known}
    windows = []
    for control in usage_controls(feature_id, first, plans):
        old = counted.pop((control.interval, control.utc, control.filter), None)
        base = None if control.utc else anchor
        ends_at = old.ends_at if old and old.anchor == base else window_end(control.interval, base, now)
        used = old.used if old else ZERO
        windows.append(Window(control.limit, control.interval, ends_at, base, control.filter, used))
    paused = tuple(window for window in counted.values() if window.used)
    return Limits(overage, _spend(feature_id, first, plans), tuple(windows), _alerts(feature_id, first, plans), paused)


def top_up_for(feature_id: str, customer: Controls, plans: Sequence[Controls]) -> TopUp | None:
    """How a customer's balance of a feature is topped up: as the customer says, else as its newest plan that says so;
    None where it is not, or is switched off (autumn.md 7.3). `plans`: the oldest first.
    """
    for stated, of_plan in ((customer, False), *((plan, True) for plan in reversed(plans))):
        for control in stated.top_ups:
            if control.feature_id == feature_id:
                return control.top_up._replace(of_plan=of_plan) if control.enabled else None
    return None


def _alerts(feature_id: str, first: Controls, plans: Sequence[Controls]) -> tuple[Alert, ...]:
    """The thresholds of a feature: those that `first` states, where it states any, else its plans' (autumn.md 7.1)."""
    own = [control.data for control in first.alerts if control.data.get("feature_id") in (None, feature_id)]
    stated = own or [
        control.data
        for plan in plans
        for control in plan.alerts
        if control.data.get("feature_id") in (None, feature_id)
    ]
    return tuple(
        Alert(
            Threshold(data["threshold_type"]),
            Decimal(data["threshold"]),
            Basis(data.get("basis") or Basis.BALANCE),
            data.get("name"),
            not own,
        )
        for data in stated
        if data.get("enabled") is not False
    )


def _spend(feature_id: str, first: Controls, plans: Sequence[Controls]) -> SpendLimit | None:
    own = _spend_control(feature_id, first)
    if own is not None:
        return SpendLimit(own.limit, own.percentage) if own.enabled and own.limit is not None else None
    found = [control for plan in plans if (control := _spend_control(feature_id, plan))]
    limits = [SpendLimit(c.limit, c.percentage) for c in found if c.enabled and c.limit is not None]
    return min(limits, key=lambda limit: limit.limit, default=None)


def _spend_control(feature_id: str, controls: Controls) -> SpendControl | None:
    general = [control for control in controls.spend if control.feature_id is None]
    return next(iter([c for c in controls.spend if c.feature_id == feature_id] or general), None)
