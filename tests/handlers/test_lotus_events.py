"""Lotus's events through the handlers: what is taken and what is not, and that each is counted once, whatever is delivered
how often (lotus.md 0.5, 0.7, 1.6, 1.7).

Rules: lotus.md 0.1, 0.6, 2.3.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.lotus import Lotus, ago, free, paid
from tollgate.domain.idempotency import DAY_MS

TOO_FAR = (
    "Time created too far in the past or future. Events must be within 30 days before or 1 day ahead of current time."
)


@pytest.fixture(scope="module")
def lotus(here: Here) -> Lotus:
    return Lotus(here)


class TestTaking:
    def test_a_batch_a_list_and_one_alone_are_taken(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 10))
        one, two, three = (lotus.event(customer, metric) for _ in range(3))
        alone = {**three, "$type": "track_event", "library": "lotus-python", "sentAt": ago()}  # sync_mode
        for body in ({"batch": [one]}, [two], alone):
            assert lotus.post("track/", body) == (201, {"success": "all"})
        lotus.deliver()
        assert lotus.access(customer, metric) == (True, [(3, 10, 10)])

    def test_a_batch_is_taken_but_for_the_events_that_fail(self, lotus: Lotus) -> None:
        good = lotus.event("c", "e")
        bad = lotus.event("", "e", idempotency_id="bad")
        bad["customer_id"] = None
        reasons = {"bad": "No customer_id provided"}
        assert lotus.post("track/", {"batch": [good, bad]}) == (201, {"success": "some", "failed_events": reasons})
        assert lotus.post("track/", {"batch": [bad]}) == (400, {"success": "none", "failed_events": reasons})
        assert len(lotus.bodies()) == 1

    @pytest.mark.parametrize(
        ("change", "id", "reason"),
        [
            ({"idempotency_id": None}, "no_idempotency_id", "No idempotency_id provided"),
            ({"idempotency_id": "i", "customer_id": None}, "i", "No customer_id provided"),
            ({"idempotency_id": "i", "event_name": None}, "i", "No event_name provided"),
            ({"idempotency_id": "i", "time_created": None}, "i", "Invalid time_created"),
            ({"idempotency_id": "i", "time_created": "yesterday"}, "i", "Invalid time_created"),
            ({"idempotency_id": "i", "time_created": ago(days=31)}, "i", TOO_FAR),
            ({"idempotency_id": "i", "time_created": ago(days=-2)}, "i", TOO_FAR),
            ({"idempotency_id": "i", "properties": "x"}, "i", "Invalid properties"),
            ({"idempotency_id": "i", "customer_id": "a#b"}, "i", None),
        ],
    )
    def test_an_event_that_misfits_fails_with_a_reason(
        self, lotus: Lotus, change: dict[str, Any], id: str, reason: str | None
    ) -> None:
        status, answer = lotus.post("track/", {**lotus.event("c", "e"), **change})
        assert (status, answer["success"], set(answer["failed_events"])) == (400, "none", {id})
        assert reason is None or answer["failed_events"][id] == reason
        assert lotus.bodies() == []

    @pytest.mark.parametrize("body", ["{broken", '{"batch": [', "\x00"])
    def test_broken_json_fails_as_one_event(self, lotus: Lotus, body: str) -> None:
        failed = {"no_idempotency_id": "Invalid JSON"}
        assert lotus.post("track/", body) == (400, {"success": "none", "failed_events": failed})

    def test_times_with_a_space_or_a_t_with_or_without_an_offset(self, lotus: Lotus) -> None:
        now = datetime.now(UTC)
        for text in (
            str(now),  # what lotus-python sends: 2026-11-22 00:43:15.190204+00:00
            now.isoformat(),
            now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            now.strftime("%Y-%m-%dT%H:%M:%S.123456789Z"),
            now.replace(tzinfo=None).isoformat(),
            (now + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S+01:00"),
        ):
            assert lotus.post("track/", lotus.event("c", "e", time_created=text))[0] == 201, text
        for delta in (timedelta(days=30), timedelta(days=-1, minutes=1)):
            near = (now - delta + timedelta(minutes=1)).isoformat()
            assert lotus.post("track/", lotus.event("c", "e", time_created=near))[0] == 201
        lotus.bodies()

    def test_a_batch_as_large_as_the_sdk_sends_is_split_into_messages_that_fit(self, lotus: Lotus) -> None:
        batch = [lotus.event("c", "e", text="x" * 27_000) for _ in range(17)]
        assert lotus.post("track/", {"batch": batch}) == (201, {"success": "all"})
        bodies = lotus.bodies()
        assert len(bodies) == 3
        assert max(map(len, bodies)) < 256 * 1024


class TestCounting:
    def test_each_id_counts_once_however_often_it_is_sent_or_delivered(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 10))
        event = lotus.event(customer, metric, value=2)
        lotus.report(event, event)
        lotus.report(event)
        lotus.post("track/", event)
        (body,) = lotus.bodies()
        lotus.deliver([body, body])
        assert lotus.access(customer, metric) == (True, [(2, 10, 10)])

    def test_an_id_is_remembered_for_45_days(self, lotus: Lotus) -> None:
        event = lotus.event(lotus.customer(), "e")
        lotus.report(event)
        items = lotus.here.service.table.client.scan(TableName=lotus.here.service.table.name)["Items"]
        (kept,) = [item for item in items if item.get("about", {}).get("S") == event["customer_id"]]
        left = int(kept["kept_until"]["N"]) - int(datetime.now(UTC).timestamp() * 1000)
        assert 44.99 * DAY_MS < left <= 45 * DAY_MS

    def test_usage_goes_past_any_limit(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(paid(metric, 1, 2))
        control = {"spend_limits": [{"feature_id": metric, "enabled": True, "overage_limit": 1}]}
        lotus.manage("customers.update", customer_id=customer, billing_controls=control)
        lotus.report(lotus.event(customer, metric, value=50))
        assert lotus.access(customer, metric) == (False, [(50, 1, 2)])
        status, answer = lotus.here.call("check", "POST /v1/check", {"customer_id": customer, "feature_id": metric})
        assert (status, answer["allowed"], answer["balance"]["usage"]) == (200, False, 50)

    def test_one_event_counts_in_every_feature_that_hears_it(self, lotus: Lotus) -> None:
        name = f"e-{uuid.uuid4().hex[:8]}"
        calls = lotus.feature(meter={"event_name": name, "aggregation": {"type": "COUNT"}})
        tokens = lotus.feature(meter={"event_name": name, "aggregation": {"type": "SUM", "field": "tokens"}})
        large = lotus.feature(
            meter={
                "event_name": name,
                "aggregation": {"type": "MAX", "field": "tokens"},
                "filters": [{"key": "model", "values": ["large"]}],
            }
        )
        customer = lotus.customer(free(calls, 10), free(tokens, 1000), free(large, 1000))
        lotus.report(
            lotus.event(customer, name, tokens=100, model="small"),
            lotus.event(customer, name, tokens="250", model="large"),
            lotus.event(customer, name, model="large"),
        )
        assert [lotus.access(customer, id)[1] for id in (calls, tokens, large)] == [
            [(3, 10, 10)],
            [(350, 1000, 1000)],
            [(250, 1000, 1000)],
        ]

    @pytest.mark.parametrize(
        ("aggregation", "values", "usage"),
        [
            ({"type": "COUNT"}, [5, 7], 2),
            ({"type": "SUM", "field": "n"}, [5, 7], 12),
            ({"type": "SUM_WITH_MULTIPLIER", "field": "n", "multiplier": 0.5}, [5, 7], 6),
            ({"type": "MAX", "field": "n"}, [5, 7, 6], 7),
            ({"type": "LATEST", "field": "n"}, [5, 7, 6], 6),
            ({"type": "AVG", "field": "n"}, [5, 7, 9], 7),
            ({"type": "COUNT_UNIQUE", "field": "n"}, ["a", "b", "a"], 2),
        ],
    )
    def test_each_aggregation_counts_repeated_events_once(
        self, lotus: Lotus, aggregation: dict[str, Any], values: list[Any], usage: int
    ) -> None:
        name = f"e-{uuid.uuid4().hex[:8]}"
        metric = lotus.feature(meter={"event_name": name, "aggregation": aggregation})
        customer = lotus.customer(free(metric, 100))
        events = [lotus.event(customer, name, n=n, time_created=ago(minutes=9 - i)) for i, n in enumerate(values)]
        lotus.report(*events)
        lotus.report(*events)
        assert lotus.access(customer, metric) == (True, [(usage, 100, 100)])

    def test_weighted_by_the_rest_of_the_period(self, lotus: Lotus) -> None:
        name = f"e-{uuid.uuid4().hex[:8]}"
        metric = lotus.feature(meter={"event_name": name, "aggregation": {"type": "WEIGHTED_SUM", "field": "n"}})
        customer = lotus.customer({"feature_id": metric, "included": 100, "reset": {"interval": "year"}})
        lotus.report(lotus.event(customer, name, n=10))
        ((usage, _, _),) = lotus.access(customer, metric)[1]
        assert 9.999 < usage <= 10  # it has just begun
        once = lotus.customer({"feature_id": metric, "included": 100})
        lotus.report(lotus.event(once, name, n=10))
        assert lotus.access(once, metric)[1] == [(10, 100, 100)]

    def test_large_properties_are_counted_and_kept_as_far_as_they_fit(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 10))
        lotus.report(lotus.event(customer, metric, first=1, text="x" * 30_000, value=3))
        assert lotus.access(customer, metric) == (True, [(3, 10, 10)])

    def test_an_event_that_nothing_hears_is_received(self, lotus: Lotus) -> None:
        event = lotus.event(lotus.customer(free(lotus.feature(), 1)), "unheard")
        lotus.report(event)
        assert lotus.post("verify_idems_received", {"idempotency_ids": event["idempotency_id"]})[1] == {
            "status": "success",
            "ids_not_found": [],
        }


class TestUnknownCustomers:
    def test_their_events_wait_and_are_counted_once_when_they_hold_something(self, lotus: Lotus) -> None:
        metric, customer = lotus.feature(), f"c-{uuid.uuid4().hex[:8]}"
        event, other = lotus.event(customer, metric, value=2), lotus.event(customer, "unheard")
        lotus.report(event, lotus.event(customer, metric), other)
        lotus.report(event)
        status, answer = lotus.get("metric_access", {"customer_id": customer, "metric_id": metric})
        assert (status, answer["title"]) == (400, "does_not_exist")
        ids = [event["idempotency_id"], other["idempotency_id"]]
        assert lotus.post("verify_idems_received", {"idempotency_ids": ids})[1]["ids_not_found"] == []
        lotus.manage("customers.get_or_create", customer_id=customer)
        lotus.stream(customer)  # it holds nothing yet: they wait on
        lotus.attach(customer, free(metric, 10))
        lotus.stream(customer)
        lotus.stream(customer)
        assert lotus.access(customer, metric) == (True, [(3, 10, 10)])
        lotus.report(event)
        assert lotus.access(customer, metric) == (True, [(3, 10, 10)])

    def test_a_known_customer_that_holds_nothing_of_it_has_used_nothing(self, lotus: Lotus) -> None:
        """As in Lotus, where an event before a subscription's start is not its usage."""
        metric, customer = lotus.feature(), lotus.customer()
        lotus.report(lotus.event(customer, metric))
        lotus.attach(customer, free(metric, 10))
        lotus.stream(customer)
        assert lotus.access(customer, metric) == (True, [(0, 10, 10)])


