"""Webhooks: set up by the routes, told of events, tried again over virtual time, given up on and paused.

Rules: management.md 15, 15.1, 15.2, 15.3, 15.4.
"""

from __future__ import annotations

import heapq
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard
from standardwebhooks import WebhookVerificationError
from svix import Webhook as Svix

from tests.handlers.conftest import Here
from tests.webhook_receiver import Received, Receiver, receiver
from tollgate import runtime
from tollgate.dialects.webhook_payloads import told
from tollgate.domain.environments import Environment
from tollgate.domain.errors import Unavailable
from tollgate.domain.webhooks import Delivery, DeliveryState, PayloadDialect, Webhook
from tollgate.store.table import Lost
from tollgate.store.webhooks import WebhookStore
from tollgate.usecases.due_times import LONGEST_DELAY_MS
from tollgate.usecases.webhooks import Answer, Deliveries, Settings, Webhooks, message_in

SANDBOX = Environment.SANDBOX
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
AT = 1_790_000_000_000
TRIES_AT = [0, 5 * SECOND]  # after the first try, as the rule says
for pause in (5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR):
    TRIES_AT.append(TRIES_AT[-1] + pause)
LIMIT = {
    "version": 1,
    "environment": "sandbox",
    "customer_id": "c1",
    "entity_id": None,
    "timestamp": AT,
    "feature_id": "messages",
    "limit_type": "included",
    "filter": None,
    "balance": {"usage": 5, "granted": 5, "remaining": 0},
    "cause": {"id": "u", "key_id": "k", "timestamp": AT},
}


def limit(**more: Any) -> dict[str, Any]:
    return {**LIMIT, "id": uuid.uuid4().hex, **more}


def subscription(**more: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "plan_id": "pro",
        "plan_version": 1,
        "add_on": False,
        "started_at": AT,
        "trial_ends_at": None,
        "canceled_at": None,
        "expires_at": None,
        "quantities": {},
        "cycle": None,
        "current_period_start": None,
        "current_period_end": None,
        "lookup_key": None,
        "currency": None,
        **more,
    }


# ------------------------------------------------------------------ the routes


def rpc(here: Here, verb: str, **body: Any) -> tuple[int, dict[str, Any]]:
    return here.call("manage", f"POST /v1/webhooks.{verb}", body)


def new() -> str:
    return f"w-{uuid.uuid4().hex[:12]}"


def made(here: Here, **more: Any) -> dict[str, Any]:
    status, answer = rpc(here, "create", **{"id": new(), "url": "https://hook.example/x", **more})
    assert status == 200, answer
    return answer


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def test_a_webhook_is_made_changed_and_deleted(here: Here) -> None:
    webhook = made(here, events=["billing.updated"], description="Plans")
    secret, id = webhook.pop("secret"), webhook["id"]
    assert secret.startswith("whsec_")
    assert webhook == {
        "id": id,
        "url": "https://hook.example/x",
        "events": ["billing.updated"],
        "description": "Plans",
        "disabled": False,
        "created_at": webhook["created_at"],
        "updated_at": webhook["created_at"],
        "dialect": "autumn",
        "failing_since": None,
        "paused_at": None,
    }
    assert rpc(here, "get", id=id) == (200, webhook)
    assert webhook in rpc(here, "list")[1]["list"]
    changed = rpc(here, "update", id=id, disabled=True, events=[])[1]
    assert (changed["disabled"], changed["events"], changed["description"]) == (True, [], "Plans")
    assert changed["updated_at"] > webhook["updated_at"]
    assert rpc(here, "delete", id=id) == (200, {"success": True})
    for verb in ("get", "update", "delete", "rotate_secret", "test", "deliveries"):
        status, answer = rpc(here, verb, id=id)
        assert (status, answer["code"]) == (404, "webhook_not_found"), verb


