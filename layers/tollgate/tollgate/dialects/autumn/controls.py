"""Billing controls on the wire, in both directions (autumn.md 1.2.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from tollgate.dialects.autumn.fields import Id, Number, Params, Whole
from tollgate.domain.balances import BalanceKey, Balances
from tollgate.domain.controls import (
    AlertControl,
    Controls,
    OverageControl,
    SpendControl,
    TopUpControl,
    UsageControl,
)
from tollgate.domain.customers import Holdings
from tollgate.domain.limits import NO_LIMITS
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.quantities import ZERO
from tollgate.domain.top_ups import PurchaseLimit, TopUp, TopUpState, counted
from tollgate.exact_json import dumps

# What is stated here lies in every balance item that it bounds, and is read and written with each use.
MAX_CONTROLS = 50
MAX_ALERTS = 20
MAX_NAME = 100
MAX_FILTER_BYTES = 500  # as JSON


class SpendLimitParams(Params):
    """How many units of overage are allowed.

    Without a `feature_id` the limit holds for each feature that has none of its own.
    """

    feature_id: Id | None = None
    enabled: bool | None = None
    limit_type: Literal["absolute", "usage_percentage"] | None = None
    overage_limit: Number | None = None
    skip_overage_billing: bool | None = None


def _filter(value: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
    if len(dumps(value)) > MAX_FILTER_BYTES:
        raise PydanticCustomError("filter", f"must be at most {MAX_FILTER_BYTES} bytes as JSON")
    return value


class FilterParams(Params):
    """The properties that a use must have to count towards a usage limit."""

    properties: Annotated[dict[str, str | int | bool], AfterValidator(_filter)]


class UsageLimitParams(Params):
    """At most `limit` units of a feature in each interval."""

    feature_id: Id
    limit: Number
    interval: Literal["day", "week", "month", "year"]
    enabled: bool | None = None
    anchor: Literal["billing_cycle", "utc"] | None = None
    filter: FilterParams | None = None


class UsageAlertParams(Params):
    """A threshold: an alert is sent when usage, or what remains, crosses it."""

    later = ("filter",)

    threshold: Number
    threshold_type: Literal["usage", "usage_percentage", "remaining", "remaining_percentage"]
    feature_id: Id | None = None
    enabled: bool | None = None
    name: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None
    basis: Literal["balance", "included", "recurring", "usage_limit"] | None = None


class OverageAllowedParams(Params):
    """Whether a feature may be used beyond what was granted."""

    feature_id: Id
    enabled: bool | None = None


class PurchaseLimitParams(Params):
    """At most `limit` top-ups in each window of so many intervals."""

    later: ClassVar[tuple[str, ...]] = ("count",)

    interval: Literal["hour", "day", "week", "month"]
    limit: Annotated[Whole, Field(ge=1)]
    interval_count: Annotated[Whole, Field(ge=1)] | None = None

    def purchase_limit(self) -> PurchaseLimit:
        """The limit. Raises InvalidInput for windows of more than a hundred years."""
        window = Reset(Interval(self.interval), self.interval_count or 1)
        return PurchaseLimit(self.limit, window.interval, window.count)


class TopUpParams(Params):
    """When what remains falls to the threshold, so many units are asked for (autumn.md 7.3)."""

    feature_id: Id
    threshold: Number
    quantity: Annotated[Number, Field(ge=1)]
    enabled: bool | None = None
    purchase_limit: PurchaseLimitParams | None = None
    invoice_mode: bool | None = None

    def control(self) -> TopUpControl:
        """The control; off unless told."""
        limit = self.purchase_limit.purchase_limit() if self.purchase_limit else None
        top_up = TopUp(self.threshold, self.quantity, limit, self.invoice_mode or False)
        return TopUpControl(self.feature_id, top_up, self.enabled or False)


class CountedLimitParams(PurchaseLimitParams):
    """A customer's limit. `count`: how many were made in the window that runs."""

    later = ()

    count: Annotated[Whole, Field(ge=0)] | None = None


class CustomerTopUpParams(TopUpParams):
    """A customer's own top-up."""

    purchase_limit: CountedLimitParams | None = None


