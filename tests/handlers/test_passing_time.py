"""What time alone brings about is told when its time comes, once, with the boundary as its time (management.md 16)."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_due_times import DAY, HOUR, MINUTE, SCHEDULE, SECOND, Clockwork
from tests.service import HOURLY, NOW, SANDBOX, item
from tollgate.domain.balances import BalanceKey
from tollgate.domain.customers import Customer, Entity
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.grants import RolloverRule
from tollgate.domain.periods import Interval, Reset, after, next_boundary
from tollgate.domain.plans import FreeTrial, Plan, PlanItem
from tollgate.domain.subscriptions import Terms
from tollgate.usecases.customers import SubscriptionFilter, SubscriptionUpdate

MONTH = Reset(Interval.MONTH)
DAILY = Reset(Interval.DAY)
MONTH_END = after(NOW, Interval.MONTH, 1)
MESSAGES = (item(100, DAILY),)


class Passing(Clockwork):
    """Time over customers with plans. `down` until: the bus takes nothing before. `twice`: each message comes twice."""

    def __init__(self, here: Here, patch: pytest.MonkeyPatch, phase: int = 3 * MINUTE) -> None:
        self.details: list[tuple[str, dict[str, Any]]] = []
        self.down, self.twice = 0, False
        super().__init__(here, patch, phase)
        self._pending: list[dict[str, Any]] = []

    def _put(self, *, Entries: list[dict[str, Any]], **more: Any) -> dict[str, Any]:  # noqa: N803 - botocore's names
        if self.now < self.down:
            return {"Entries": [{"ErrorCode": "InternalFailure"} for _ in Entries], "FailedEntryCount": len(Entries)}
        self.details += [(entry["DetailType"], json.loads(entry["Detail"])) for entry in Entries]
        return super()._put(Entries=Entries, **more)

    def _stream(self, depth: int) -> None:
        seen = self._seen
        for one in self._records()[seen:]:
            one["dynamodb"].setdefault("_at", self.now // SECOND)
            one["dynamodb"]["ApproximateCreationDateTime"] = one["dynamodb"]["_at"]
        try:
            super()._stream(depth)
        except Exception as error:
            if "InternalFailure" not in str(error):
                raise
            self._seen = seen  # the batch comes again

    def invoke(self, function: str, event: dict[str, Any], depth: int) -> dict[str, Any]:
        if function == "usage_queue" and self.twice:
            super().invoke(function, event, depth)
        return super().invoke(function, event, depth)

    def run(self, until: int) -> None:
        """Lets time pass. What the schedule finds is asked for around each due time; runs that are to find none are left
        out, which test_due_times.py lets happen."""
        while True:
            if not self._queue:
                quiet = (min(self._next_due(), until) - HOUR - self._next_run) // SCHEDULE
                self._next_run += max(0, quiet) * SCHEDULE
            super().run(min(until, max(self.now, self._next_run) + 2 * HOUR))
            if self.now >= until:
                return

    def _next_due(self) -> int:
        client: Any = self.here.service.table.client
        items = client.scan(TableName=self.here.service.table.name)["Items"]
        return min((int(one["sk"]["S"][:14]) for one in items if "#due#" in one["pk"]["S"]), default=2**62)

    def subscribe(self, id: str, *items: PlanItem, **terms: Any) -> str:
        """A customer with a plan of these items from now on; the subscription's id."""
        customers, catalogs = self.here.service.customers, self.here.service.catalogs
        customers.get_or_create(SANDBOX, Customer(id), None, self.now)
        plan = f"plan-{uuid.uuid4().hex}"
        catalogs.create_plan(SANDBOX, Plan(plan, plan, items=items))
        found, _ = customers.attach(CustomerRef(SANDBOX, id), plan, None, self.now, Terms(**terms))
        self._stream(0)
        return found.id

    def cancel(self, id: str, subscription: str) -> None:
        update = SubscriptionUpdate("cancel_end_of_cycle", {}, False)
        which = SubscriptionFilter(subscription, None, None)
        self.here.service.customers.update_subscription(CustomerRef(SANDBOX, id), which, update, self.now)
        self._stream(0)

    def use(self, id: str, amount: int) -> None:
        body = {"customer_id": id, "feature_id": "messages", "required_balance": amount, "send_event": True}
        status, answer = self.here.call("check", "POST /v1/balances.check", body)
        assert status == 200
        assert answer["allowed"]
        self._stream(0)

    def of(self, id: str, *types: str) -> list[tuple[str, int]]:
        """What was told of a customer: types and times, each id once."""
        found = {
            detail["id"]: (kind, detail["timestamp"]) for kind, detail in self.details if detail["customer_id"] == id
        }
        return [one for one in found.values() if not types or one[0] in types]


