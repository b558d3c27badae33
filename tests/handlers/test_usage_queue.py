"""The usage queue's consumer: what is counted, what comes again, and what is put aside with its reason.

Rules: autumn.md 3.12.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Container
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.service import NOW, SANDBOX, item
from tollgate import runtime
from tollgate.dialects.events_in import use_id
from tollgate.domain.balances import BalanceKey
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import NotFound, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.store.codecs.use_records import decode_use_record
from tollgate.store.keys import balance

NUMBER = iter(range(10_000))


class Letters:
    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.sent: list[dict[str, Any]] = []

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - botocore's names
        if self.broken:
            raise ConnectionError(QueueUrl)
        self.sent.append(json.loads(MessageBody))


@pytest.fixture
def customer(here: Here) -> str:
    """A customer with 100 messages."""
    name = f"queue-{next(NUMBER)}"
    here.service.customer(name, [item(100, None)])
    return name


@pytest.fixture
def letters(here: Here, monkeypatch: pytest.MonkeyPatch) -> Letters:
    found = Letters()
    monkeypatch.setattr(runtime.client("sqs"), "send_message", found.send_message)
    assert here
    return found


def message(body: Any, id: str = "m1", receives: int = 1) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": id, "body": text, "attributes": {"ApproximateReceiveCount": str(receives)}}


def event(customer: str, **detail: Any) -> dict[str, Any]:
    """An event as a rule delivers it."""
    full = {"environment": "sandbox", "customer_id": customer, "feature_id": "messages", "value": 2, **detail}
    return {
        "id": f"envelope-{next(NUMBER)}",
        "detail-type": "usage.reported",
        "source": "shop",
        "detail": {name: value for name, value in full.items() if value is not None},
    }


def take_in(here: Here, *messages: dict[str, Any]) -> list[str]:
    """The ids of the messages that are to come again."""
    answer = here.handlers["usage_queue"]({"Records": list(messages)}, CONTEXT)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def used(here: Here, customer: str) -> Decimal:
    return here.service.totals(customer).usage


def test_an_event_counts_once_by_its_own_id_or_its_envelopes(here: Here, customer: str, letters: Letters) -> None:
    named, unnamed = event(customer, id="order-1"), event(customer)
    assert take_in(here, message(named), message(unnamed), message(named), message(unnamed)) == []
    assert take_in(here, message({**named, "id": "another envelope"}), message(unnamed)) == []
    assert used(here, customer) == 4
    assert take_in(here, message({**named, "source": "bakery"})) == []
    assert used(here, customer) == 6  # another source's order-1 is another event
    assert letters.sent == []


def test_two_sources_that_use_one_id_are_two_uses_in_one_write(here: Here, customer: str, letters: Letters) -> None:
    """Of one balance, at one time: the history and the events must tell them apart."""
    id = f"order-of-{customer}"
    events = [{**event(customer, id=id, time=NOW), "source": source} for source in ("shop", "bakery")]
    unnamed = event(customer, time=NOW)
    assert take_in(here, *map(message, [*events, unnamed])) == []
    assert used(here, customer) == 6
    remembered = here.service.table.get(balance(CustomerRef(SANDBOX, customer), BalanceKey("messages")))
    assert remembered is not None
    last = decode_use_record(remembered)
    assert last is not None
    assert sorted(use.id for use in last.uses) == sorted([f"shop:{id}", f"bakery:{id}", unnamed["id"]])
    assert letters.sent == []


def test_no_two_pairs_of_source_and_id_make_one_use_id() -> None:
    pairs = [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("", "a:b:c"), ("com.acme.shop", "c")]
    ids = [use_id(source, id) for source, id in pairs]
    assert len(set(ids)) == len(pairs)
    assert ids[-1] == "com.acme.shop:c"


def test_a_value_is_one_where_none_is_given_and_keeps_its_digits(here: Here, customer: str) -> None:
    take_in(
        here,
        message(event(customer, value=None)),
        message(event(customer, value=None, properties={"value": 2})),
        message(json.dumps(event(customer)).replace('"value": 2', '"value": 0.1234567891')),
    )
    assert used(here, customer) == Decimal("3.1234567891")


def test_an_event_by_name_is_what_the_meters_of_its_features_make_of_its_properties(
    here: Here, customer: str, letters: Letters
) -> None:
    meter = {"event_name": "render", "aggregation": {"type": "MAX", "field": "pixels"}}
    for feature in (
        Feature("renders", "Renders", FeatureType.METERED, event_names=("render",)),
        Feature("largest", "Largest", FeatureType.METERED, extra={"meter": meter}),
    ):
        here.service.catalogs.create_feature(SANDBOX, feature)
        here.service.attach(customer, [item(100, None, feature.id)], add_on=True)
    told = [
        message(event(customer, feature_id=None, event_name="render", value=None, id=f"{customer}-{n}", properties=p))
        for n, p in enumerate(({"pixels": 7}, {"pixels": 9, "value": 3}, {"pixels": 2}))
    ]
    for _ in range(2):
        assert take_in(here, *told) == []
    usage = {id: here.service.totals(customer, id, now=NOW).usage for id in ("renders", "largest")}
    assert usage == {"renders": 1 + 3 + 1, "largest": 9}
    assert letters.sent == []


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ({"customer_id": "no#body"}, "customer_id"),
        ({"feature_id": "nothing"}, "Feature nothing not found"),
        ({"feature_id": None}, "either feature_id or event_name"),
        ({"event_name": "sent"}, "either feature_id or event_name"),
        ({"event_name": "unheard", "feature_id": None}, "Event unheard not found"),
        ({"event_name": "unheard", "feature_id": None, "value": None}, "Event unheard not found"),
        ({"value": None, "properties": {"value": 10**15}}, "properties.value"),
        ({"value": "two"}, "value"),
        ({"value": 10**15}, "value"),
        ({"time": "yesterday"}, "time"),
        ({"time": 1_000_000_000_000}, "at most a year ago"),  # seconds' worth of zeros missing: 2001
        ({"time": 32_503_680_000_000}, "an hour ahead"),
        ({"environment": "test"}, "environment"),
        ({"properties": {"text": "x" * 5000}}, "4096"),
        ({"id": ""}, "id"),
    ],
)
def test_a_mistake_is_put_aside_with_its_reason_and_the_rest_is_counted(
    here: Here, customer: str, letters: Letters, detail: dict[str, Any], reason: str
) -> None:
    bad = event(customer, **detail)
    assert take_in(here, message(event(customer), "m1"), message(bad, "m2"), message(event(customer), "m3")) == []
    assert used(here, customer) == 4
    (letter,) = letters.sent
    assert reason in letter["reason"]
    assert json.loads(letter["message"]) == bad


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"env": "sandbox"}', '{"env": "mars", "items": []}'])
def test_what_is_no_message_of_ours_is_put_aside(here: Here, letters: Letters, body: str) -> None:
    assert take_in(here, message(body)) == []
    assert letters.sent[0]["message"] == body


def test_one_bad_use_of_a_batch_is_put_aside_alone(here: Here, customer: str, letters: Letters) -> None:
    items = [
        {"id": f"{customer}-{n}", "customer_id": customer, "feature_id": feature, "value": 3}
        for n, feature in enumerate(("messages", "nothing", "messages"))
    ]
    body = {"env": "sandbox", "key_id": "key_test", "at": NOW, "items": items}
    assert take_in(here, message(body)) == []
    assert used(here, customer) == 6
    (letter,) = letters.sent
    assert json.loads(letter["message"]) == {**body, "items": [items[1]]}


class Delivery(NamedTuple):
    """One arrival of a message at the consumer."""

    receives: int  # how often the queue has handed it out, this time included
    again: bool  # whether a failure is to bring it back


@pytest.mark.parametrize("delivery", [Delivery(1, True), Delivery(4, True), Delivery(5, False)])
@pytest.mark.parametrize(
    "error",
    [Unavailable("busy"), RuntimeError("a defect"), NotFound("customer", "c"), NotFound("entity", "e")],
    ids=["busy", "defect", "early", "early entity"],
)
def test_what_may_succeed_later_comes_again_until_the_last_time(
    here: Here,
    customer: str,
    letters: Letters,
    monkeypatch: pytest.MonkeyPatch,
    delivery: Delivery,
    error: Exception,
) -> None:
    receives, again = delivery
    usage_queue = sys.modules["functions.usage_queue.app"]._consumer.usage_queue
    monkeypatch.setattr(usage_queue, "count", lambda queued, _: [error for _ in queued])
    assert take_in(here, message(event(customer), "m1", receives)) == (["m1"] if again else [])
    assert len(letters.sent) == (0 if again else 1)


def test_a_use_of_an_entity_that_is_about_to_be_made_waits_for_it(here: Here, customer: str, letters: Letters) -> None:
    early = message(event(customer, entity_id="e1"), "m1")
    assert take_in(here, early, message(event(customer), "m2")) == ["m1"]
    here.service.catalogs.create_feature(SANDBOX, Feature("users", "Users", FeatureType.METERED, consumable=False))
    here.service.entity(customer, "e1")
    assert take_in(here, early) == []
    assert used(here, customer) == 4
    assert letters.sent == []


@pytest.mark.parametrize(("receives", "again"), [(1, True), (5, False)])
def test_one_message_that_meets_a_defect_does_not_hold_up_the_others(
    here: Here, customer: str, letters: Letters, monkeypatch: pytest.MonkeyPatch, receives: int, again: bool
) -> None:
    """Such as one about a reservation, which is dealt with before anything is counted: it alone comes again."""
    told: list[str] = []
    monkeypatch.setattr(runtime, "defect", told.append)

    def broken(*_: Any) -> None:
        raise ConnectionError("no queue")

    monkeypatch.setattr("tollgate.dialects.reservations.on_due", broken)
    due = message('{"due":{"env":"sandbox","lock":"l","expires_at":1}}', "m2", receives)
    messages = message(event(customer), "m1"), due, message(event(customer), "m3")
    assert take_in(here, *messages) == (["m2"] if again else [])
    assert used(here, customer) == 4
    assert told == ["message m2 could not be dealt with"]
    assert [letter["reason"] for letter in letters.sent] == ([] if again else ["ConnectionError: no queue"])


def test_a_letter_that_cannot_be_sent_leaves_the_message_in_its_queue(
    here: Here, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.client("sqs"), "send_message", Letters(broken=True).send_message)
    bad = event(customer, feature_id="nothing")
    assert take_in(here, message(bad, "m1"), message(event(customer), "m2")) == ["m1"]
    assert used(here, customer) == 2


def test_a_batch_of_large_uses_goes_in_as_many_requests_as_the_queue_takes(
    here: Here, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request holds 256 KB, and so does a body: with the ids that the uses are given it is more."""
    use = {"customer_id": customer, "feature_id": "messages", "properties": {"text": "x" * 1200}}
    uses = [use] * 200
    assert 240 * 1024 < len(json.dumps(uses)) < 256 * 1024
    sent: list[list[str]] = []

    def send(*, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        sent.append([entry["MessageBody"] for entry in Entries])
        return {}

    monkeypatch.setattr(runtime.client("sqs"), "send_message_batch", send)
    assert here.call("track", "POST /v1/balances.batch_track", uses) == (202, {"success": True})
    assert sum(len(json.loads(body)["items"]) for bodies in sent for body in bodies) == 200
    assert all(sum(map(len, bodies)) < 256 * 1024 for bodies in sent)


class Flaky:
    """A usage queue that answers some requests with a failure, by their number. `takes`: it has taken those all the same."""

    def __init__(self, failures: Container[int], *, takes: bool = False) -> None:
        self.failures = failures
        self.takes = takes
        self.number = 0
        self.bodies: list[str] = []

    def send_message_batch(self, *, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        fails = self.number in self.failures
        self.number += 1
        if self.takes or not fails:
            self.bodies += [entry["MessageBody"] for entry in Entries]
        return {"Failed": Entries} if fails else {}


DAY = 86_400_000
FIRST_CALL = range(1, 4)  # of two requests, the second and its repeats


@pytest.fixture
def batch(customer: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """25 uses, two in a message: more messages than one request takes."""
    monkeypatch.setattr("tollgate.dialects.queue.ITEMS_IN_MESSAGE", 2)
    return [{"customer_id": customer, "feature_id": "messages", "value": 2.5}] * 25


@pytest.fixture
def flaky(here: Here, monkeypatch: pytest.MonkeyPatch) -> Flaky:
    """A queue that takes the first request of a call and not the second, and all of the next call."""
    assert here
    queue = Flaky(FIRST_CALL)
    monkeypatch.setattr(runtime.client("sqs"), "send_message_batch", queue.send_message_batch)
    return queue


def send(here: Here, uses: Any, key: str | None = None, route: str = "batch_track", **headers: str) -> int:
    headers |= {"idempotency-key": key} if key else {}
    return here.call("track", f"POST /v1/balances.{route}", uses, headers=headers)[0]


def count(here: Here, queue: Flaky) -> None:
    for number, body in enumerate(queue.bodies):
        assert take_in(here, message(body, f"m{number}")) == []


def test_a_batch_that_failed_in_the_middle_is_counted_once_when_it_is_repeated_with_its_key(
    here: Here, customer: str, batch: list[dict[str, Any]], flaky: Flaky
) -> None:
    assert [send(here, batch, f"key-{customer}") for _ in range(3)] == [503, 202, 409]
    assert sum(len(json.loads(body)["items"]) for body in flaky.bodies) == 45
    count(here, flaky)
    assert used(here, customer) == Decimal("62.5")


def test_without_a_key_what_was_taken_of_it_is_counted_again(
    here: Here, customer: str, batch: list[dict[str, Any]], flaky: Flaky
) -> None:
    assert [send(here, batch) for _ in range(2)] == [503, 202]
    count(here, flaky)
    assert used(here, customer) == 100  # of 112.5, all that there was


def test_other_uses_under_the_key_of_a_call_that_failed_are_not_taken_for_its_own(
    here: Here, customer: str, batch: list[dict[str, Any]], flaky: Flaky
) -> None:
    other = [{**use, "value": 1.25} for use in batch]
    assert [send(here, uses, f"key-{customer}") for uses in (batch, other)] == [503, 202]
    count(here, flaky)
    assert used(here, customer) == 20 * Decimal("2.5") + 25 * Decimal("1.25")


def test_the_same_uses_under_the_same_key_count_anew_when_its_time_is_over(
    here: Here, customer: str, batch: list[dict[str, Any]], flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The markers of what was counted outlive the key by weeks."""
    flaky.failures = ()
    few = batch[:2]
    assert send(here, few, f"key-{customer}") == 202
    now = runtime.clock()
    monkeypatch.setattr("tollgate.runtime.clock", lambda: now + DAY + 60_000)
    assert send(here, few, f"key-{customer}") == 202
    count(here, flaky)
    assert used(here, customer) == 4 * Decimal("2.5")


@pytest.mark.parametrize("where", ["header", "body"])
def test_an_async_track_whose_answer_was_lost_is_counted_once_when_it_is_repeated_with_its_key(
    here: Here, customer: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    queue = Flaky(range(3), takes=True)
    monkeypatch.setattr(runtime.client("sqs"), "send_message_batch", queue.send_message_batch)
    use = {"customer_id": customer, "feature_id": "messages", "value": 3, "async": True}
    if where == "body":
        statuses = [send(here, {**use, "idempotency_key": f"key-{customer}"}, route="track") for _ in range(3)]
    else:
        statuses = [send(here, use, f"key-{customer}", "track") for _ in range(3)]
    assert statuses == [503, 202, 409]
    count(here, queue)
    assert used(here, customer) == 3


def test_while_the_queue_takes_nothing_only_what_needs_it_is_refused(
    here: Here, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.client("sqs"), "send_message_batch", Flaky(range(100)).send_message_batch)
    use = {"customer_id": customer, "feature_id": "messages", "value": 2}
    assert send(here, [use]) == 503
    assert send(here, {**use, "async": True}, route="track") == 503
    assert used(here, customer) == 0
    assert send(here, {**use, "async": False}, route="track") == 200
    assert here.call("check", "POST /v1/balances.check", {**use, "required_balance": 1})[0] == 200
    assert used(here, customer) == 2
