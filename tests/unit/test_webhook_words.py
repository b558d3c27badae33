"""What webhooks tell in the words of Autumn and of Flexprice, field by field, and the samples of it in docs/webhooks.

Rules: management.md 15.2.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.conftest import ROOT
from tollgate.dialects.webhook_payloads import TYPES, told
from tollgate.domain.environments import Environment
from tollgate.domain.recorded_writes import boundary_id
from tollgate.domain.webhooks import PayloadDialect
from tollgate.exact_json import loads

FOLDER = ROOT / "docs" / "webhooks"
DAY = 86_400_000
AT = 1_767_225_600_000
MONTH = {"cycle": {"interval": "month", "interval_count": 1}}
WHOSE: dict[str, Any] = {
    "version": 1,
    "id": "0d079340-135a-5c6f-95c2-41fb8f496c53",
    "environment": "sandbox",
    "customer_id": "customer-1",
    "entity_id": None,
    "timestamp": AT,
}
BALANCE = {"granted": 1000, "remaining": 150, "usage": 850}
SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "plan_id": "pro",
    "plan_version": 1,
    "add_on": False,
    "started_at": AT,
    "trial_ends_at": None,
    "canceled_at": None,
    "expires_at": None,
    "quantities": {},
    **MONTH,
    "current_period_start": AT,
    "current_period_end": AT + 31 * DAY,
    "lookup_key": None,
    "currency": "usd",
}
CANCELED: dict[str, Any] = {"canceled_at": AT, "expires_at": AT + 31 * DAY}
ALERT = {"scope": "customer", "name": "nearly out", "threshold": 80, "threshold_type": "usage_percentage"}
TOP_UP = {"quantity": 500, "threshold": 200, "remaining": 150, "invoice_mode": False}


def subscription(what: str, previous: dict[str, Any] | None = None, **fields: Any) -> tuple[str, dict[str, Any]]:
    held = {**SUBSCRIPTION, **fields}
    return f"subscription.{what}", {**WHOSE, "subscription": held, "previous": previous}


def of_messages(what: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return f"balance.{what}", {**WHOSE, "feature_id": "messages", "balance": BALANCE, **more}


STARTED_BY_THE_CLOCK: tuple[str, dict[str, Any]] = (
    "subscription.started",
    {**subscription("started")[1], "id": boundary_id(Environment.SANDBOX, "customer-1", "sub_1", "started", AT)},
)
EVENTS: list[tuple[str, dict[str, Any]]] = [
    of_messages("limit_reached", limit_type="included"),
    of_messages("alert_triggered", alert={**ALERT, "state": None, "condition": None}, value=85),
    of_messages("alert_triggered", alert={**ALERT, "scope": "feature", "state": "warning"}, value=150),
    of_messages("top_up_requested", **TOP_UP),
    of_messages("top_up_blocked", **TOP_UP),
    subscription("started"),
    STARTED_BY_THE_CLOCK,
    subscription("updated", previous=SUBSCRIPTION),
    subscription("canceled", previous=SUBSCRIPTION, **CANCELED),
]


def samples(dialect: PayloadDialect) -> dict[str, Any]:
    """The last message of each type that these events make."""
    return {one.type: loads(one.payload) for event in EVENTS for one in told(*event, dialect)}


@pytest.mark.parametrize("dialect", [PayloadDialect.AUTUMN, PayloadDialect.FLEXPRICE])
def test_each_type_has_a_sample_in_the_docs(dialect: PayloadDialect) -> None:
    made = samples(dialect)
    assert tuple(sorted(made)) == TYPES[dialect]
    assert json.loads((FOLDER / f"{dialect.value}.json").read_text()) == made


def only(event: tuple[str, Any], dialect: PayloadDialect) -> tuple[str, Any]:
    one, *_ = told(*event, dialect)
    return one.type, json.loads(one.payload)


def test_billing_updated_has_every_field_that_autumn_documents() -> None:
    """docs.useautumn.com, "Webhooks", billing.updated: its example of a plan that is canceled at the end of its period."""
    type, body = only(EVENTS[-1], PayloadDialect.AUTUMN)
    assert (type, body["data"]["object"], body["data"]["tags"]) == ("billing.updated", "billing.updated", [])
    (change,) = body["data"]["plan_changes"]
    assert change == {
        "action": "updated",
        "subscription": {
            "plan_id": "pro",
            "status": "active",
            "past_due": False,
            "started_at": AT,
            "canceled_at": AT,
            "expires_at": AT + 31 * DAY,
            "trial_ends_at": None,
            "current_period_start": AT,
            "current_period_end": AT + 31 * DAY,
        },
        "previous_attributes": {"canceled_at": None, "expires_at": None},
        "item_changes": [],
    }
    ended = subscription("ended", current_period_start=None, current_period_end=None)
    (change,) = only(ended, PayloadDialect.AUTUMN)[1]["data"]["plan_changes"]
    assert (change["action"], change["subscription"]["status"]) == ("expired", "expired")
    assert only(subscription("trial_ended"), PayloadDialect.AUTUMN)[1]["data"]["tags"] == ["trial_ended"]


def test_a_subscription_in_flexprices_words() -> None:
    """Its `webhookDto.Subscription`: what is absent is left out, and the status is that at the event's time."""
    said: list[tuple[tuple[str, Any], str, str]] = [
        (subscription("started"), "subscription.created", "active"),
        (STARTED_BY_THE_CLOCK, "subscription.activated", "active"),
        (subscription("scheduled", started_at=AT + DAY), "subscription.created", "draft"),
        (subscription("started", trial_ends_at=AT + DAY), "subscription.created", "trialing"),
        (subscription("uncanceled"), "subscription.updated", "active"),
        (subscription("trial_ended", trial_ends_at=AT), "subscription.updated", "active"),
        (subscription("canceled", **CANCELED), "subscription.cancelled", "active"),
        (subscription("ended", expires_at=AT), "subscription.cancelled", "cancelled"),
    ]
    for event, type, status in said:
        found, body = only(event, PayloadDialect.FLEXPRICE)
        assert (found, body["event_type"], body["subscription"]["subscription_status"]) == (type, type, status)
    assert only(EVENTS[-1], PayloadDialect.FLEXPRICE)[1]["subscription"] == {
        "id": "sub_1",
        "customer_id": "customer-1",
        "plan_id": "pro",
        "subscription_status": "active",
        "currency": "usd",
        "start_date": "2026-01-01T00:00:00.000Z",
        "end_date": "2026-02-01T00:00:00.000Z",
        "current_period_start": "2026-01-01T00:00:00.000Z",
        "current_period_end": "2026-02-01T00:00:00.000Z",
        "cancelled_at": "2026-01-01T00:00:00.000Z",
        "cancel_at": "2026-02-01T00:00:00.000Z",
        "cancel_at_period_end": True,
        "billing_cadence": "RECURRING",
        "billing_period": "MONTHLY",
        "billing_period_count": 1,
        "pause_status": "none",
        "subscription_type": "standalone",
    }


