"""The details of Tollgate's events on the bus, one model a detail-type. `docs/events/` holds their JSON Schemas.

Numbers are JSON numbers with all their digits; times are epoch milliseconds. `id` is the event's own: delivery is at
least once, and a repeat has the same id. Fields may be added; `version` changes where one changes its meaning.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from tollgate.dialects.fields import iso_ms
from tollgate.domain.ids import RULE, is_id
from tollgate.domain.quantities import quantity

Number = Annotated[Decimal, WithJsonSchema({"type": "number"})]
Millis = Annotated[int, Field(description="Epoch milliseconds.")]


def _id(value: str) -> str:
    if not is_id(value):
        raise ValueError(RULE)
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")
    return quantity(value, "value")


def _time(value: Any) -> int:
    if isinstance(value, str):
        return iso_ms(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be epoch milliseconds or ISO 8601")
    return value


class Model(BaseModel):
    """What all parts of an event share: no field but those that are named."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Reset(Model):
    """How often a grant resets, and when next."""

    interval: str
    interval_count: int
    resets_at: Millis | None


class Moved(Model):
    """What moved on one grant: above zero consumed, below zero given back."""

    balance_id: str
    feature_id: str
    plan_id: str | None
    subscription_id: str | None
    reset: Reset | None
    value: Number


class BalanceAfter(Model):
    """The balance as the write left it: of this feature, for this customer or this entity alone."""

    feature_id: str
    entity_id: str | None
    granted: Number
    remaining: Number
    usage: Number
    overage: Number
    unlimited: bool
    next_reset_at: Millis | None


class Cause(Model):
    """What did it: the use's id, and the key that sent it."""

    id: str
    key_id: str
    timestamp: Millis


class Grant(Model):
    """One grant of a balance as it stands."""

    balance_id: str
    plan_id: str | None
    subscription_id: str | None
    granted: Number
    remaining: Number
    usage: Number
    unlimited: bool
    next_reset_at: Millis | None
    expires_at: Millis | None


class Detail(Model):
    """What every event tells: its id, whose it is, and when it happened."""

    version: Literal[1] = 1
    id: str
    environment: Literal["sandbox", "live"]
    customer_id: str
    entity_id: str | None
    timestamp: Millis


class UsageRecorded(Detail):
    """A use was counted, or given back. `value` is what was asked for; `deducted` is what moved on this balance, in its
    units; `timestamp` is the use's own time. A use that moves several balances is one event for each, all with one
    `cause.id`; all but one say `part`."""

    feature_id: str
    value: Number
    deducted: Number
    part: bool
    properties: dict[str, Any]
    deductions: list[Moved]
    balance: BalanceAfter | None
    cause: Cause


class BalanceChanged(Detail):
    """`value`: the units in question; null where the grant has no number."""

    feature_id: str
    value: Number | None
    grant: Grant
    balance: BalanceAfter | None


class BalanceReset(BalanceChanged):
    """A grant's period ended (at `timestamp`) and the next began; `value` units are back."""


class BalanceGranted(BalanceChanged):
    """Units were granted: a new grant, or more of one."""


class BalanceLapsed(BalanceChanged):
    """A grant, or units that it had rolled over, ended; `value` of them were unused."""


class BalanceAdjusted(BalanceChanged):
    """What remains was set by hand; `value` is by how much it changed."""


class LimitReached(Detail):
    """A check would have been allowed before this use, and is denied after it."""

    feature_id: str
    limit_type: Literal["included", "max_purchase", "spend_limit", "usage_limit"]
    filter: dict[str, str] | None
    balance: BalanceAfter
    cause: Cause


class CrossedAlert(Model):
    """The threshold. `state` and `condition` are set for a feature's own thresholds (info, warning, critical)."""

    scope: Literal["customer", "entity", "plan", "feature"]
    name: str | None
    threshold: Number | None
    threshold_type: Literal["usage", "usage_percentage", "remaining", "remaining_percentage"]
    state: Literal["ok", "info", "warning", "in_alarm"] | None
    condition: Literal["above", "below"] | None


