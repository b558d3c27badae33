"""What the routes about an environment's activity answer: uses and denials by minute, alerts, limits that are near."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from tollgate_cli.openapi.shapes import Env, Millis, Number, Shape


class ActivityMinute(Shape):
    """What happened in a minute."""

    period: Millis
    """When the minute began, in epoch ms."""
    uses: dict[str, int]
    """By feature, how many uses were counted."""
    denials: dict[str, dict[str, int]]
    """By feature and reason, how many checks and uses were denied."""


class ActivityTotal(Shape):
    """What happened in all of the minutes."""

    uses: dict[str, int]
    """By feature, how many uses were counted."""
    denials: dict[str, dict[str, int]]
    """By feature and reason, how many checks and uses were denied."""


class StreamState(Shape):
    """How far the consumer of the table's stream is behind: history, events and alerts come as much later."""

    behind_ms: int
    """How old the oldest change of the last batch with a use was when it was done, to the second."""
    read_at: Millis
    """When that was, in epoch ms."""


class Waiting(Shape):
    """About how many messages wait, of all environments."""

    reported_uses: int
    """Uses that were taken and are to be counted."""
    dead_letters: int
    """Uses and events that were given up on."""
    webhook_dead_letters: int
    """Messages to webhooks that were given up on."""


class ActivityAnswer(Shape):
    """The activity of an environment in its last minutes."""

    list: list[ActivityMinute]
    """Each minute, the one that goes on now the last."""
    total: ActivityTotal
    """All of them together."""
    stream: StreamState | None
    """How far the stream's consumer is behind; null where it read of no use in these minutes."""
    waiting: Waiting
    """What waits."""


class Happening(Shape):
    """Something that happened: an event as webhooks and the bus tell it, with the fields of its type (docs/events); a use
    as `events.list` tells it; or `api.called`, a call that changed something."""

    model_config = ConfigDict(extra="allow")

    type: str
    """What happened, such as `usage.recorded`, `balance.reset`, `subscription.started` or `api.called`."""
    id: str
    """The event's id."""
    timestamp: Millis
    """When, in epoch ms."""
    customer_id: str
    """To whom."""


class LoggedHappening(Happening):
    """Something in a customer's log."""

    key_id: str | None
    """The API key whose call did it; null where no call did, or it is told by an entry of its own (`api.called`)."""


class Alert(Happening):
    """A limit that was reached, or a threshold that was passed."""

    environment: Env
    """Where."""
    feature_id: str
    """Of which feature."""
    entity_id: str | None
    """Of which entity; null for the customer itself."""


class NearLimitBalance(Shape):
    """A balance of which at least 80 percent are used, as it is now."""

    customer_id: str
    """The customer."""
    feature_id: str
    """The feature."""
    entity_id: str | None
    """The entity whose balance it is; null for the customer's."""
    limited_by: Literal["balance", "usage_limit"]
    """What bounds it most: what is granted, with the overage that is allowed, or a usage limit."""
    limit: Number
    """What may be used in all."""
    usage: Number
    """What is used of that."""
    remaining: Number
    """What is left of it."""
    percent_used: Number
    """The share that is used."""
    changes_at: Millis | None
    """When a reset, an expiry or a new window changes it next, in epoch ms; null for never."""


class AlertPage(Shape):
    """Alerts, the newest first."""

    list: list[Alert]
    """The items of this page."""
    next_cursor: str | None
    """`start_cursor` of the next page; null where this is the last."""


class AuditChange(Shape):
    """One thing that a call has changed, as the management API and events show it."""

    type: Literal["feature", "plan", "api_key", "webhook", "customer", "entity", "subscription", "balance"]
    """What it is."""
    id: str
    """Its id."""
    before: dict[str, object] | None
    """What it was; null where there was none."""
    after: dict[str, object] | None
    """What it is; null where there is none."""


class AuditEntry(Shape):
    """A call that has changed something of the environment's."""

    type: Literal["api.called"]
    """The type of the event that the bus is told."""
    version: Literal[1]
    """The version of this shape."""
    id: str
    """The entry's id."""
    environment: Env
    """Where."""
    customer_id: str | None
    """Whose it is; null in this list: what is of a customer is in its own log (`customers.list_log`)."""
    entity_id: str | None
    """Null."""
    timestamp: Millis
    """When, in epoch ms."""
    call: str
    """What was called: `plans.update`, or a REST path with its method."""
    key_id: str | None
    """The API key; null where the change was made with access to the AWS account."""
    changes: list[AuditChange]
    """What was changed."""
    omitted: int
    """How many changes are left out, because all would be more than an event holds."""


class AuditPage(Shape):
    """Who changed what, the newest first."""

    list: list[AuditEntry]
    """The items of this page."""
    next_cursor: str | None
    """`start_cursor` of the next page; null where this is the last."""


class LogPage(Shape):
    """What happened to a customer, the newest first."""

    list: list[LoggedHappening]
    """The items of this page."""
    next_cursor: str | None
    """`start_cursor` of the next page; null where this is the last."""


class NearLimitPage(Shape):
    """Balances that are near their limit, those that are used up first."""

    list: list[NearLimitBalance]
    """The items of this page, which may be fewer than were asked for."""
    next_cursor: str | None
    """`start_cursor` of the next page; null where this is the last."""