@pytest.fixture
def passing(here: Here, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passing]:
    client: Any = here.service.table.client
    for left in client.scan(TableName=here.service.table.name)["Items"]:
        if "#due#" in left["pk"]["S"]:  # of the tests before
            client.delete_item(TableName=here.service.table.name, Key={"pk": left["pk"], "sk": left["sk"]})
    made = Passing(here, monkeypatch)
    yield made
    assert made.longest <= made.most
    monkeypatch.undo()


def test_a_reset_is_told_within_a_second_of_its_boundary_and_once(passing: Passing) -> None:
    passing.subscribe("reset", *MESSAGES)
    passing.use("reset", 30)
    passing.details.clear()
    passing.told.clear()
    passing.run(NOW + DAY - 1)
    assert passing.of("reset") == []
    passing.run(NOW + DAY + SECOND)
    assert passing.of("reset") == [("balance.reset", NOW + DAY)]
    ((_, detail),) = passing.details
    assert detail["value"] == 30
    assert detail["balance"]["remaining"] == 100
    assert NOW + DAY <= passing.told[0][0] < NOW + DAY + SECOND
    passing.run(NOW + 3 * DAY + SECOND)
    assert passing.of("reset") == [("balance.reset", NOW + n * DAY) for n in (1, 2, 3)]


def test_a_use_after_the_boundary_tells_of_the_reset_and_time_does_not_again(passing: Passing) -> None:
    """Whoever writes first after the boundary has done the reset; the balance is right without anybody's telling."""
    passing.subscribe("first", *MESSAGES)
    passing.use("first", 100)
    passing.details.clear()
    passing.run(NOW + DAY - 1)
    passing.now = NOW + DAY  # before the message has come
    passing.use("first", 60)
    passing.run(NOW + DAY + HOUR)
    assert passing.of("first", "balance.reset") == [("balance.reset", NOW + DAY)]
    assert passing.here.service.remaining("first", passing.now) == 40


def test_a_trial_that_ends_and_a_subscription_that_ends_are_told(passing: Passing) -> None:
    trial = FreeTrial(3, Interval.DAY)
    id = passing.subscribe("trial", *MESSAGES, free_trial=trial, cycle=MONTH)
    passing.details.clear()
    passing.run(NOW + 4 * DAY)
    assert passing.of("trial", "subscription.trial_ended") == [("subscription.trial_ended", NOW + 3 * DAY)]
    passing.cancel("trial", id)
    end = next_boundary(NOW + 3 * DAY, MONTH, passing.now)
    assert end is not None
    assert [kind for kind, _ in passing.of("trial", "subscription.canceled")] == ["subscription.canceled"]
    passing.run(end - 1)
    assert passing.of("trial", "subscription.ended", "balance.lapsed") == []
    passing.run(end + SECOND)
    assert set(passing.of("trial", "subscription.ended", "balance.lapsed")) == {
        ("subscription.ended", end),
        ("balance.lapsed", end),
    }
    passing.run(end + DAY)
    assert len(passing.of("trial", "subscription.ended")) == 1


def test_a_subscription_that_starts_by_the_clock_is_told_then(passing: Passing) -> None:
    passing.subscribe("later", *MESSAGES, starts_at=NOW + 2 * DAY)
    assert [kind for kind, _ in passing.of("later", "subscription.scheduled", "subscription.started")] == [
        "subscription.scheduled"
    ]
    passing.details.clear()
    passing.run(NOW + 2 * DAY + SECOND)
    assert passing.of("later", "subscription.started") == [("subscription.started", NOW + 2 * DAY)]