@pytest.mark.parametrize(
    ("cycle", "shown"),
    [
        (("month", 3), ("QUARTERLY", 1)),
        (("month", 6), ("HALF_YEARLY", 1)),
        (("month", 2), ("MONTHLY", 2)),
        (("year", 1), ("ANNUAL", 1)),
        (("hour", 1), ("ONETIME", 1)),
        (None, ("ONETIME", 1)),
    ],
)
def test_a_billing_period_in_flexprices_words(cycle: tuple[str, int] | None, shown: tuple[str, int]) -> None:
    held = None if cycle is None else {"interval": cycle[0], "interval_count": cycle[1]}
    said = only(subscription("started", cycle=held), PayloadDialect.FLEXPRICE)[1]["subscription"]
    assert (said["billing_period"], said["billing_period_count"]) == shown


def test_what_flexprice_has_no_words_for_is_not_told() -> None:
    for event in (EVENTS[0], EVENTS[1], of_messages("reset"), ("reservation.held", dict(WHOSE))):
        assert not list(told(*event, PayloadDialect.FLEXPRICE))


READS = """
import json, sys
from flexprice import models
for type, body in json.load(sys.stdin).items():
    shape = models.WebhookDtoAlertWebhookPayload if "alert" in type else models.WebhookDtoSubscriptionWebhookPayload
    read = shape.model_validate(body)
    kept = json.loads(read.model_dump_json(exclude_none=True))
    def paths(value, at=""):
        return {at} if not isinstance(value, dict) else {p for k, v in value.items() for p in paths(v, f"{at}.{k}")}
    print(json.dumps([type, sorted(paths(body) - paths(kept))]))
"""


def test_flexprices_sdk_reads_each_message_whole() -> None:
    """flexprice 2.1.43, `WebhookDto…`: no field of ours is unknown to it, and none is of another type."""
    done = subprocess.run(
        [ROOT / ".venv-flexprice" / "bin" / "python", "-c", READS],
        input=json.dumps(samples(PayloadDialect.FLEXPRICE), default=str),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [[type, []] for type in samples(PayloadDialect.FLEXPRICE)]