def test_a_secret_is_shown_once(here: Here) -> None:
    webhook = made(here)
    id = webhook["id"]
    second = rpc(here, "rotate_secret", id=id)[1]["secret"]
    assert second != webhook["secret"]
    shown = json.dumps([rpc(here, verb, id=id)[1] for verb in ("get", "list", "update", "test", "deliveries")])
    assert "whsec_" not in shown
    assert webhook["secret"].removeprefix("whsec_") not in shown


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"id": ""}, 400),
        ({"id": "a b"}, 400),
        ({"id": "a#b"}, 400),
        ({"url": None}, 400),
        ({"url": "http://hook.example"}, 400),
        ({"url": "https://10.0.0.1/"}, 400),
        ({"url": 5}, 400),
        ({"events": ["invoice.finalized"]}, 400),
        ({"events": ["balance.reset"]}, 400),
        ({"events": "billing.updated"}, 400),
        ({"events": ["billing.updated"], "dialect": "tollgate"}, 400),
        ({"dialect": "lotus"}, 400),
        ({"disabled": "no"}, 400),
        ({"description": "x" * 1001}, 400),
    ],
    ids=str,
)
def test_bad_input_changes_nothing(here: Here, wrong: dict[str, Any], status: int) -> None:
    before = here.contents()
    found, answer = rpc(here, "create", **{"id": new(), "url": "https://hook.example/", **wrong})
    assert (found, answer["code"]) == (status, "invalid_inputs")
    assert here.contents() == before


def test_an_id_is_taken_once_and_an_environment_has_its_own(here: Here) -> None:
    id = made(here)["id"]
    status, answer = rpc(here, "create", id=id, url="https://hook.example/")
    assert (status, answer["code"]) == (409, "duplicate_webhook_id")
    live = partial(here.call, "manage", environment="live")
    assert live("POST /v1/webhooks.get", {"id": id})[0] == 404
    assert live("POST /v1/webhooks.create", {"id": id, "url": "http://127.0.0.1:1/"})[1]["code"] == "invalid_inputs"
    assert here.call("manage", "POST /v1/webhooks.list", {}, scope="publishable")[0] == 403


def test_the_other_dialects_types_are_forgotten_with_it(here: Here) -> None:
    id = made(here, events=["billing.updated"])["id"]
    assert rpc(here, "update", id=id, dialect="tollgate")[1]["events"] == []
    assert rpc(here, "update", id=id, events=["billing.updated"])[0] == 400
    assert rpc(here, "update", id=id, events=["balance.reset"])[1]["events"] == ["balance.reset"]


# ------------------------------------------------------------------ through the function and its queue


def queued() -> list[dict[str, Any]]:
    """The messages on the webhook queue, as SQS hands them to the function."""
    client, url = runtime.client("sqs"), runtime.settings().webhook_queue_url
    found: list[dict[str, Any]] = []
    while got := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]).get(
        "Messages", []
    ):
        for one in got:
            client.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            found.append({"messageId": one["MessageId"], "body": one["Body"], "attributes": one["Attributes"]})
    return found


def run(here: Here, *records: dict[str, Any]) -> list[str]:
    answer = here.handlers["webhooks"]({"Records": list(records)}, None)
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def on_bus(detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"messageId": "m", "body": json.dumps({"detail-type": detail_type, "detail": detail}), "attributes": {}}


def verified(got: Received, secret: str) -> Any:
    """The body of a message that both libraries take for right."""
    Standard(secret).verify(got.body, got.headers)
    only_svix = {name: value for name, value in got.headers.items() if not name.startswith("webhook-")}
    Svix(secret).verify(got.body, only_svix)
    return json.loads(got.body)