def test_a_subscription_that_goes_on_after_all_is_not_told_to_have_ended(passing: Passing) -> None:
    id = passing.subscribe("stays", *MESSAGES, cycle=MONTH)
    passing.cancel("stays", id)
    update = SubscriptionUpdate("uncancel", {}, False)
    which = SubscriptionFilter(id, None, None)
    passing.here.service.customers.update_subscription(CustomerRef(SANDBOX, "stays"), which, update, passing.now)
    passing._stream(0)
    passing.details.clear()
    passing.run(MONTH_END + SECOND)
    assert {kind for kind, _ in passing.of("stays")} == {"balance.reset"}


def test_rollovers_that_end_are_told_at_their_end(passing: Passing) -> None:
    rolls = PlanItem("messages", Decimal(100), reset=MONTH, rollover=RolloverRule(months=1))
    passing.subscribe("rolls", rolls)
    passing.use("rolls", 40)
    passing.details.clear()
    two = after(NOW, Interval.MONTH, 2)
    passing.run(two + SECOND)
    assert ("balance.reset", MONTH_END) in passing.of("rolls")
    assert ("balance.lapsed", two) in passing.of("rolls")


def test_an_hour_in_which_nothing_was_used_passes_in_silence_and_costs_nothing(passing: Passing) -> None:
    passing.subscribe("hourly", item(10, HOURLY))
    passing.details.clear()
    assert (passing.sent, passing.waiting()) == (0, 0)
    passing.run(NOW + 5 * HOUR)
    assert (passing.of("hourly"), passing.sent) == ([], 0)
    passing.use("hourly", 3)
    passing.run(NOW + 9 * HOUR)
    assert passing.of("hourly", "balance.reset") == [
        ("balance.reset", NOW + HOUR),  # what nobody had told of yet: by the write of the use
        ("balance.reset", NOW + 6 * HOUR),
    ]
    assert passing.sent == 1