class EntityControlsParams(Params):
    """The billing controls of an entity, which is not topped up (autumn.md 1.2.6)."""

    later: ClassVar[tuple[str, ...]] = ("auto_topups", "balance_allocations")

    spend_limits: Annotated[list[SpendLimitParams], Field(max_length=MAX_CONTROLS)] | None = None
    usage_limits: Annotated[list[UsageLimitParams], Field(max_length=MAX_CONTROLS)] | None = None
    usage_alerts: Annotated[list[UsageAlertParams], Field(max_length=MAX_ALERTS)] | None = None
    overage_allowed: Annotated[list[OverageAllowedParams], Field(max_length=MAX_CONTROLS)] | None = None

    def applied(self, old: Controls) -> Controls:
        """The controls after this request: each kind that it names replaces the old one of that kind."""
        return Controls(
            old.spend if self.spend_limits is None else tuple(_spend(limit) for limit in self.spend_limits),
            old.usage if self.usage_limits is None else tuple(_usage(limit) for limit in self.usage_limits),
            old.overage
            if self.overage_allowed is None
            else tuple(OverageControl(c.feature_id, c.enabled is not False) for c in self.overage_allowed),
            old.alerts
            if self.usage_alerts is None
            else tuple(AlertControl(alert.model_dump(exclude_none=True)) for alert in self.usage_alerts),
            old.top_ups,
        )


class ControlsParams(EntityControlsParams):
    """The billing controls of a plan (autumn.md 1.2.6)."""

    later = ("balance_allocations",)

    auto_topups: Annotated[list[TopUpParams], Field(max_length=MAX_CONTROLS)] | None = None

    def applied(self, old: Controls) -> Controls:
        """The controls after this request: each kind that it names replaces the old one of that kind."""
        kept = super().applied(old)
        if self.auto_topups is None:
            return kept
        return replace(kept, top_ups=tuple(top_up.control() for top_up in self.auto_topups))


class CustomerControlsParams(EntityControlsParams):
    """The billing controls of a customer (autumn.md 1.2.6)."""

    later = ("balance_allocations",)

    auto_topups: Annotated[list[CustomerTopUpParams], Field(max_length=MAX_CONTROLS)] | None = None

    def applied_at(self, old: Controls, now: int) -> Controls:
        """The controls after this request at `now` (epoch ms). What was said of a count stays where none is said."""
        kept = self.applied(old)
        if self.auto_topups is None:
            return kept
        known = {control.feature_id: control for control in old.top_ups}
        stated = (_counted(params, known.get(params.feature_id), now) for params in self.auto_topups)
        return replace(kept, top_ups=tuple(stated))


def _counted(params: CustomerTopUpParams, old: TopUpControl | None, now: int) -> TopUpControl:
    control, said = params.control(), params.purchase_limit
    if said is None or control.top_up.purchase_limit is None:
        return control
    before = old.top_up.purchase_limit if old else None
    kept = before.said if before else None
    limit = control.top_up.purchase_limit._replace(said=kept if said.count is None else (said.count, now))
    return replace(control, top_up=control.top_up._replace(purchase_limit=limit))


def _spend(params: SpendLimitParams) -> SpendControl:
    percentage = params.limit_type == "usage_percentage"
    return SpendControl(params.feature_id, params.enabled is not False, percentage, params.overage_limit)