def test_an_event_is_told_signed_and_once(here: Here, there: Receiver) -> None:
    webhook = made(here, url=there.url, events=["balances.limit_reached"])
    off = made(here, url=there.url, disabled=True)
    detail = limit()
    queued()
    assert run(here, on_bus("balance.limit_reached", detail)) == []
    records = [one for one in queued() if message_in(one["body"]).webhook_id in (webhook["id"], off["id"])]
    assert len(records) == 1
    assert run(here, *records, *records) == []  # SQS may deliver a message twice
    (got,) = there.got
    assert verified(got, webhook["secret"]) == {
        "type": "balances.limit_reached",
        "data": {"customer_id": "c1", "feature_id": "messages", "limit_type": "included"},
    }
    with pytest.raises(WebhookVerificationError):
        Standard(off["secret"]).verify(got.body, got.headers)
    (delivery,) = rpc(here, "deliveries", id=webhook["id"])[1]["list"]
    assert (delivery["id"], delivery["state"]) == (got.headers["webhook-id"], "delivered")
    assert [one["status"] for one in delivery["attempts"]] == [204]
    assert run(here, on_bus("balance.limit_reached", detail)) == []  # the bus may too
    assert not [one for one in queued() if message_in(one["body"]).webhook_id == webhook["id"]]


def test_it_is_tested_and_sent_again(here: Here, there: Receiver) -> None:
    webhook = made(here, url=there.url)
    id = webhook["id"]
    queued()
    delivery = rpc(here, "test", id=id)[1]
    (sent,) = queued()
    assert sent["attributes"]["MessageGroupId"] == f"sandbox-{id}"  # fair to other addresses
    assert run(here, sent) == []
    assert rpc(here, "resend", id=id, delivery_id=delivery["id"])[1]["state"] == "pending"
    assert run(here, *queued()) == []
    first, second = there.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert verified(first, webhook["secret"]) == {"type": "webhook.test", "data": {"webhook_id": id}}
    assert len(rpc(here, "deliveries", id=id)[1]["list"][0]["attempts"]) == 2
    assert rpc(here, "resend", id=id, delivery_id="msg_none")[1]["code"] == "delivery_not_found"
    rpc(here, "update", id=id, disabled=True)
    assert rpc(here, "test", id=id)[0] == 409


def test_an_address_that_hangs_holds_up_no_other(here: Here, there: Receiver) -> None:
    with receiver() as hangs:
        hangs.release.clear()
        hanging, other = made(here, url=hangs.url), made(here, url=there.url)
        queued()
        for webhook in (hanging, other):
            assert rpc(here, "test", id=webhook["id"])[0] == 200
        records = queued()
        there_first: list[int] = []
        there.release.set()

        def looked() -> None:
            there_first.append(len(there.got))
            hangs.release.set()

        timer = threading.Timer(1, looked)
        timer.start()
        assert run(here, *records) == []
        timer.join()
    assert there_first == [1]


def test_a_message_that_cannot_be_read_comes_again_and_stops_no_other(here: Here, there: Receiver) -> None:
    webhook = made(here, url=there.url)
    queued()
    rpc(here, "test", id=webhook["id"])
    bad = [
        {"messageId": f"bad{n}", "body": body, "attributes": {}}
        for n, body in enumerate(('{"webhook":1}', '{"webhook":', "{"))
    ]
    assert run(here, *bad, *queued()) == ["bad0", "bad1", "bad2"]
    assert len(there.got) == 1


