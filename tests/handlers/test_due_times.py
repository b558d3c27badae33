"""What is due is told when its time comes, over virtual time, and no chain of functions is long.

Lambda stops functions that feed each other through queues after about sixteen invocations.
"""

from __future__ import annotations

import heapq
import json
import sys
import uuid
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.http_events import authorized, http_event
from tests.service import NOW, SANDBOX, item
from tollgate import runtime
from tollgate.domain.environments import Environment
from tollgate.domain.errors import Unavailable
from tollgate.store import keys
from tollgate.usecases import due_times
from tollgate.usecases.due_times import Delayed

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
DAY = 24 * HOUR
SCHEDULE = 10 * MINUTE
HOPS = 4  # check, the stream's consumer, the queue's, the stream's again


class Clockwork:
    """The usage queue, the table's stream and the schedule, driven through the real functions on a clock of their own.

    Each message and each stream record knows how many invocations led to it.
    """

    def __init__(self, here: Here, patch: pytest.MonkeyPatch, phase: int) -> None:
        self.here, self.now, self.longest, self.most = here, NOW, 0, HOPS
        self.behind = 0  # by how much the clock of the queue's consumer is
        self._function = ""
        self.told: list[tuple[int, str]] = []
        self.sent = 0
        self.broken = False
        self._depth = 0
        self._numbers = count()
        self._queue: list[tuple[int, int, str, int]] = []  # when it is delivered, its number, body, depth
        self._next_run = NOW + phase
        self._seen = len(self._records())
        patch.setattr(runtime, "clock", lambda: self.now - (self.behind if self._function == "usage_queue" else 0))
        patch.setattr(runtime.due_times(), "_monotonic", lambda: self.now / SECOND)
        patch.setattr(runtime.client("sqs"), "send_message_batch", self._send)
        patch.setattr(runtime.client("events"), "put_events", self._put)

    def _records(self) -> list[dict[str, Any]]:
        client: Any = self.here.service.table.client
        found: list[dict[str, Any]] = client.records(self.here.service.table.name)
        return found

    def _send(self, *, Entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        if self.broken:
            return {"Failed": [{"Id": entry["Id"]} for entry in Entries]}
        for entry in Entries:
            assert 0 <= entry["DelaySeconds"] <= 900
            self.sent += 1
            at = self.now + entry["DelaySeconds"] * SECOND
            heapq.heappush(self._queue, (at, next(self._numbers), entry["MessageBody"], self._depth))
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def _put(self, *, Entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        self.told += [(self.now, entry["DetailType"]) for entry in Entries]
        return {"Entries": [{} for _ in Entries]}

    def invoke(self, function: str, event: dict[str, Any], depth: int) -> dict[str, Any]:
        """Runs a function, and what its writes set off."""
        self._depth, self._function = depth + 1, function
        self.longest = max(self.longest, self._depth)
        answer = self.here.handlers[function](event, CONTEXT)
        self._stream(depth + 1)
        return answer

    def _stream(self, depth: int) -> None:
        new, self._seen = self._records()[self._seen :], len(self._records())
        kinds = ("BALANCE#", "SUBSCRIPTION#", "USE#", "LOCK")  # as the template filters them
        if heard := [one for one in new if one["dynamodb"]["Keys"]["sk"]["S"].startswith(kinds)]:
            self.invoke("usage_events", {"Records": heard}, depth)

    def run(self, until: int) -> None:
        """Lets time pass."""
        while True:
            at = min(self._next_run, self._queue[0][0] if self._queue else self._next_run)
            if at > until:
                self.now = until
                return
            self.now = max(at, self.now)
            if at == self._next_run:
                self._next_run += SCHEDULE
                self.invoke("due_times", {}, 0)
            else:
                _, number, body, depth = heapq.heappop(self._queue)
                record = {"messageId": str(number), "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
                assert self.invoke("usage_queue", {"Records": [record]}, depth) == {"batchItemFailures": []}

    def hold(self, life: int) -> None:
        """A customer holds a unit for so long."""
        customer = f"held-{uuid.uuid4().hex[:8]}"
        self.here.service.customer(customer, [item(10, None)])
        self._seen = len(self._records())
        lock = {"lock_id": customer, "enabled": True, "expires_at": self.now + life}
        body = {"customer_id": customer, "feature_id": "messages", "required_balance": 1, "lock": lock}
        assert self.invoke("check", _check(body), 0)["statusCode"] == 200

    def waiting(self) -> int:
        """How many due times wait in the table."""
        client: Any = self.here.service.table.client
        items = client.scan(TableName=self.here.service.table.name)["Items"]
        return sum(one["pk"]["S"].startswith("sandbox#due#") for one in items)

    def expired(self) -> list[int]:
        return [at for at, kind in self.told if kind == "reservation.expired"]


def _check(body: dict[str, Any]) -> dict[str, Any]:
    return authorized(http_event("POST /v1/balances.check", body))


@pytest.fixture(params=[1, 3 * MINUTE, SCHEDULE - 1])
def clockwork(here: Here, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Clockwork]:
    made = Clockwork(here, monkeypatch, request.param)
    yield made
    assert made.waiting() == 0
    assert made.longest <= made.most
    monkeypatch.undo()


LIVES = (
    1,
    5 * SECOND,
    15 * MINUTE,
    15 * MINUTE + 1,
    25 * MINUTE + 1,
    26 * MINUTE,
    HOUR,
    4 * HOUR,
    11 * HOUR + 17,
    DAY,
)


@pytest.mark.parametrize("life", LIVES)
def test_the_end_of_a_reservation_is_told_once_within_a_second_whatever_its_life(
    clockwork: Clockwork, life: int
) -> None:
    due = NOW + life
    clockwork.hold(life)
    clockwork.run(due - 1)
    assert clockwork.expired() == []
    clockwork.run(due + SECOND)
    (told,) = clockwork.expired()
    assert due <= told < due + SECOND
    assert clockwork.sent == 1
    clockwork.run(due + HOUR)
    assert len(clockwork.expired()) == 1


@pytest.mark.parametrize("life", [5 * SECOND, HOUR])
def test_a_consumer_whose_clock_is_behind_sends_a_message_on_once(clockwork: Clockwork, life: int) -> None:
    clockwork.behind, clockwork.most = 3 * SECOND, HOPS + 1
    clockwork.hold(life)
    clockwork.run(NOW + life + HOUR)
    (told,) = clockwork.expired()
    assert told - NOW - life < 4 * SECOND
    assert clockwork.sent == 2


def test_a_message_that_waited_under_the_release_before_goes_on_in_the_table(clockwork: Clockwork) -> None:
    """It was sent on every quarter of an hour, and is delivered once more."""
    clockwork.hold(5 * HOUR)
    assert clockwork.waiting() == 1
    clockwork.here.service.table.client.delete_item(TableName=clockwork.here.service.table.name, Key=_only(clockwork))
    (lock,) = [one for one in clockwork._records() if one["dynamodb"]["Keys"]["sk"]["S"] == "LOCK"][-1:]
    digest = lock["dynamodb"]["Keys"]["pk"]["S"].rpartition("#")[2]
    body = json.dumps({"due": {"env": "sandbox", "lock": digest, "expires_at": NOW + 5 * HOUR}}, separators=(",", ":"))
    heapq.heappush(clockwork._queue, (NOW + 15 * MINUTE, -1, body, 0))
    clockwork.run(NOW + 5 * HOUR + SECOND)
    assert len(clockwork.expired()) == 1


def _only(clockwork: Clockwork) -> Any:
    client: Any = clockwork.here.service.table.client
    items = client.scan(TableName=clockwork.here.service.table.name)["Items"]
    (found,) = [one for one in items if one["pk"]["S"].startswith("sandbox#due#")]
    return {"pk": found["pk"], "sk": found["sk"]}


def test_what_the_queue_does_not_take_is_handed_over_by_the_next_run(clockwork: Clockwork) -> None:
    clockwork.hold(HOUR)
    clockwork.run(NOW + 40 * MINUTE)
    clockwork.broken = True
    with pytest.raises(Unavailable):
        clockwork.run(NOW + HOUR - 5 * MINUTE)
    clockwork.broken = False
    clockwork.run(NOW + HOUR + 10 * MINUTE)
    assert len(clockwork.expired()) == 1


def test_the_schedule_runs_more_often_than_what_it_hands_over_is_ahead() -> None:
    assert "ScheduleExpression: rate(10 minutes)" in (ROOT / "template.yaml").read_text()
    assert SCHEDULE + 4 * MINUTE < due_times.LONGEST_DELAY_MS


# ------------------------------------------------------------------ many at once


@pytest.fixture
def sent(here: Here, monkeypatch: pytest.MonkeyPatch) -> list[Delayed]:
    found: list[Delayed] = []
    monkeypatch.setattr(runtime.due_times(), "_send", found.extend)
    assert here
    return found


def test_all_that_is_due_is_handed_over_in_both_environments_and_the_rest_stays(
    here: Here, sent: list[Delayed]
) -> None:
    due = runtime.due_times()
    for number in range(530):
        due.keep(Environment.LIVE if number % 2 else SANDBOX, NOW + HOUR + number, f"m{number}", NOW)
        due.keep(SANDBOX, NOW + 2 * HOUR, f"later{number}", NOW)
    assert sent == []
    due.hand_over(NOW + 50 * MINUTE)
    assert {one.body for one in sent} == {f"m{number}" for number in range(530)}
    assert len(sent) == 530
    assert {one.seconds for one in sent} == {600, 601}
    due.hand_over(NOW + 50 * MINUTE)
    assert len(sent) == 530
    due.hand_over(NOW + 3 * HOUR)
    assert len(sent) == 1060
    assert here.service.table.query(keys.due_times(SANDBOX, 0)) == []


def test_a_due_time_that_is_kept_twice_comes_once(here: Here, sent: list[Delayed]) -> None:
    """A stream record may come again."""
    for _ in range(2):
        runtime.due_times().keep(SANDBOX, NOW + HOUR, "again", NOW)
    runtime.due_times().hand_over(NOW + HOUR)
    assert [one.body for one in sent] == ["again"]
    assert here


def test_where_there_is_no_time_left_the_next_run_goes_on(
    here: Here, sent: list[Delayed], monkeypatch: pytest.MonkeyPatch
) -> None:
    due = runtime.due_times()
    for number in range(900):  # more than a page in each shard
        due.keep(SANDBOX, NOW + HOUR, f"m{number}", NOW)
    ticks = count(step=int(due_times.SECONDS))
    monkeypatch.setattr(due, "_monotonic", lambda: next(ticks))
    due.hand_over(NOW + HOUR)
    assert 0 < len(sent) < 900
    due.hand_over(NOW + HOUR)
    due.hand_over(NOW + HOUR)
    assert {one.body for one in sent} == {f"m{number}" for number in range(900)}
    assert here
    assert "functions.due_times.app" in sys.modules