def _usage(params: UsageLimitParams) -> UsageControl:
    pairs = params.filter.properties.items() if params.filter else ()
    text = tuple((name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in pairs)
    return UsageControl(
        params.feature_id,
        params.limit,
        Interval(params.interval),
        params.enabled is not False,
        params.anchor == "utc",
        tuple(sorted(text)),
    )


def controls_json(controls: Controls, source: str | None = None) -> dict[str, Any]:
    """Controls as they were set. With a `source` (`customer`, `plan`), each says where it comes from."""
    mark = {"source": source} if source else {}
    shown: dict[str, Any] = {}
    if controls.spend:
        shown["spend_limits"] = [
            {
                **({"feature_id": c.feature_id} if c.feature_id else {}),
                "enabled": c.enabled,
                "limit_type": "usage_percentage" if c.percentage else "absolute",
                **({} if c.limit is None else {"overage_limit": c.limit}),
                **mark,
            }
            for c in controls.spend
        ]
    if controls.usage:
        shown["usage_limits"] = [{**_usage_json(c), **mark} for c in controls.usage]
    if controls.overage:
        shown["overage_allowed"] = [
            {"feature_id": c.feature_id, "enabled": c.enabled, **mark} for c in controls.overage
        ]
    if controls.alerts:
        shown["usage_alerts"] = [{"enabled": True, **c.data, **mark} for c in controls.alerts]
    if controls.top_ups:
        shown["auto_topups"] = [{**_top_up_json(c), **mark} for c in controls.top_ups]
    return shown


def _top_up_json(control: TopUpControl) -> dict[str, Any]:
    top_up, limit = control.top_up, control.top_up.purchase_limit
    shown = {"feature_id": control.feature_id, "enabled": control.enabled}
    shown |= {"threshold": top_up.threshold, "quantity": top_up.quantity}
    if limit is not None:
        window = {"interval": limit.interval.value, "interval_count": limit.interval_count}
        shown["purchase_limit"] = {**window, "limit": limit.limit}
    return {**shown, **({"invoice_mode": True} if top_up.invoice_mode else {})}


def with_counts(shown: Mapping[str, Any], own: Controls, asked: Mapping[str, TopUpState], now: int) -> dict[str, Any]:
    """The controls in force, each top-up's limit with its `count` and the end of its window at `now` (ms), as `expand`
    asks for. `own`: the customer's; `asked`: what has been asked for, by feature.
    """
    said = {c.feature_id: c.top_up.purchase_limit.said for c in own.top_ups if c.top_up.purchase_limit}

    def counting(entry: dict[str, Any]) -> dict[str, Any]:
        window, feature_id = entry.get("purchase_limit"), entry["feature_id"]
        if window is None:
            return entry
        stated = said.get(feature_id) if entry["source"] == "customer" else None
        limit = PurchaseLimit(window["limit"], Interval(window["interval"]), window["interval_count"], stated)
        count, end = counted(asked.get(feature_id, TopUpState()), limit, now)
        return {**entry, "purchase_limit": {**window, "count": count, "next_reset_at": end}}

    top_ups = [counting(entry) for entry in shown.get("auto_topups", ())]
    return {**shown, **({"auto_topups": top_ups} if top_ups else {})}


def _usage_json(control: UsageControl) -> dict[str, Any]:
    return {
        "feature_id": control.feature_id,
        "limit": control.limit,
        "interval": control.interval.value,
        "enabled": control.enabled,
        "anchor": "utc" if control.utc else "billing_cycle",
        **({"filter": {"properties": dict(control.filter)}} if control.filter else {}),
    }


def effective_json(holdings: Holdings, balances: Balances, entity_id: str, now: int) -> dict[str, Any]:
    """The controls in force at `now` (ms) for a customer, or for the entity that is named.

    They are its own, and its plans' for what it has not set itself. Usage limits show how much of them was used.
    """
    own = holdings.entities[entity_id].controls if entity_id else holdings.customer.controls
    plans = [held.controls for held in holdings.active(now, entity_id or None)]
    shown = controls_json(own, "customer")
    for name, found in _inherited(own, plans).items():
        if name == "auto_topups":  # of a customer alone, and its newest plan's
            found = [] if entity_id else list({entry["feature_id"]: entry for entry in found}.values())
        if found:
            shown[name] = [*shown.get(name, ()), *found]
    for limit in shown.get("usage_limits", ()):
        limit["usage"] = _used(balances, BalanceKey(limit["feature_id"], entity_id), limit)
    return shown


def _inherited(own: Controls, plans: Sequence[Controls]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    mine: dict[str, set[Any]] = {
        "spend_limits": {c.feature_id for c in own.spend},
        "usage_limits": {c.feature_id for c in own.usage},
        "overage_allowed": {c.feature_id for c in own.overage},
        "usage_alerts": {c.data.get("feature_id") for c in own.alerts},
        "auto_topups": {c.feature_id for c in own.top_ups},
    }
    for plan in plans:
        for name, entries in controls_json(plan, "plan").items():
            kept = [entry for entry in entries if entry.get("feature_id") not in mine[name]]
            found[name] = [*found.get(name, []), *kept]
    return found


def _used(balances: Balances, key: BalanceKey, limit: dict[str, Any]) -> Any:
    filter = tuple(sorted(limit.get("filter", {}).get("properties", {}).items()))
    limits = balances[key].limits if key in balances else NO_LIMITS
    for window in (*limits.windows, *limits.paused):
        if window.interval == limit["interval"] and window.filter == filter:
            return window.used
    return ZERO