@pytest.mark.parametrize("fault", ["twice", "down", "cut", "again"])
def test_faults_lose_nothing_and_tell_nothing_twice(
    passing: Passing, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Each message twice; the bus down for an hour; answers of the table lost after they took effect; functions that
    are sent all due times again."""
    trial = FreeTrial(1, Interval.DAY)
    faulty = f"faulty-{fault}"
    id = passing.subscribe(faulty, *MESSAGES, item(7, MONTH), free_trial=trial)
    passing.use(faulty, 60)
    passing.cancel(faulty, id)
    passing.details.clear()
    if fault == "twice":
        passing.twice = True
    elif fault == "down":
        passing.down = NOW + DAY + HOUR
    elif fault == "cut":
        _cut_answers(passing, monkeypatch)
    passing.run(NOW + DAY + 2 * HOUR)
    if fault == "again":
        body = f'{{"reached":{{"env":"sandbox","customer":"{faulty}","at":{NOW + DAY}}}}}'
        record = {"messageId": "x", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
        for _ in range(3):
            passing.invoke("usage_queue", {"Records": [record]}, 0)
    told = passing.of(faulty, "subscription.trial_ended", "subscription.ended", "balance.lapsed", "balance.reset")
    assert Counter(told) == Counter(
        {
            ("subscription.trial_ended", NOW + DAY): 1,
            ("subscription.ended", NOW + DAY): 1,
            ("balance.lapsed", NOW + DAY): 2,
        }
    )
    if fault != "down":
        assert len(passing.details) == len({detail["id"] for _, detail in passing.details})


def _cut_answers(passing: Passing, patch: pytest.MonkeyPatch) -> None:
    """Every second answer to an update is lost after it took effect."""
    from tollgate.aws.connections import NoAnswer

    client: Any = passing.here.service.table.client
    update, count = client.update_item, iter(range(10**6))

    def cut(**request: Any) -> Any:
        answer = update(**request)
        if next(count) % 2 == 0:
            raise NoAnswer("cut")
        return answer

    patch.setattr(client, "update_item", cut)


def test_a_test_clock_that_is_moved_tells_of_what_it_passes(passing: Passing) -> None:
    trial = FreeTrial(3, Interval.DAY)
    passing.here.call(
        "manage", "POST /v1/customers.get_or_create", {"customer_id": "under-a-clock", "name": "Under a clock"}
    )
    passing.subscribe("under-a-clock", *MESSAGES, free_trial=trial)
    body = {"customer_id": "under-a-clock", "frozen_time": NOW + 5 * DAY}
    assert passing.here.call("manage", "POST /v1/customers.advance_test_clock", body)[0] == 200
    passing._stream(0)
    assert passing.of("under-a-clock", "subscription.trial_ended") == [("subscription.trial_ended", NOW + 3 * DAY)]
    assert passing.of("under-a-clock", "balance.reset") == [("balance.reset", NOW + DAY)]
    count = len(passing.details)
    passing.run(NOW + 6 * DAY)
    assert len(passing.details) == count


def test_a_customer_that_is_gone_is_told_nothing_of(passing: Passing) -> None:
    passing.subscribe("gone", *MESSAGES)
    passing.here.service.customers.delete(CustomerRef(SANDBOX, "gone"))
    passing._stream(0)
    passing.details.clear()
    passing.run(NOW + 2 * DAY)
    assert passing.of("gone") == []
    assert passing.waiting() == 0


def test_a_reset_costs_a_due_time_a_read_and_a_write_and_a_use_announces_nothing(
    passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two features that reset at one instant are one due time; what is asked of the table is counted."""
    client: Any = passing.here.service.table.client
    asked: Counter[str] = Counter()

    def counted(name: str) -> None:
        send = getattr(client, name)

        def call(**request: Any) -> Any:
            items = request.get("RequestItems", {})
            deletes = sum(
                "DeleteRequest" in one for writes in items.values() if isinstance(writes, list) for one in writes
            )
            keys = str(request)
            if "#due#" in keys and name == "put_item":
                asked["due time"] += 1
            elif deletes:
                asked["due time gone"] += deletes
            elif name in ("update_item", "put_item") and "#customer#" in keys:
                asked["write"] += 1
            elif name == "query" and "#customer#" in keys:
                asked["read"] += 1
            return send(**request)

        monkeypatch.setattr(client, name, call)

    passing.subscribe("costs", *MESSAGES, PlanItem("dashboard"))
    for name in ("put_item", "batch_write_item", "update_item", "query"):
        counted(name)
    passing.use("costs", 1)
    passing.use("costs", 1)
    assert asked == {"write": 2}  # the uses
    asked.clear()
    passing.run(NOW + DAY + SECOND)
    assert asked == {"due time gone": 1, "read": 1, "write": 1, "due time": 1}  # the last is the next day's


def test_seats_move_to_entities_when_a_plan_that_grants_them_there_starts(passing: Passing) -> None:
    """management.md 5: without anybody's change."""
    service = passing.here.service
    service.catalogs.create_feature(SANDBOX, Feature("bots", "Bots", FeatureType.METERED, consumable=False))
    service.catalogs.create_feature(SANDBOX, Feature("rooms", "Rooms", FeatureType.METERED, consumable=False))
    passing.subscribe("seats", PlanItem("bots", Decimal(5)))
    customer = CustomerRef(SANDBOX, "seats")
    service.customers.create_entity(customer, Entity("room", "rooms"), passing.now)
    service.use("seats", 2, feature="bots", now=passing.now)
    shares = (PlanItem("bots", Decimal(3), entity_feature_id="rooms"),)
    service.catalogs.create_plan(SANDBOX, Plan("shares", "shares", items=shares))
    service.customers.attach(customer, "shares", None, passing.now, Terms(starts_at=NOW + DAY))
    passing.run(NOW + DAY + SECOND)
    held = service.customers.get(customer).balances
    assert [grant.used for grant in held[BalanceKey("bots", "room")].grants] == [2]
    assert held[BalanceKey("bots")].left_off == ()
