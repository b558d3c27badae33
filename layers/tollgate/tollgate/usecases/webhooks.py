"""Webhooks: made, changed, and told of events."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from tollgate.domain.environments import Environment
from tollgate.domain.errors import Conflict, InvalidRequest, NotFound
from tollgate.domain.webhooks import (
    MOST,
    Attempt,
    Delivery,
    DeliveryState,
    PayloadDialect,
    Secret,
    Webhook,
    checked_name,
    checked_url,
    is_to_be_paused,
    message_id,
    new_secret,
    rotated,
    signatures,
    tried,
)
from tollgate.exact_json import dumps, loads
from tollgate.store.table import Entries
from tollgate.store.webhooks import WebhookStore
from tollgate.usecases.audit import NO_AUDIT, Audit, Changed

PAGE = 50  # deliveries in one answer
_SECRET_BYTES = 32
_PREFIX = '{"webhook":'

Keep = Callable[[Environment, int, str, int], None]
"""Has a message come at its time (epoch ms), the last argument being now. Raises Unavailable."""


class Message(NamedTuple):
    """What lies on the webhook queue: a delivery, and how often it had been tried when this was sent."""

    environment: Environment
    webhook_id: str
    delivery_id: str
    tries: int

    @property
    def text(self) -> str:
        """As it lies there."""
        env, webhook, delivery, tries = self
        return dumps({"webhook": {"env": env.value, "id": webhook, "delivery": delivery, "tries": tries}})


def is_message(body: str) -> bool:
    """Whether the body of a message is one of these."""
    return body.startswith(_PREFIX)


def message_in(body: str) -> Message:
    """The message in a body. Raises KeyError, TypeError, ValueError or InvalidInput where there is none."""
    known = loads(body)["webhook"]
    return Message(Environment(known["env"]), known["id"], known["delivery"], known["tries"])


def group_of(body: str) -> str:
    """The group of a message on its queue: its address, so that SQS prefers others' messages to those of one that is slow."""
    message = message_in(body)
    return f"{message.environment.value}-{message.webhook_id}"


class Told(NamedTuple):
    """An event in a dialect's words: its type, and the body that is sent."""

    type: str
    payload: str


