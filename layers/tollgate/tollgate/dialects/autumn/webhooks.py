"""`webhooks.*` (management.md 15): create, get, list, update and delete as Autumn has them; **(+)** rotate_secret, test,
deliveries and resend, and the field `dialect`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from tollgate.dialects.autumn.fields import Params, Text
from tollgate.dialects.http import Answer, Request
from tollgate.dialects.webhook_payloads import TYPES, test_message
from tollgate.domain.errors import InvalidInput
from tollgate.domain.webhooks import Delivery, PayloadDialect, Webhook
from tollgate.usecases.webhooks import PAGE, Settings, Webhooks

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class WebhookParams(Params):
    """The body of a call about one webhook."""

    id: Name


class UpdateWebhookParams(WebhookParams):
    """The body of `webhooks.update`."""

    url: Annotated[str, StringConstraints(max_length=4000)] | None = None
    events: list[Name] | None = None
    description: Text | None = None
    disabled: bool | None = None
    dialect: Literal["autumn", "flexprice", "tollgate"] | None = None


class CreateWebhookParams(UpdateWebhookParams):
    """The body of `webhooks.create`."""

    url: Annotated[str, StringConstraints(max_length=4000)]


class DeliveriesParams(WebhookParams):
    """The body of `webhooks.deliveries`: `before` is the id of the last delivery that was seen."""

    before: Name | None = None


class ResendParams(WebhookParams):
    """The body of `webhooks.resend`."""

    delivery_id: Name


def create(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.create`: with `webhooks.rotate_secret` the only answer that shows a secret."""
    params = CreateWebhookParams.of(request.body)
    settings = _settings(params, PayloadDialect(params.dialect or PayloadDialect.AUTUMN))
    webhook, secret = webhooks.create(request.caller.environment, params.id, settings, request.now)
    return Answer({**webhook_json(webhook), "secret": secret})


def get(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.get`. Raises NotFound."""
    return Answer(webhook_json(webhooks.get(request.caller.environment, WebhookParams.of(request.body).id)))


def list_webhooks(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.list`: all of the environment."""
    return Answer({"list": [webhook_json(one) for one in webhooks.list(request.caller.environment)]})


def update(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.update`: changes what is named. Raises NotFound, Conflict."""
    params = UpdateWebhookParams.of(request.body)
    env = request.caller.environment
    known = webhooks.get(env, params.id)
    dialect = PayloadDialect(params.dialect or known.dialect)
    settings = _settings(params, dialect)
    if params.dialect is not None and params.events is None and dialect is not known.dialect:
        settings = settings._replace(events=())  # the other dialect's types say nothing in this one
    return Answer(webhook_json(webhooks.update(env, params.id, settings, request.now)))


def delete(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.delete`. Raises NotFound."""
    webhooks.delete(request.caller.environment, WebhookParams.of(request.body).id)
    return Answer({"success": True})


def rotate_secret(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.rotate_secret`: shows the new secret, once. Raises NotFound, Conflict."""
    id = WebhookParams.of(request.body).id
    webhook, secret = webhooks.rotate_secret(request.caller.environment, id, request.now)
    return Answer({**webhook_json(webhook), "secret": secret})


def test(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.test`: the delivery of a message that tells of nothing. Raises NotFound, Conflict."""
    env, id = request.caller.environment, WebhookParams.of(request.body).id
    message = test_message(webhooks.get(env, id).dialect, id, request.now)
    return Answer(delivery_json(webhooks.test(env, id, message, request.now)))


def deliveries(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.deliveries`: the newest first, with every try. Raises NotFound."""
    params = DeliveriesParams.of(request.body)
    found = webhooks.deliveries(request.caller.environment, params.id, params.before or "")
    return Answer({"list": [delivery_json(one) for one in found], "has_more": len(found) == PAGE})


def resend(webhooks: Webhooks, request: Request) -> Answer:
    """`webhooks.resend`: one more try, at once. Raises NotFound, Conflict."""
    params = ResendParams.of(request.body)
    found = webhooks.resend(request.caller.environment, params.id, params.delivery_id, request.now)
    return Answer(delivery_json(found))


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    """A webhook as it may be shown: without its secrets."""
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "disabled": webhook.disabled or webhook.paused_at is not None,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
        "dialect": webhook.dialect.value,
        "failing_since": webhook.failing_since,
        "paused_at": webhook.paused_at,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """A delivery with all that was tried."""
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "type": delivery.type,
        "state": delivery.state.value,
        "created_at": delivery.created_at,
        "next_attempt_at": delivery.next_at,
        "attempts": [
            {"at": one.at, "status": one.status, "error": one.error, "duration_ms": one.took_ms}
            for one in delivery.attempts
        ],
        "payload": delivery.payload,
    }


def _settings(params: UpdateWebhookParams, dialect: PayloadDialect) -> Settings:
    """Raises InvalidInput for a type that this dialect does not tell of."""
    for number, type in enumerate(params.events or ()):
        if type not in TYPES[dialect]:
            raise InvalidInput(f"events.{number}", f"must be one of {', '.join(TYPES[dialect])}")
    events = None if params.events is None else tuple(dict.fromkeys(params.events))
    return Settings(
        params.url, events, params.description, params.disabled, params.dialect and PayloadDialect(params.dialect)
    )