class AlertTriggered(Detail):
    """A threshold was crossed; `value` is where the measured number stands."""

    feature_id: str
    alert: CrossedAlert
    value: Number
    balance: BalanceAfter
    cause: Cause | None


class SubscriptionState(Model):
    """A subscription at one moment. `quantities` are units that were bought, by feature."""

    id: str
    plan_id: str
    plan_version: int
    add_on: bool
    started_at: Millis
    trial_ends_at: Millis | None
    canceled_at: Millis | None
    expires_at: Millis | None
    quantities: dict[str, Number]


class SubscriptionChanged(Detail):
    """A subscription as it is now, and as it was (null where it is new, is gone, or the clock alone did it: `timestamp` is
    the instant then)."""

    subscription: SubscriptionState
    previous: SubscriptionState | None


class HeldBalance(Model):
    """What a reservation drew from one balance, in its units."""

    feature_id: str
    entity_id: str | None
    held: Number


class ReservationChanged(Detail):
    """A reservation was made or has ended. `value` was asked for, `held` was drawn when it was made, `final` is what
    it came to (null while it is held), all in units of the feature. The uses themselves are `usage.recorded`."""

    feature_id: str
    lock_id: str
    value: Number
    held: Number
    final: Number | None
    balances: list[HeldBalance]
    properties: dict[str, Any]
    created_at: Millis
    expires_at: Millis
    cause: Cause


class UsageReported(Model):
    """What a producer puts on the bus under `usage.reported`, from any source: a use that has happened. It is
    counted in full, past any limit, once by its id (the event's own where there is none). Of `feature_id` and
    `event_name` one is given; without a `value`, the properties say how much it is."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, defer_build=True)

    environment: Literal["sandbox", "live"] = "live"
    customer_id: Annotated[str, AfterValidator(_id)]
    entity_id: Annotated[str, AfterValidator(_id)] | None = None
    feature_id: Annotated[str, AfterValidator(_id)] | None = None
    event_name: Annotated[str, AfterValidator(_id)] | None = None
    value: Annotated[Decimal, PlainValidator(_number), WithJsonSchema({"type": "number"})] | None = None
    properties: dict[str, Any] | None = None
    id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    time: (
        Annotated[
            int,
            PlainValidator(_time),
            WithJsonSchema({"type": ["integer", "string"], "description": "Epoch milliseconds, or ISO 8601."}),
        ]
        | None
    ) = None


class WebhookEvent(Model):
    """What every event about a webhook tells; `timestamp` is when it happened."""

    version: Literal[1] = 1
    id: str
    environment: Literal["sandbox", "live"]
    timestamp: Millis
    webhook_id: str


class WebhookDeliveryFailed(WebhookEvent):
    """A message was given up on after its last try: `status` is the answer's, or `error` says why there was none."""

    delivery_id: str
    type: str
    attempts: int
    status: int | None
    error: str | None


class WebhookPaused(WebhookEvent):
    """An address has taken nothing since `failing_since`, and is told of nothing more until it is updated."""

    url: str
    failing_since: Millis


REPORTED = "usage.reported"

MODELS: dict[str, type[Detail | WebhookEvent]] = {
    "usage.recorded": UsageRecorded,
    "balance.reset": BalanceReset,
    "balance.granted": BalanceGranted,
    "balance.lapsed": BalanceLapsed,
    "balance.adjusted": BalanceAdjusted,
    "balance.limit_reached": LimitReached,
    "balance.alert_triggered": AlertTriggered,
    **{
        f"subscription.{what}": SubscriptionChanged
        for what in ("started", "scheduled", "updated", "canceled", "uncanceled", "trial_ended", "ended")
    },
    **{f"reservation.{what}": ReservationChanged for what in ("held", "confirmed", "released", "expired")},
    "webhook.delivery_failed": WebhookDeliveryFailed,
    "webhook.paused": WebhookPaused,
}


def schema_of(detail_type: str) -> dict[str, Any]:
    """The JSON Schema of a detail."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"tollgate/{detail_type}/1",
        **(UsageReported if detail_type == REPORTED else MODELS[detail_type]).model_json_schema(),
        "title": detail_type,
    }