class Settings(NamedTuple):
    """What a caller says of a webhook. None leaves it as it is, or as it is by itself."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    description: str | None = None
    disabled: bool | None = None
    dialect: PayloadDialect | None = None


class Webhooks:
    """The use cases of whoever sets webhooks up. `now` is epoch ms.

    `loopback`: whether the sandbox may call this machine itself.
    """

    def __init__(self, store: WebhookStore, keep: Keep, *, loopback: bool, audit: Audit = NO_AUDIT) -> None:
        self._store = store
        self._keep = keep
        self._loopback = loopback
        self._audit = audit

    def _entry(self, env: Environment, old: Webhook | None, new: Webhook | None) -> Entries:
        """The entry of the audit log that tells of a change of a webhook."""
        webhook = new or old
        assert webhook is not None
        return self._audit.entry(env, lambda _: [Changed("webhook", webhook.id, old, new)])

    def create(self, env: Environment, id: str, settings: Settings, now: int) -> tuple[Webhook, str]:
        """A new webhook, and its secret. Raises InvalidInput, AlreadyExists, and InvalidRequest where there are MOST."""
        url = self._url(env, settings.url or "")
        secret = new_secret(secrets.token_bytes(_SECRET_BYTES))
        webhook = Webhook(
            env,
            checked_name(id),
            url,
            settings.events or (),
            settings.dialect or PayloadDialect.AUTUMN,
            settings.description,
            settings.disabled or False,
            (Secret(secret, None),),
            now,
            now,
        )
        if len(self._store.list(env)) >= MOST:
            raise InvalidRequest(f"There are {MOST} webhooks already: delete one first")
        self._store.add(webhook, self._entry(env, None, webhook))
        return webhook, secret

    def list(self, env: Environment) -> list[Webhook]:
        """The environment's webhooks, by id."""
        return self._store.list(env)

    def get(self, env: Environment, id: str) -> Webhook:
        """A webhook. Raises NotFound."""
        webhook = self._store.get(env, id)
        if webhook is None:
            raise NotFound("webhook", id)
        return webhook

    def update(self, env: Environment, id: str, settings: Settings, now: int) -> Webhook:
        """Changes what is said. One that was paused goes on where `disabled` is said to be false. Raises NotFound,
        InvalidInput, Conflict.
        """
        before = self.get(env, id)
        given = {name: value for name, value in settings._asdict().items() if value is not None}
        if settings.url is not None:
            self._url(env, settings.url)
        after = before._replace(**given, updated_at=max(now, before.updated_at + 1))
        if settings.disabled is False:
            after = after._replace(paused_at=None, failing_since=None)
        self._store.change(before, after, self._entry(env, before, after))
        return after

    def delete(self, env: Environment, id: str) -> None:
        """Deletes a webhook. Raises NotFound, Conflict."""
        webhook = self.get(env, id)
        self._store.delete(webhook, self._entry(env, webhook, None))

    def rotate_secret(self, env: Environment, id: str, now: int) -> tuple[Webhook, str]:
        """Gives a webhook a new secret; the one before signs too for a day. Raises NotFound, Conflict."""
        before = self.get(env, id)
        secret = new_secret(secrets.token_bytes(_SECRET_BYTES))
        after = rotated(before, secret, max(now, before.updated_at + 1))
        self._store.change(before, after, self._entry(env, before, after))
        return after, secret

    def test(self, env: Environment, id: str, told: Told, now: int) -> Delivery:
        """Sends a message that tells of nothing. Raises NotFound, and Conflict where the webhook is off."""
        webhook = self.get(env, id)
        if webhook.disabled or webhook.paused_at is not None:
            raise Conflict(f"Webhook {id} is off: update it with disabled false first")
        delivery = _new(webhook, message_id(uuid.uuid4().hex, now), told, now)
        self._store.add_delivery(delivery)
        self._send(delivery, now)
        return delivery

    def deliveries(self, env: Environment, id: str, before: str = "") -> Sequence[Delivery]:
        """Up to PAGE deliveries, the newest first, from before a message's id. Raises NotFound."""
        return self._store.deliveries(env, self.get(env, id).id, before, PAGE)

    def resend(self, env: Environment, id: str, delivery_id: str, now: int) -> Delivery:
        """Has a delivery tried once more, at once, whatever became of it. Raises NotFound, Conflict."""
        before = self._store.delivery(env, self.get(env, id).id, delivery_id)
        if before is None:
            raise NotFound("delivery", delivery_id)
        after = before._replace(state=DeliveryState.PENDING, next_at=now)
        if not self._store.change_delivery(before, after):
            raise Conflict(f"Delivery {delivery_id} is being tried: look again")
        self._send(after, now)
        return after

    def _send(self, delivery: Delivery, now: int) -> None:
        self._keep(delivery.environment, now, _message(delivery).text, now)

    def _url(self, env: Environment, url: str) -> str:
        return checked_url(url, loopback=_may_loop(env, loopback=self._loopback))


class Answer(NamedTuple):
    """What an address said: a status, or why there was none; and how long it took."""

    status: int | None
    error: str | None
    took_ms: int


Call = Callable[[str, bytes, Mapping[str, str], bool], Answer]
"""Posts a body to a URL; the last argument is whether this machine itself may be called."""
GivenUp = Callable[[Webhook, Delivery, bool], None]
"""Tells that a delivery was given up on, and whether its webhook was paused. May be called again for the same one."""


