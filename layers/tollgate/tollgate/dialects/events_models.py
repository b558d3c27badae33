"""The details of Tollgate's events on the bus, one shape a detail-type. `docs/events/` holds their JSON Schemas.

Numbers are JSON numbers with all their digits; times are epoch milliseconds. `id` is the event's own: delivery is at
least once, and a repeat has the same id. Fields may be added; `version` changes where one changes its meaning.

They are typed dictionaries: mypy holds what is told to them, a test what was told; the function that tells need not
load pydantic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:  # pydantic reads no older ones
    from typing_extensions import TypedDict


class Described(NamedTuple):
    """What a JSON Schema says of a type; pydantic asks it."""

    text: str

    def __get_pydantic_json_schema__(self, core: Any, schema: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**schema(core), "description": self.text}


Millis = Annotated[int, Described("Epoch milliseconds.")]
Number = Decimal


class Reset(TypedDict):
    """How often a grant resets, and when next."""

    interval: str
    interval_count: int
    resets_at: Millis | None


class Moved(TypedDict):
    """What moved on one grant: above zero consumed, below zero given back."""

    balance_id: str
    feature_id: str
    plan_id: str | None
    subscription_id: str | None
    reset: Reset | None
    value: Number


class BalanceAfter(TypedDict):
    """The balance as the write left it: of this feature, for this customer or this entity alone."""

    feature_id: str
    entity_id: str | None
    granted: Number
    remaining: Number
    usage: Number
    overage: Number
    unlimited: bool
    next_reset_at: Millis | None


class Cause(TypedDict):
    """What did it: the use's id, and the key that sent it."""

    id: str
    key_id: str
    timestamp: Millis


class Grant(TypedDict):
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


class Detail(TypedDict):
    """What every event tells: its id, whose it is, and when it happened."""

    version: Literal[1]
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


class CrossedAlert(TypedDict):
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


class PurchaseLimit(TypedDict):
    """At most `limit` top-ups in each window of so many intervals."""

    interval: str
    interval_count: int
    limit: int


class TopUpAsked(Detail):
    """Shared by both: `remaining` is what is left of the feature, of the customer and its entities; `cause` is null where
    the top-up was stated and no use did it."""

    feature_id: str
    quantity: Number
    threshold: Number
    remaining: Number
    invoice_mode: bool
    scope: Literal["customer", "plan"]
    purchase_limit: PurchaseLimit | None
    balance: BalanceAfter
    cause: Cause | None


class TopUpRequested(TopUpAsked):
    """A balance is at its threshold or below: `quantity` more units are asked for. Nothing was charged or granted: whoever
    hears this buys them and grants them. It is not asked for again before something is granted."""


class TopUpBlocked(TopUpAsked):
    """A balance is at its threshold or below, and the purchase limit of the window is used up. Told once in a window."""


class Cycle(TypedDict):
    """How long a billing cycle is."""

    interval: str
    interval_count: int


class SubscriptionState(TypedDict):
    """A subscription at one moment. `quantities` are units that were bought, by feature. `cycle` and the period that runs are
    null of one that does not recur or has ended; `lookup_key` and `currency` where nobody has said them."""

    id: str
    plan_id: str
    plan_version: int
    add_on: bool
    started_at: Millis
    trial_ends_at: Millis | None
    canceled_at: Millis | None
    expires_at: Millis | None
    quantities: dict[str, Number]
    cycle: Cycle | None
    current_period_start: Millis | None
    current_period_end: Millis | None
    lookup_key: str | None
    currency: str | None


class SubscriptionChanged(Detail):
    """A subscription as it is now, and as it was (null where it is new, is gone, or the clock alone did it: `timestamp` is
    the instant then)."""

    subscription: SubscriptionState
    previous: SubscriptionState | None


class HeldBalance(TypedDict):
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


class WebhookEvent(TypedDict):
    """What every event about a webhook tells; `timestamp` is when it happened."""

    version: Literal[1]
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


class ThingChanged(TypedDict):
    """One thing that a call has changed, as the management API and events show it: null where there was, or is, none."""

    type: Literal["feature", "plan", "api_key", "webhook", "customer", "entity", "subscription", "balance"]
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ApiCalled(TypedDict):
    """Somebody has changed something. `call`: what was called. `key_id`: with which API key; null where the change was made
    with access to the AWS account. `customer_id`: whose it is; null for what is the environment's. `omitted`: how many
    changes are left out, because all would be more than an event holds."""

    version: Literal[1]
    id: str
    environment: Literal["sandbox", "live"]
    customer_id: str | None
    entity_id: str | None
    timestamp: Millis
    call: str
    key_id: str | None
    changes: list[ThingChanged]
    omitted: int


MODELS: dict[str, Any] = {
    "usage.recorded": UsageRecorded,
    "balance.reset": BalanceReset,
    "balance.granted": BalanceGranted,
    "balance.lapsed": BalanceLapsed,
    "balance.adjusted": BalanceAdjusted,
    "balance.limit_reached": LimitReached,
    "balance.alert_triggered": AlertTriggered,
    "balance.top_up_requested": TopUpRequested,
    "balance.top_up_blocked": TopUpBlocked,
    **{
        f"subscription.{what}": SubscriptionChanged
        for what in ("started", "scheduled", "updated", "canceled", "uncanceled", "trial_ended", "ended")
    },
    **{f"reservation.{what}": ReservationChanged for what in ("held", "confirmed", "released", "expired")},
    "webhook.delivery_failed": WebhookDeliveryFailed,
    "webhook.paused": WebhookPaused,
    "api.called": ApiCalled,
}
"""By detail-type, the shape of its detail."""