class TestVerify:
    def test_ids_by_list_by_text_and_by_customer(self, lotus: Lotus) -> None:
        mine, others = lotus.event(lotus.customer(), "e"), lotus.event(lotus.customer(), "e")
        lotus.report(mine, others)
        ids = [mine["idempotency_id"], others["idempotency_id"], "never sent"]

        def missing(**more: Any) -> list[str]:
            status, answer = lotus.post("verify_idems_received/", {"idempotency_ids": ids, **more})
            assert (status, answer["status"]) == (200, "success")
            found: list[str] = answer["ids_not_found"]
            return found

        assert missing() == ["never sent"]
        assert missing(number_days_lookback=1) == ["never sent"]
        assert missing(customer_id=mine["customer_id"]) == [ids[1], "never sent"]
        assert lotus.post("verify_idems_received/", {"idempotency_ids": "never sent"}) == (
            200,
            {"status": "success", "ids_not_found": ["never sent"]},
        )

    @pytest.mark.parametrize("body", [{}, {"idempotency_ids": []}, []])
    def test_ids_are_required(self, lotus: Lotus, body: Any) -> None:
        failure = {"status": "failure", "error": "idempotency_ids is required"}
        assert lotus.post("verify_idems_received/", body) == (400, failure)

    def test_ping_names_the_organization(self, lotus: Lotus) -> None:
        status, answer = lotus.get("ping/")
        assert status == 200
        assert len(answer["organization_id"].removeprefix("org_")) == 32
        assert lotus.get("ping/", environment="live")[1] != answer