class Deliveries:
    """Tells webhooks of events. `clock` gives epoch ms."""

    def __init__(
        self,
        store: WebhookStore,
        keep: Keep,
        call: Call,
        given_up: GivenUp,
        clock: Callable[[], int],
        *,
        loopback: bool,
    ) -> None:
        self._store = store
        self._keep = keep
        self._call = call
        self._given_up = given_up
        self._clock = clock
        self._loopback = loopback

    def accept(
        self, env: Environment, event_id: str, at: int, told: Callable[[PayloadDialect], Iterable[Told]]
    ) -> None:
        """Makes a delivery for each webhook that an event (of `at`, epoch ms) is to be told to. May be repeated: it makes
        each once.
        """
        for webhook in self._store.list(env):
            for one in told(webhook.dialect):
                if webhook.takes(one.type):
                    id = message_id(f"{event_id}\n{one.type}", at)
                    delivery = self._store.add_delivery(_new(webhook, id, one, self._clock()))
                    if delivery.state is DeliveryState.PENDING and not delivery.attempts:
                        self._come(delivery, self._clock())

    def deliver(self, message: Message) -> None:
        """Tries a delivery, and has it come again where it was not taken. Raises Unavailable: then it may be repeated.

        A message that came twice, or whose try was written down but not what follows from it, finds another number of
        tries: what is due next comes at its time.
        """
        env, webhook_id, delivery_id, tries = message
        webhook, before = self._store.get(env, webhook_id), self._store.delivery(env, webhook_id, delivery_id)
        if webhook is None or before is None or before.state is not DeliveryState.PENDING:
            return
        if webhook.disabled or webhook.paused_at is not None:
            self._store.change_delivery(before, before._replace(state=DeliveryState.FAILED, next_at=None))
            return
        if tries != len(before.attempts) or (before.next_at or 0) > self._clock():
            self._come(before, before.next_at or self._clock())
            return
        after = tried(before, self._attempt(webhook, before))
        webhook = self._noted(webhook, after)
        if after.state is DeliveryState.FAILED:
            self._give_up(webhook, after)
        if self._store.change_delivery(before, after) and after.next_at is not None:
            self._come(after, after.next_at)

    def _attempt(self, webhook: Webhook, delivery: Delivery) -> Attempt:
        now = self._clock()
        signed = signatures(webhook.secrets, delivery.id, now // 1000, delivery.payload, now)
        said = {"id": delivery.id, "timestamp": str(now // 1000), "signature": signed}
        headers = {
            "content-type": "application/json",
            "user-agent": "Tollgate-Webhooks/1",
            **{f"webhook-{name}": value for name, value in said.items()},
            **{f"svix-{name}": value for name, value in said.items()},
        }
        loopback = _may_loop(webhook.environment, loopback=self._loopback)
        answer = self._call(webhook.url, delivery.payload.encode(), headers, loopback)
        return Attempt(now, answer.status, answer.error, answer.took_ms)

    def _noted(self, webhook: Webhook, after: Delivery) -> Webhook:
        """The webhook, with since when it has taken nothing. Where somebody else changes it meanwhile, the next try notes
        it.
        """
        last = after.attempts[-1]
        since = None if last.taken else webhook.failing_since or last.at
        if since == webhook.failing_since:
            return webhook
        noted = webhook._replace(failing_since=since)
        with suppress(Conflict):
            self._store.change(webhook, noted)
            return noted
        return webhook

    def _give_up(self, webhook: Webhook, after: Delivery) -> None:
        paused = is_to_be_paused(webhook, after)
        if paused:
            with suppress(Conflict):  # somebody changed it just now: it goes on
                self._store.change(webhook, webhook._replace(paused_at=self._clock()))
        self._given_up(webhook, after, paused)

    def _come(self, delivery: Delivery, at: int) -> None:
        self._keep(delivery.environment, at, _message(delivery).text, self._clock())


def _may_loop(env: Environment, *, loopback: bool) -> bool:
    return loopback and env is Environment.SANDBOX


def _message(delivery: Delivery) -> Message:
    return Message(delivery.environment, delivery.webhook_id, delivery.id, len(delivery.attempts))


def _new(webhook: Webhook, id: str, told: Told, now: int) -> Delivery:
    return Delivery(webhook.environment, webhook.id, id, told.type, told.payload, now, DeliveryState.PENDING, (), now)
