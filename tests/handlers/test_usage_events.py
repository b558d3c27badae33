"""The stream's consumer: in order, all or nothing for what can be read, and the dead letters for what cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.records import MONTH_END, NOW, held, monthly, record, spent, used, uses, with_limits
from tollgate.domain.balances import Balance, BalanceKey, recomputed
from tollgate.domain.environments import Environment
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import Rollover
from tollgate.domain.history import HOUR_MS, From, Segment
from tollgate.domain.holds import Hold, Part
from tollgate.domain.limits import Alert, Threshold
from tollgate.store.history import ReadBudget


class Bus:
    """Stands for EventBridge; refuses the entries whose number is in `refused`."""

    def __init__(self, refused: Sequence[int] = ()) -> None:
        self.refused = set(refused)
        self.entries: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - botocore's name
        answers = []
        for entry in Entries:
            number = len(self.entries)
            self.entries.append(entry)
            answers.append(
                {"ErrorCode": "Throttled", "ErrorMessage": "no"} if number in self.refused else {"EventId": "e"}
            )
        return {"Entries": answers, "FailedEntryCount": sum("ErrorCode" in answer for answer in answers)}

    @property
    def values(self) -> list[Any]:
        return [json.loads(entry["Detail"])["value"] for entry in self.entries]


class Letters:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:  # noqa: N803 - botocore's names
        assert QueueUrl
        self.bodies.append(json.loads(MessageBody))


@pytest.fixture
def consume(here: Here, monkeypatch: pytest.MonkeyPatch) -> Any:
    handler = here.handlers["usage_events"]
    module = sys.modules["functions.usage_events.app"]

    def run(records: list[dict[str, Any]], bus: Bus) -> Letters:
        letters = Letters()
        monkeypatch.setattr(module, "_events", bus)
        monkeypatch.setattr(module, "_queue", letters)
        handler({"Records": records}, CONTEXT)
        return letters

    return run


def count_to(number: int) -> list[dict[str, Any]]:
    """The records of uses of 1, 2, 3 ... of a balance of 1000."""
    return uses(held(monthly(1000)), list(range(1, number + 1)))


def test_events_go_out_in_order_in_batches_of_ten(consume: Any) -> None:
    bus = Bus()
    consume(count_to(25), bus)
    assert bus.values == list(range(1, 26))


def test_the_same_record_always_gives_the_same_id_and_others_give_others(consume: Any) -> None:
    first, second = Bus(), Bus()
    for bus in (first, second):
        consume(count_to(2), bus)
    ids = [json.loads(entry["Detail"])["id"] for entry in first.entries + second.entries]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


def test_a_refused_entry_fails_the_batch_so_that_it_comes_again(consume: Any) -> None:
    bus = Bus(refused=range(12, 100))
    with pytest.raises(Exception, match="Throttled"):
        consume(count_to(25), bus)
    assert max(bus.values) == 20  # nothing after the batch that failed overtakes it


def test_an_entry_refused_once_is_sent_again_with_all_that_follow_it(consume: Any) -> None:
    bus = Bus(refused=[12])
    consume(count_to(25), bus)
    assert bus.values == [*range(1, 21), *range(13, 21), *range(21, 26)]


@pytest.mark.parametrize(("attribute", "value"), [("rows", {"S": "no JSON"}), ("spent", {"N": "1001"})])
def test_poison_goes_to_the_dead_letters_with_its_reason_and_the_rest_goes_out(
    consume: Any, attribute: str, value: Any
) -> None:
    records = count_to(3)
    records[1]["dynamodb"]["NewImage"][attribute] = value
    bus = Bus()
    letters = consume(records, bus)
    assert bus.values == [1, 3]
    (letter,) = letters.bodies
    assert letter["reason"]
    assert letter["record"]["dynamodb"]["NewImage"]["version"]["N"] == "3"


@pytest.mark.parametrize("what", ["a fence", "a link", "another item"])
def test_what_is_no_change_sends_nothing(consume: Any, what: str) -> None:
    balance, event = held(monthly(1000)), used("use-1", 2)
    if what == "a fence":
        change = record(balance, balance, 2, old_event=event)
        change["dynamodb"]["OldImage"]["version"]["N"] = "2"
    else:
        change = record(balance, balance._replace(has_test_clock=True), 2, old_event=event)
    if what == "another item":
        change["dynamodb"]["Keys"]["sk"]["S"] = "CUSTOMER"
    bus = Bus()
    assert consume([change], bus).bodies == []
    assert bus.entries == []


def told(bus: Bus) -> list[tuple[str, dict[str, Any]]]:
    return [(entry["DetailType"], json.loads(entry["Detail"])) for entry in bus.entries]


def test_a_use_is_told_with_what_each_grant_gave_and_the_balance_after_it(consume: Any) -> None:
    balance = held(monthly(10, "sub_1:0"), monthly(100, "sub_1:1", created_at=NOW + 1))
    event = used("use-1", 25, properties={"model": "small"})
    bus = Bus()
    consume([record(balance, spent(balance, 25), 2, event)], bus)
    ((kind, detail),) = told(bus)
    assert kind == "usage.recorded"
    assert (detail["version"], detail["environment"], detail["customer_id"]) == (1, "sandbox", "c1")
    assert (detail["value"], detail["deducted"], detail["properties"]) == (25, 25, {"model": "small"})
    assert [(moved["balance_id"], moved["value"]) for moved in detail["deductions"]] == [
        ("sub_1:0", 10),
        ("sub_1:1", 15),
    ]
    assert (detail["balance"]["granted"], detail["balance"]["remaining"]) == (110, 85)
    assert detail["cause"] == {"id": "use-1", "key_id": "key_test", "timestamp": NOW + 500}


def test_a_use_after_a_boundary_tells_the_reset_before_it(consume: Any) -> None:
    old = spent(held(monthly(100)), 60)
    grant = monthly(100, used=Decimal(5))._replace(next_reset_at=1_772_323_200_000)  # March 1
    event = used("use-9", 5, MONTH_END + 7)
    bus = Bus()
    consume([record(old, held(grant), 9, event, old_event=used("use-8", 60))], bus)
    (first, reset), (second, use) = told(bus)
    assert (first, reset["value"], reset["timestamp"]) == ("balance.reset", 60, MONTH_END)
    assert (second, use["deducted"], use["deductions"][0]["value"]) == ("usage.recorded", 5, 5)
    assert use["balance"]["remaining"] == 95


def test_grants_lapses_and_what_a_hand_changed_are_told(consume: Any) -> None:
    first, second = monthly(100, "sub_1:0", used=Decimal(30)), monthly(50, "sub_2:0")
    bus = Bus()
    consume(
        [
            record(None, held(first), 1),
            record(held(first), held(first, second), 2),
            record(held(first, second), held(second), 3),
            record(held(second), held(second._replace(used=Decimal(20))), 4),
        ],
        bus,
    )
    assert [(kind, detail["value"], detail["grant"]["balance_id"]) for kind, detail in told(bus)] == [
        ("balance.granted", 100, "sub_1:0"),
        ("balance.granted", 50, "sub_2:0"),
        ("balance.lapsed", 70, "sub_1:0"),
        ("balance.adjusted", -20, "sub_2:0"),
    ]


def test_the_balances_of_a_customer_that_is_gone_lapse(consume: Any) -> None:
    bus = Bus()
    consume([record(held(monthly(100)), None, 5)], bus)
    ((kind, detail),) = told(bus)
    assert (kind, detail["value"], detail["balance"]) == ("balance.lapsed", 100, None)


def test_a_removal_has_ids_of_its_own_though_it_has_the_last_writes_version(consume: Any) -> None:
    """A rollover of a grant ends, and then the grant itself goes with its customer."""
    rolled = held(monthly(100, rollovers=(Rollover(Decimal(30), expires_at=NOW + 10),)))
    bus = Bus()
    consume([record(rolled, held(monthly(100)), 7), record(held(monthly(100)), None, 8)], bus)
    assert [(kind, detail["value"]) for kind, detail in told(bus)] == [("balance.lapsed", 30), ("balance.lapsed", 100)]
    assert len({detail["id"] for _, detail in told(bus)}) == 2


def subscription(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    key = {"pk": {"S": "sandbox#customer#c1"}, "sk": {"S": "SUBSCRIPTION#sub_1"}}
    images = {
        name: {**key, "data": {"S": json.dumps(data)}}
        for name, data in (("OldImage", before), ("NewImage", after))
        if data is not None
    }
    return {
        "eventName": "MODIFY",
        "dynamodb": {"ApproximateCreationDateTime": NOW / 1000, "Keys": key, "SequenceNumber": "7", **images},
    }


STARTED = {
    "id": "sub_1",
    "plan_id": "pro",
    "plan_version": 1,
    "group": None,
    "auto_enable": False,
    "add_on": False,
    "entity_id": None,
    "started_at": NOW,
    "trial_ends_at": None,
    "canceled_at": None,
    "expires_at": None,
    "quantities": {"seats": 5},
}
CANCELED = {**STARTED, "canceled_at": NOW, "expires_at": MONTH_END}


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (None, STARTED, "started"),
        (None, {**STARTED, "started_at": MONTH_END}, "scheduled"),
        (STARTED, CANCELED, "canceled"),
        (CANCELED, STARTED, "uncanceled"),
        (STARTED, {**CANCELED, "expires_at": NOW}, "ended"),
        (STARTED, {**STARTED, "quantities": {"seats": 6}}, "updated"),
        (STARTED, None, "ended"),
        (STARTED, STARTED, None),
        (None, {**STARTED, "created_at": MONTH_END, "started_at": MONTH_END}, "started"),  # a test clock
        ({**STARTED, "created_at": MONTH_END}, {**STARTED, "canceled_at": MONTH_END, "expires_at": MONTH_END}, "ended"),
    ],
)
def test_what_becomes_of_a_subscription_is_told(consume: Any, before: Any, after: Any, what: str | None) -> None:
    bus = Bus()
    consume([subscription(before, after)], bus)
    assert [kind for kind, _ in told(bus)] == ([f"subscription.{what}"] if what else [])
    for _, detail in told(bus):
        assert detail["subscription"]["plan_id"] == "pro"
        assert detail["timestamp"] == NOW


@pytest.mark.parametrize(
    "step", ["before the history", "between its entries and its sums", "before the bus", "in the bus"]
)
def test_a_consumer_that_dies_between_its_steps_tells_all_when_it_comes_again(
    consume: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    module: Any = sys.modules["functions.usage_events.app"]
    customer = step.replace(" ", "-")
    records = uses(held(monthly(1000)), list(range(1, 26)), customer)

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    bus = Bus()
    with monkeypatch.context() as patch:
        if step == "before the history":
            patch.setattr(module._history, "write", die)
        elif step == "between its entries and its sums":
            patch.setattr(module._history, "add", die)
        elif step == "before the bus":
            patch.setattr(module, "packed", die)
        else:
            whole = module._put
            patch.setattr(module, "_put", lambda part: die() if len(bus.entries) >= 10 else whole(part))
        with pytest.raises(Killed):
            consume(records, bus)
    consume(records, bus)
    told_once = {detail["id"]: detail["value"] for _, detail in told(bus)}
    assert sorted(told_once.values()) == list(range(1, 26))
    history = module._history
    hour = Segment(From.HOURS, NOW, NOW + HOUR_MS)
    sums = list(history.sums(Environment.SANDBOX, customer, ["messages"], [hour], ReadBudget(100)))
    assert [(one.uses, one.sum) for one in sums] == [(25, 325)]
    entries = [entry for _, entry in history.entries(Environment.SANDBOX, customer, NOW, NOW + HOUR_MS)]
    assert sorted(entry.value for entry in entries) == list(range(1, 26))


def test_what_a_use_reaches_and_crosses_is_told_once_with_the_use(consume: Any) -> None:
    alert = Alert(Threshold.USAGE_PERCENTAGE, Decimal(90), name="nearly out")
    balance = with_limits(held(monthly(10)), alerts=(alert,))
    bus = Bus()
    consume(uses(balance, [8, 1, 1]), bus)
    kinds = [kind for kind, _ in told(bus)]
    assert kinds == [
        "usage.recorded",
        "usage.recorded",
        "balance.alert_triggered",
        "usage.recorded",
        "balance.limit_reached",
    ]
    alerted, limit = told(bus)[2][1], told(bus)[4][1]
    assert alerted["alert"] == {
        "scope": "customer",
        "name": "nearly out",
        "threshold": 90,
        "threshold_type": "usage_percentage",
        "state": None,
        "condition": None,
    }
    assert (alerted["value"], alerted["cause"]["id"]) == (90, "use-c1-3")
    assert (limit["limit_type"], limit["balance"]["remaining"], limit["cause"]["id"]) == ("included", 0, "use-c1-4")


def test_a_features_own_thresholds_tell_each_change_of_state(here: Here, consume: Any) -> None:
    levels = {"info": 50, "warning": 20, "critical": 5}
    settings = {name: {"threshold": str(value), "condition": "below"} for name, value in levels.items()}
    feature = Feature(
        "wallet", "Wallet", FeatureType.METERED, extra={"alert_settings": {"alert_enabled": True, **settings}}
    )
    here.service.catalogs.create_feature(Environment.SANDBOX, feature)
    module: Any = sys.modules["functions.usage_events.app"]
    module._ledger.features.catalog(Environment.SANDBOX, fresh=True)
    balance = held(monthly(100), key=BalanceKey("wallet"))
    records = uses(balance, [49, 1, 46, 3], "w1")
    refilled = held(monthly(100)._replace(adjustment=Decimal(100)), key=BalanceKey("wallet"))
    records.append(record(spent(balance, 99), refilled, 6, customer="w1"))
    bus = Bus()
    consume(records, bus)
    states = [(d["alert"]["state"], d["value"]) for kind, d in told(bus) if kind == "balance.alert_triggered"]
    assert states == [("info", 50), ("in_alarm", 4), ("ok", 200)]


HELD = Hold("h1", NOW + 5000, (Part(0, "sub_1:0", Decimal(8)),))


def reserved(*holds: Hold, drawn: int) -> Balance:
    return recomputed(held(monthly(100, used=Decimal(drawn)))._replace(holds=holds))


def test_a_hold_that_lapsed_is_no_change_by_hand_and_a_later_use_is_told_alone(consume: Any) -> None:
    before, after = reserved(HELD, drawn=8), reserved(drawn=3)  # 8 came back by themselves, then 3 were used
    bus = Bus()
    consume([record(before, after, 7, used("use-7", 3, NOW + 6000))], bus)
    assert [(kind, d["deducted"], d["deductions"][0]["value"]) for kind, d in told(bus)] == [("usage.recorded", 3, 3)]


def test_a_hold_that_is_confirmed_moves_nothing_and_one_that_is_finalized_moves_the_difference(consume: Any) -> None:
    bus = Bus()
    before = reserved(HELD, drawn=8)
    consume([record(before, reserved(drawn=8), 7)], bus)
    assert told(bus) == []
    consume([record(before, reserved(drawn=5), 7, used("use-7", -3))], bus)
    assert [(kind, d["deductions"][0]["value"]) for kind, d in told(bus)] == [("usage.recorded", -3)]


@pytest.mark.parametrize("ends", ["expired", "removed", "taken anew", "confirmed"])
def test_a_reservation_whose_time_ran_out_is_the_return_of_what_it_held(
    consume: Any, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """S197: events [-8, 8]; here 3 of its own balance, and 5 that cost half a credit."""
    module: Any = sys.modules["functions.usage_events.app"]
    monkeypatch.setattr(module._due_times, "keep", lambda *_: None)
    monkeypatch.setattr(Letters, "send_message", lambda *_, **__: None)
    where = [["messages", "", 3], ["credits", "", "0.5"]]
    data = {"lock_id": "l1", "customer_id": "c1", "feature_id": "messages", "entity_id": "", "value": 8, "held": 8}
    data |= {"places": where, "created_at": NOW, "properties": {"job": 1}, "key": "key_test"}
    key = {"pk": {"S": "sandbox#lock#d1"}, "sk": {"S": "LOCK"}}
    old = {**key, "data": {"S": json.dumps(data)}, "state": {"S": "held"}, "expires_at": {"N": str(NOW + 5000)}}
    new: Any = {
        "expired": {
            **old,
            "state": {"S": "expired"},
            "settled_value": {"N": "0"},
            "settled_at": {"N": str(NOW + 6000)},
        },
        "removed": None,
        "taken anew": {**old, "expires_at": {"N": str(NOW + 9000)}},
        "confirmed": {**old, "state": {"S": "confirmed"}, "settled_value": {"N": "8"}, "settled_at": {"N": str(NOW)}},
    }[ends]
    images = {"OldImage": old, **({"NewImage": new} if new else {})}
    change = {"Keys": key, "SequenceNumber": "9", "ApproximateCreationDateTime": (NOW + 6000) / 1000, **images}
    bus = Bus()
    consume([{"eventName": "MODIFY", "dynamodb": change}], bus)
    uses_told = [detail for kind, detail in told(bus) if kind == "usage.recorded"]
    if ends == "confirmed":
        assert uses_told == []
        return
    assert [(back["deducted"], back["part"]) for back in uses_told] == [(-3, False), (-0.5, True)]
    for back in uses_told:
        assert (back["feature_id"], back["value"], back["properties"]) == ("messages", -8, {"job": 1})
        assert back["timestamp"] == NOW + 5000
    assert len({back["id"] for back in uses_told}) == 2
    assert len({back["cause"]["id"] for back in uses_told}) == 1


def test_a_due_time_that_cannot_be_kept_brings_the_batch_again_and_blames_no_record(
    consume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kept it, the record itself can be read: a dead letter would lose its events."""
    module: Any = sys.modules["functions.usage_events.app"]

    def broken(*_: Any) -> None:
        raise KeyError("Responses")  # of a kind that a record that cannot be read raises too

    monkeypatch.setattr(module._due_times, "keep", broken)
    data = {"lock_id": "l1", "customer_id": "c1", "feature_id": "messages", "entity_id": "", "value": 8, "held": 8}
    data |= {"places": [["messages", "", 8]], "created_at": NOW, "properties": {}, "key": "key_test"}
    key = {"pk": {"S": "sandbox#lock#d1"}, "sk": {"S": "LOCK"}}
    new = {**key, "data": {"S": json.dumps(data)}, "state": {"S": "held"}, "expires_at": {"N": str(NOW + 5000)}}
    change = {"Keys": key, "SequenceNumber": "9", "ApproximateCreationDateTime": NOW / 1000, "NewImage": new}
    bus = Bus()
    letters: list[Any] = []
    monkeypatch.setattr(Letters, "send_message", lambda *_, **sent: letters.append(sent))
    with pytest.raises(KeyError):
        consume([{"eventName": "INSERT", "dynamodb": change}], bus)
    assert letters == []