def test_what_is_given_up_on_is_a_letter_and_told(here: Here, there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the function: the last try of a delivery that failed nine times."""
    there.status = 500
    webhook = made(here, url=there.url)
    id, store, now = webhook["id"], WebhookStore(here.service.table), runtime.clock()
    queued()
    delivery = rpc(here, "test", id=id)[1]
    queued()
    sent: list[Any] = []
    events = here.handlers["webhooks"].__globals__["_events"]

    put_events = events.put_events

    def put(**asked: Any) -> Any:
        sent.extend(asked["Entries"])
        return put_events(**asked)

    monkeypatch.setattr(events, "put_events", put)
    for tries in range(10):
        message = {"webhook": {"env": "sandbox", "id": id, "delivery": delivery["id"], "tries": tries}}
        body = json.dumps(message, separators=(",", ":"))
        assert run(here, {"messageId": "m", "body": body, "attributes": {}}) == []
        monkeypatch.setattr(runtime, "clock", lambda tries=tries: now + TRIES_AT[min(tries + 1, 9)] + 2 * SECOND)
    monkeypatch.undo()
    failed = store.delivery(SANDBOX, id, delivery["id"])
    assert failed is not None
    assert (failed.state, len(failed.attempts), len(there.got)) == (DeliveryState.FAILED, 10, 10)
    assert [entry["DetailType"] for entry in sent] == ["webhook.delivery_failed", "webhook.paused"]
    assert rpc(here, "get", id=id)[1]["disabled"] is True
    letters = runtime.client("sqs").receive_message(QueueUrl=runtime.settings().webhook_dead_letter_queue_url)
    assert json.loads(letters["Messages"][0]["Body"])["delivery"] == delivery["id"]
    assert rpc(here, "update", id=id, disabled=False)[1]["paused_at"] is None


# ------------------------------------------------------------------ over virtual time


class Scene:
    """Webhooks under a clock that only this moves, an address that answers as `answers` says, and a queue."""

    def __init__(self, here: Here) -> None:
        self.now = AT
        self.queue: list[tuple[int, int, str]] = []
        self.calls: list[tuple[int, str, dict[str, str]]] = []
        self.given_up: list[tuple[Webhook, Delivery, bool]] = []
        self.answers: Callable[[str], int | None] = lambda _: 204
        self.store = WebhookStore(here.service.table)
        self.webhooks = Webhooks(self.store, self.keep, loopback=False)
        self.deliveries = Deliveries(
            self.store,
            self.keep,
            self._call,
            lambda *told: self.given_up.append(told),
            lambda: self.now,
            loopback=False,
        )
        self.webhook, self.secret = self.webhooks.create(
            Environment.LIVE, new(), Settings(url="https://hook.example/"), self.now
        )

    def keep(self, _: Environment, at: int, message: str, __: int) -> None:
        if f'"{getattr(self, "webhook", None) and self.webhook.id}"' in message:  # the table is others' too
            heapq.heappush(self.queue, (at, len(self.queue), message))

    def _call(self, _: str, body: bytes, headers: Mapping[str, str], __: bool) -> Answer:
        self.calls.append((self.now, body.decode(), dict(headers)))
        status = self.answers(body.decode())
        return Answer(status, None if status else "nobody", 1)

    def tell(self, **more: Any) -> str:
        detail = limit(environment="live", **more)
        words = partial(told, "balance.limit_reached", detail)
        self.deliveries.accept(Environment.LIVE, detail["id"], detail["timestamp"], words)
        return str(detail["id"])

    def run(self, until: int) -> None:
        """Delivers every message at its time."""
        while self.queue and self.queue[0][0] <= until:
            at, _, message = heapq.heappop(self.queue)
            self.now = max(self.now, at)
            self.deliveries.deliver(message_in(message))
        self.now = until

    @property
    def state(self) -> Webhook:
        return self.webhooks.get(Environment.LIVE, self.webhook.id)

    def only(self) -> Delivery:
        (delivery,) = self.webhooks.deliveries(Environment.LIVE, self.webhook.id)
        return delivery


@pytest.fixture
def scene(here: Here) -> Scene:
    return Scene(here)


def test_it_is_tried_with_growing_pauses_for_three_days_then_given_up_on(scene: Scene) -> None:
    scene.answers = lambda _: 500
    scene.tell()
    scene.run(AT + 30 * DAY)
    assert [at - AT for at, _, _ in scene.calls] == TRIES_AT
    assert len({headers["webhook-id"] for _, _, headers in scene.calls}) == 1
    assert len({body for _, body, _ in scene.calls}) == 1
    assert TRIES_AT[-1] >= 3 * DAY > TRIES_AT[-2]
    ((_, delivery, paused),) = scene.given_up
    assert (delivery.state, paused) == (DeliveryState.FAILED, True)
    assert (scene.only().state, scene.state.paused_at) == (DeliveryState.FAILED, AT + TRIES_AT[-1])
    scene.tell()
    assert not scene.queue, "a paused webhook is told of nothing"
    scene.webhooks.update(Environment.LIVE, scene.webhook.id, Settings(disabled=False), scene.now)
    scene.tell()
    assert scene.queue


def test_a_receiver_that_is_down_for_an_hour_loses_nothing(scene: Scene) -> None:
    scene.answers = lambda _: 204 if scene.now >= AT + HOUR else None
    told = [scene.tell(timestamp=AT + number) for number in range(20)]
    scene.run(AT + 3 * HOUR)
    delivered = scene.webhooks.deliveries(Environment.LIVE, scene.webhook.id)
    assert len(delivered) == len(told)
    assert {one.state for one in delivered} == {DeliveryState.DELIVERED}
    taken = [headers["webhook-id"] for at, _, headers in scene.calls if at >= AT + HOUR]
    assert sorted(taken) == sorted({one.id for one in delivered})
    assert scene.state.failing_since is None


def test_an_address_that_takes_something_is_not_paused(scene: Scene) -> None:
    scene.answers = lambda body: 500 if "poison" in body else 204
    scene.tell(feature_id="poison")
    scene.run(AT + HOUR)
    assert scene.state.failing_since == AT
    scene.tell()
    scene.run(AT + 30 * DAY)
    assert len(scene.calls) == len(TRIES_AT) + 1
    assert [paused for _, _, paused in scene.given_up] == [False]
    assert scene.state.paused_at is None


def test_a_try_that_was_written_down_and_nothing_more_goes_on(scene: Scene) -> None:
    """The function was killed between writing a try and having the next one come: the message comes again."""
    scene.answers = lambda _: 500
    scene.tell()
    first = scene.queue[0][2]
    scene.run(AT)
    scene.queue.clear()
    scene.deliveries.deliver(message_in(first))
    assert [at for at, _, _ in scene.queue] == [AT + 5 * SECOND]
    assert len(scene.calls) == 1
    scene.answers = lambda _: 204
    scene.run(AT + MINUTE)
    assert scene.only().state is DeliveryState.DELIVERED


def test_a_try_whose_write_had_no_answer_goes_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written; the repeat finds it so, and cannot tell whose it was. So the message comes again."""
    scene.answers = lambda _: 500
    scene.tell()
    first, table = scene.queue[0][2], scene.store._table
    send, lost = table.send_once, iter([True])

    def send_once(operation: Any, **request: Any) -> Any:
        answer = send(operation, **request)
        if request.get("Item", {}).get("tries") == {"N": "1"} and next(lost, False):
            raise Lost("cut")
        return answer

    monkeypatch.setattr(table, "send_once", send_once)
    with pytest.raises(Unavailable):
        scene.run(AT)
    scene.queue.clear()
    scene.deliveries.deliver(message_in(first))
    assert [at for at, _, _ in scene.queue] == [AT + 5 * SECOND]
    assert len(scene.calls) == 1


def test_a_message_that_comes_before_its_time_waits(scene: Scene) -> None:
    scene.answers = lambda _: 500
    scene.tell()
    scene.run(AT)
    scene.deliveries.deliver(message_in(scene.queue[0][2]))
    assert len(scene.calls) == 1


def test_both_secrets_sign_for_a_day(scene: Scene) -> None:
    first = scene.secret
    _, second = scene.webhooks.rotate_secret(Environment.LIVE, scene.webhook.id, AT)
    for days, secrets in ((0, [second, first]), (2, [second])):
        scene.now = AT + days * DAY
        scene.tell(timestamp=scene.now)
        scene.run(scene.now)
        signed = scene.calls[-1][2]["webhook-signature"].split(" ")
        assert len(signed) == len(secrets)
        assert all(one.startswith("v1,") for one in signed)


def test_what_waits_for_a_webhook_that_is_off_is_not_sent_until_asked_for(scene: Scene) -> None:
    scene.answers = lambda _: 500
    scene.tell()
    scene.run(AT)
    update = partial(scene.webhooks.update, Environment.LIVE, scene.webhook.id)
    update(Settings(disabled=True), scene.now)
    scene.run(AT + DAY)
    assert (len(scene.calls), scene.only().state) == (1, DeliveryState.FAILED)
    update(Settings(disabled=False), scene.now)
    scene.answers = lambda _: 204
    scene.webhooks.resend(Environment.LIVE, scene.webhook.id, scene.only().id, scene.now)
    scene.run(scene.now)
    assert scene.only().state is DeliveryState.DELIVERED


def test_a_long_pause_waits_in_the_table_and_comes_to_its_queue(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/decisions/0010: a queue delays for a quarter of an hour at most."""
    now = runtime.clock()
    text = '{"webhook":{"env":"sandbox","id":"none","delivery":"msg","tries":4}}'
    queued()
    runtime.due_times().keep(SANDBOX, now + 2 * LONGEST_DELAY_MS, text, now)
    assert not queued()
    monkeypatch.setattr(runtime, "clock", lambda: now + 2 * LONGEST_DELAY_MS)
    here.handlers["due_times"]({}, None)
    assert [one["body"] for one in queued()] == [text]


# ------------------------------------------------------------------ words


def words(detail_type: str, detail: dict[str, Any], dialect: str = "autumn") -> list[tuple[str, Any]]:
    return [(one.type, json.loads(one.payload)) for one in told(detail_type, detail, PayloadDialect(dialect))]


def test_tollgates_own_words_are_the_events() -> None:
    detail = limit()
    body = {"type": "balance.limit_reached", "timestamp": "2026-09-21T14:13:20.000Z", "data": detail}
    assert words("balance.limit_reached", detail, "tollgate") == [("balance.limit_reached", body)]
    assert words("usage.recorded", detail, "tollgate") == []
    assert words("webhook.paused", detail, "tollgate") == []


def test_an_alert_in_autumns_words() -> None:
    crossed = {"name": "80", "threshold": 80, "threshold_type": "usage_percentage", "state": None}
    detail = limit(alert=crossed, entity_id="e1")
    ((type, body),) = words("balance.alert_triggered", detail)
    assert type == "balances.usage_alert_triggered"
    assert body["data"] == {
        "customer_id": "c1",
        "feature_id": "messages",
        "entity_id": "e1",
        "usage_alert": {"name": "80", "threshold": 80, "threshold_type": "usage_percentage"},
        "balance": {"usage": 5, "granted": 5, "remaining": 0},
    }
    assert words("balance.alert_triggered", limit(alert={**crossed, "state": "warning"})) == []


@pytest.mark.parametrize(
    ("what", "action", "status", "scenario"),
    [
        ("started", "activated", "active", "new"),
        ("scheduled", "scheduled", "scheduled", "scheduled"),
        ("updated", "updated", "active", None),
        ("canceled", "updated", "active", "cancel"),
        ("uncanceled", "updated", "active", "renew"),
        ("ended", "expired", "expired", "expired"),
    ],
)
def test_a_subscription_in_autumns_words(what: str, action: str, status: str, scenario: str | None) -> None:
    starts = AT + DAY if what == "scheduled" else AT
    after = subscription(started_at=starts, canceled_at=AT if what == "canceled" else None)
    previous = subscription() if what == "canceled" else None
    detail = {**limit(), "subscription": after, "previous": previous}
    (type, body), *more = words(f"subscription.{what}", detail)
    (change,) = body["data"]["plan_changes"]
    assert (type, body["data"]["customer_id"]) == ("billing.updated", "c1")
    assert (change["action"], change["subscription"]["status"]) == (action, status)
    assert change["previous_attributes"] == ({"canceled_at": None} if what == "canceled" else None)
    found = [(name, told["data"]["scenario"], told["data"]["updated_product"]["id"]) for name, told in more]
    assert found == ([("customer.products.updated", scenario, "pro")] if scenario else [])
