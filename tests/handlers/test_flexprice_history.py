"""What was used, as Flexprice asks for it: `events/query`, `/usage`, `/usage/meter`, `/analytics` (flexprice.md 2.7).

Rules: flexprice.md 1.5, 2.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flexprice import models

from tests.conftest import Spent
from tests.flexprice import assert_answer, assert_error, call, sdk
from tests.handlers.conftest import Here
from tests.handlers.flexprice_history import DAY, Flow, flowing
from tests.service import MONTHLY, NOW, SANDBOX
from tollgate import runtime
from tollgate.dialects.flexprice.fields import time_text
from tollgate.domain.customers import Customer
from tollgate.domain.environments import CustomerRef
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.plans import Plan, PlanItem

HOUR = 3_600_000


def meter(name: str, type: str, **more: Any) -> dict[str, Any]:
    return {"meter": {"event_name": name, "aggregation": {"type": type, **more}}}


FEATURES = (
    Feature("calls", "Calls", FeatureType.METERED, extra=meter("call", "COUNT") | {"unit_singular": "call"}),
    Feature("tokens", "Tokens", FeatureType.METERED, extra=meter("call", "SUM", field="tokens")),
    Feature("peak", "Peak", FeatureType.METERED, extra=meter("load", "MAX", field="n")),
    Feature("last", "Last", FeatureType.METERED, extra=meter("load", "LATEST", field="n")),
    Feature("mean", "Mean", FeatureType.METERED, extra=meter("load", "AVG", field="n")),
    Feature("users", "Users", FeatureType.METERED, extra=meter("login", "COUNT_UNIQUE", field="user")),
    Feature("either", "Either", FeatureType.METERED, event_names=("left", "right")),
)
# January 1, 2026 is a Thursday: (id, name, after so many hours, properties)
EVENTS: list[tuple[str, str, float, dict[str, Any]]] = [
    ("e1", "call", 1, {"tokens": 10, "model": "small"}),
    ("e2", "call", 1.5, {"tokens": "2.5", "model": "large"}),
    ("e3", "call", 26, {"tokens": 4, "model": "small"}),
    ("e4", "call", 75, {"model": "small"}),  # no tokens: one call; a Sunday
    ("e5", "load", 2, {"n": 5}),
    ("e6", "load", 3, {"n": 9}),
    ("e7", "load", 50, {"n": 1}),
    ("e8", "login", 4, {"user": "u1"}),
    ("e9", "login", 5, {"user": "u2"}),
    ("e10", "login", 30, {"user": "u1"}),
    ("e11", "left", 6, {}),
]
SOURCES = {"e2": "web", "e3": "app", "e4": "web", "e6": "web"}
END = NOW + 4 * DAY


@pytest.fixture(scope="module")
def flow(here: Here) -> Iterator[Flow]:
    service = here.service
    for feature in FEATURES:
        service.catalogs.create_feature(SANDBOX, feature)
    items = tuple(PlanItem(feature.id, Decimal(1000), reset=MONTHLY) for feature in FEATURES)
    service.catalogs.create_plan(SANDBOX, Plan("all", "All", items=items))
    for id in ("ada", "bob"):
        service.customers.get_or_create(SANDBOX, Customer(id), None, NOW)
        service.customers.attach(CustomerRef(SANDBOX, id), "all", None, NOW)
    with flowing(here) as flow:
        flow.now = END
        flow.send(
            *(
                {
                    "event_id": id,
                    "event_name": name,
                    "external_customer_id": "ada",
                    "timestamp": time_text(NOW + int(hours * HOUR)),
                    "properties": properties,
                    **({"source": SOURCES[id]} if id in SOURCES else {}),
                }
                for id, name, hours, properties in EVENTS
            ),
            {
                "event_id": "b1",
                "event_name": "call",
                "external_customer_id": "bob",
                "timestamp": time_text(NOW + HOUR),
                "properties": {"tokens": 100},
            },
        )
        yield flow


def asked(flow: Flow, path: str, **body: Any) -> Any:
    whole = {"start_time": time_text(NOW), "end_time": time_text(END), **body}
    answer = flow.asked(f"events/{path}", whole)
    assert_answer(f"POST /v1/events/{path}", 200, answer)
    return answer


WRONG = 400, "validation_error"


def refused(flow: Flow, path: str, expected: tuple[int, str] = WRONG, **body: Any) -> str:
    status, answer = flow.post(f"events/{path}", body)
    assert_error(status, answer, expected)
    return str(answer["message"])


def usage(flow: Flow, type: str, name: str = "call", **more: Any) -> Any:
    body = {"external_customer_id": "ada", "event_name": name, "aggregation_type": type, **more}
    return asked(flow, "usage", **body)


class TestQuery:
    def ids(self, flow: Flow, **body: Any) -> list[str]:
        return [event["id"] for event in asked(flow, "query", **{"external_customer_id": "ada", **body})["events"]]

    def test_events_come_newest_first_as_they_were_reported(self, flow: Flow) -> None:
        answer = asked(flow, "query", external_customer_id="ada")
        newest_first = ["e4", "e7", "e10", "e3", "e11", "e9", "e8", "e6", "e5", "e2", "e1"]
        assert [event["id"] for event in answer["events"]] == newest_first
        assert (answer["has_more"], answer["offset"]) == (False, 0)
        assert answer["events"][-1] == {
            "id": "e1",
            "external_customer_id": "ada",
            "customer_id": "ada",
            "event_name": "call",
            "timestamp": "2026-01-01T01:00:00.000Z",
            "properties": {"tokens": 10, "model": "small"},
            "source": None,
            "environment_id": "sandbox",
        }

    def test_an_event_that_two_features_count_is_one_event(self, flow: Flow) -> None:
        assert self.ids(flow, event_id="e1") == ["e1"]

    def test_filters(self, flow: Flow) -> None:
        assert self.ids(flow, event_name="call") == ["e4", "e3", "e2", "e1"]
        assert self.ids(flow, event_name="call", property_filters={"model": ["small"]}) == ["e4", "e3", "e1"]
        assert self.ids(flow, property_filters={"model": ["small", "large"], "tokens": ["10", "2.5"]}) == ["e2", "e1"]
        assert self.ids(flow, start_time=time_text(NOW + HOUR), end_time=time_text(NOW + 3 * HOUR)) == [
            "e5",
            "e2",
            "e1",
        ]
        assert self.ids(flow, external_customer_id="nobody") == []
        assert "b1" in self.ids(flow, external_customer_id="")

    def test_the_last_seven_days_unless_told(self, flow: Flow) -> None:
        body = {"external_customer_id": "ada", "event_name": "call"}
        assert len(flow.asked("events/query", body)["events"]) == 4
        flow.now = NOW + 7 * DAY + HOUR  # e1 is seven days old
        try:
            assert len(flow.asked("events/query", body)["events"]) == 4
            flow.now += 1
            assert len(flow.asked("events/query", body)["events"]) == 3
        finally:
            flow.now = END

    @pytest.mark.parametrize("order", ["desc", "asc"])
    @pytest.mark.parametrize("sort", ["timestamp", "event_name"])
    @pytest.mark.parametrize("by", ["offset", "iter_last_key"])
    def test_pages_follow_each_other(self, flow: Flow, by: str, sort: str, order: str) -> None:
        """Every event once, in the order that is asked for, however it is paged."""
        whole = asked(flow, "query", external_customer_id="ada", sort=sort, order=order)["events"]
        keys = [event["timestamp"] if sort == "timestamp" else event["event_name"] or "" for event in whole]
        assert keys == sorted(keys, reverse=order == "desc")
        found: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            page = asked(flow, "query", external_customer_id="ada", sort=sort, order=order, page_size=3, **more)
            assert 0 < len(page["events"]) <= 3
            found += page["events"]
            if not page["has_more"]:
                break
            more = {"offset": len(found)} if by == "offset" else {"iter_last_key": page["iter_last_key"]}
        assert found == whole
        assert len(found) == len(EVENTS)

    def test_what_is_newer_than_a_key(self, flow: Flow) -> None:
        first = asked(flow, "query", external_customer_id="ada", offset=2)["iter_first_key"]
        assert first == f"{(NOW + 30 * HOUR) * 1_000_000}::e10"
        assert self.ids(flow, iter_first_key=first) == ["e4", "e7"]
        assert self.ids(flow, iter_first_key=first, order="asc") == [
            "e1",
            "e2",
            "e5",
            "e6",
            "e8",
            "e9",
            "e11",
            "e3",
        ]

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"page_size": 51}, "page_size"),
            ({"sort": "id"}, "sort"),
            ({"iter_last_key": "nonsense"}, "iter_last_key"),
            ({"iter_first_key": "x::y"}, "iter_first_key"),
            ({"start_time": time_text(END), "end_time": time_text(NOW)}, "end_time"),
            ({"event_name": "unheard"}, "no feature counts"),
            ({"customer_id": "ada", "external_customer_id": "bob"}, "customer_id"),
        ],
    )
    def test_what_is_refused(self, flow: Flow, body: dict[str, Any], told: str) -> None:
        assert told in refused(flow, "query", **body)

    def test_an_event_has_the_name_that_it_came_with_however_many_its_feature_counts(self, flow: Flow) -> None:
        assert asked(flow, "query", external_customer_id="ada", event_id="e11")["events"][0]["event_name"] == "left"
        assert self.ids(flow, event_name="left") == ["e11"]
        assert self.ids(flow, event_name="right") == []
        assert usage(flow, "COUNT", "left")["value"] == 1
        assert usage(flow, "COUNT", "right")["value"] == 0

    def test_an_event_has_its_source(self, flow: Flow) -> None:
        events = asked(flow, "query", external_customer_id="ada")["events"]
        assert {event["id"]: event["source"] for event in events} == {id: SOURCES.get(id) for id, *_ in EVENTS}
        assert self.ids(flow, source="web") == ["e4", "e6", "e2"]
        assert self.ids(flow, source="nowhere") == []

    def test_the_same_by_get(self, flow: Flow) -> None:
        def got(query: str) -> Any:
            status, answer = call(flow.here.handlers["manage"], "GET /v1/events", query=query)
            assert status == 200, answer
            return answer

        times = f"start_time={time_text(NOW)}&end_time={time_text(END)}"
        body = {"external_customer_id": "ada", "source": "web", "page_size": 2}
        assert got(f"external_customer_id=ada&source=web&page_size=2&{times}") == asked(flow, "query", **body)
        filters = "property_filters=model:small;tokens:10,4"
        assert [event["id"] for event in got(f"customer_id=ada&{filters}&{times}&event_name=&offset=1")["events"]] == [
            "e1"
        ]
        counted = got(f"count_total=true&page_size=1&property_filters=model:small&{times}")
        small = self.ids(flow, property_filters={"model": ["small"]})
        assert (len(counted["events"]), counted["total_count"], counted["has_more"]) == (1, len(small), True)
        for query in ("page_size=x", "page_size=51", "property_filters=model", "offset=-1", "sort=id"):
            status, answer = call(flow.here.handlers["manage"], "GET /v1/events", query=query)
            assert_error(status, answer, WRONG)


class TestUsage:
    @pytest.mark.parametrize(
        ("type", "name", "more", "value"),
        [
            ("COUNT", "call", {}, 4),
            ("SUM", "call", {"property_name": "tokens"}, Decimal("16.5")),
            ("SUM_WITH_MULTIPLIER", "call", {"property_name": "tokens", "multiplier": "2"}, 33),
            ("MAX", "load", {"property_name": "n"}, 9),
            ("LATEST", "load", {"property_name": "n"}, 1),
            ("AVG", "load", {"property_name": "n"}, 5),
            ("COUNT_UNIQUE", "login", {"property_name": "user"}, 2),
            ("COUNT", "call", {"filters": {"model": ["small"]}}, 3),
            ("SUM", "call", {"property_name": "tokens", "filters": {"model": ["large"]}}, Decimal("2.5")),
            ("COUNT", "call", {"end_time": time_text(NOW + HOUR)}, 0),
            ("MAX", "load", {"property_name": "n", "end_time": time_text(NOW + HOUR)}, 0),
            # 5 for 94 of 96 hours, 9 for 93, 1 for 46
            ("WEIGHTED_SUM", "load", {"property_name": "n"}, Decimal("14.09375")),
        ],
    )
    def test_events_of_a_name_add_up(
        self, flow: Flow, type: str, name: str, more: dict[str, Any], value: Decimal | int
    ) -> None:
        answer = usage(flow, type, name, **more)
        assert (answer["event_name"], answer["type"], answer["results"]) == (name, type, [])
        assert Decimal(str(answer["value"])) == value

    def test_all_customers_or_nobody(self, flow: Flow) -> None:
        assert usage(flow, "SUM", property_name="tokens", external_customer_id="")["value"] == 116.5
        assert usage(flow, "COUNT", external_customer_id="nobody")["value"] == 0

    @pytest.mark.parametrize(
        ("size", "more", "windows"),
        [
            ("DAY", {}, {"2026-01-01T00": 2, "2026-01-02T00": 1, "2026-01-04T00": 1}),
            ("WEEK", {}, {"2025-12-28T00": 3, "2026-01-04T00": 1}),
            ("MONTH", {}, {"2026-01-01T00": 4}),
            ("MONTH", {"billing_anchor": "2024-03-02T14:30:00Z"}, {"2025-12-02T00": 2, "2026-01-02T00": 2}),
            ("12HOUR", {}, {"2026-01-01T00": 2, "2026-01-02T00": 1, "2026-01-04T00": 1}),
            ("HOUR", {}, {"2026-01-01T01": 2, "2026-01-02T02": 1, "2026-01-04T03": 1}),
            ("DAY", {"timezone": "America/New_York"}, {"2025-12-31T05": 2, "2026-01-01T05": 1, "2026-01-03T05": 1}),
        ],
    )
    def test_in_windows(self, flow: Flow, size: str, more: dict[str, Any], windows: dict[str, int]) -> None:
        """Weeks begin on Sunday, months on the anchor's day; windows without events are left out."""
        for answer in (
            usage(flow, "COUNT", window_size=size, **more),
            asked(flow, "usage/meter", meter_id="meter_calls", customer_id="ada", window_size=size, **more),
        ):
            assert {result["window_size"][:13]: result["value"] for result in answer["results"]} == windows
            assert answer["value"] == 4

    def test_minutes(self, flow: Flow) -> None:
        results = usage(flow, "COUNT", window_size="30MIN", end_time=time_text(NOW + DAY))["results"]
        assert [result["window_size"][:16] for result in results] == ["2026-01-01T01:00", "2026-01-01T01:30"]

    def test_buckets_of_a_maximum_are_added_up(self, flow: Flow) -> None:
        answer = usage(flow, "MAX", "load", property_name="n", bucket_size="DAY")
        assert (answer["value"], [result["value"] for result in answer["results"]]) == (10, [9, 1])

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"event_name": "call"}, "aggregation_type"),
            ({"aggregation_type": "COUNT"}, "event_name"),
            ({"event_name": "unheard", "aggregation_type": "COUNT"}, "no feature counts"),
            ({"event_name": "call", "aggregation_type": "SUM"}, "property_name"),
            ({"event_name": "call", "aggregation_type": "SUM_WITH_MULTIPLIER", "property_name": "n"}, "multiplier"),
            ({"event_name": "call", "aggregation_type": "MEDIAN"}, "aggregation_type"),
            ({"event_name": "call", "aggregation_type": "COUNT", "window_size": "YEAR"}, "window_size"),
            ({"event_name": "call", "aggregation_type": "COUNT", "timezone": "Mars/Base"}, "timezone"),
            ({"event_name": "call", "aggregation_type": "COUNT", "group_by": ["properties.x"]}, "group_by"),
            ({"event_name": "call", "aggregation_type": "COUNT", "start_time": "yesterday"}, "start_time"),
        ],
    )
    def test_what_is_refused(self, flow: Flow, body: dict[str, Any], told: str) -> None:
        assert told in refused(flow, "usage", **body)


class TestMeterUsage:
    @pytest.mark.parametrize(
        ("feature", "value"),
        [("calls", 4), ("tokens", Decimal("16.5")), ("peak", 9), ("last", 1), ("mean", 5), ("users", 2)],
    )
    def test_a_meter_adds_up_as_it_says(self, flow: Flow, feature: str, value: Decimal | int) -> None:
        answer = asked(flow, "usage/meter", meter_id=f"meter_{feature}", external_customer_id="ada")
        assert Decimal(str(answer["value"])) == value
        assert (answer["event_name"], answer["type"]) == (
            next(f.extra["meter"]["event_name"] for f in FEATURES if f.id == feature),
            next(f.extra["meter"]["aggregation"]["type"] for f in FEATURES if f.id == feature),
        )

    def test_sums_and_single_uses_say_the_same(self, flow: Flow) -> None:
        """However the range lies to the hours and days that sums are kept of."""
        for start, end in ((0, 96), (1.5, 75.0001), (1, 26), (1.6, 26)):
            times = {"start_time": time_text(NOW + int(start * HOUR)), "end_time": time_text(NOW + int(end * HOUR))}
            of = {"meter_id": "meter_tokens", "customer_id": "ada", **times}
            by_use = asked(flow, "usage/meter", **of, filters={"model": ["small", "large"]})
            for window in ({}, {"window_size": "HOUR"}, {"window_size": "WEEK"}, {"window_size": "MONTH"}):
                assert asked(flow, "usage/meter", **of, **window)["value"] == by_use["value"]

    def test_filters(self, flow: Flow) -> None:
        of = {"meter_id": "meter_tokens", "customer_id": "ada"}
        assert asked(flow, "usage/meter", **of, filters={"model": ["small"]})["value"] == 14

    def test_a_range_of_centuries_is_no_error(self, flow: Flow) -> None:
        of = {"meter_id": "meter_calls", "customer_id": "ada", "window_size": "HOUR"}
        far = {"start_time": "1970-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59Z"}
        assert asked(flow, "usage/meter", **of, **far)["value"] == 4

    def test_an_unknown_meter(self, flow: Flow) -> None:
        refused(flow, "usage/meter", (404, "not_found"), meter_id="meter_either")
        refused(flow, "usage/meter", meter_id="")


class TestAnalytics:
    def items(self, flow: Flow, **body: Any) -> list[dict[str, Any]]:
        return list(asked(flow, "analytics", external_customer_id="ada", **body)["items"])

    def test_every_feature_that_was_used(self, flow: Flow) -> None:
        items = {item["feature_id"]: item for item in self.items(flow)}
        totals = {id: (item["total_usage"], item["event_count"]) for id, item in items.items()}
        assert totals == {
            "calls": ("4", 4),
            "tokens": ("16.5", 3),
            "peak": ("9", 3),
            "last": ("1", 3),
            "mean": ("5", 3),
            "users": ("2", 3),
            "either": ("1", 1),
        }
        calls = items["calls"]
        assert (calls["name"], calls["event_name"], calls["aggregation_type"], calls["meter_id"], calls["unit"]) == (
            "Calls",
            "call",
            "COUNT",
            "meter_calls",
            "call",
        )
        assert (calls["total_cost"], calls["points"], calls["feature"]) == ("0", [], None)

    def test_groups_and_windows(self, flow: Flow) -> None:
        items = self.items(flow, feature_ids=["tokens"], group_by=["feature_id", "properties.model"], window_size="DAY")
        assert [(item["properties"], item["total_usage"]) for item in items] == [
            ({"model": "large"}, "2.5"),
            ({"model": "small"}, "14"),
        ]
        points = [(point["timestamp"][:10], point["usage"], point["event_count"]) for point in items[1]["points"]]
        assert points == [("2026-01-01", "10", 1), ("2026-01-02", "4", 1)]

    def test_by_source(self, flow: Flow) -> None:
        items = self.items(flow, feature_ids=["calls"], group_by=["source"])
        assert [(item["source"], item["sources"], item["event_count"]) for item in items] == [
            (None, None, 1),
            ("app", None, 1),
            ("web", None, 2),
        ]
        (item,) = self.items(flow, feature_ids=["calls"])
        assert (item["source"], item["sources"]) == (None, ["app", "web"])
        (item,) = self.items(flow, feature_ids=["calls"], sources=["web", "nowhere"])
        assert (item["total_usage"], item["sources"]) == ("2", ["web"])

    def test_filters_and_expanded_objects(self, flow: Flow) -> None:
        (item,) = self.items(
            flow, feature_ids=["calls"], property_filters={"model": ["small"]}, expand=["feature", "meter"]
        )
        assert (item["total_usage"], item["feature"]["id"], item["meter"]["id"]) == ("3", "calls", "meter_calls")

    def test_what_is_refused(self, flow: Flow) -> None:
        assert "external_customer_id" in refused(flow, "analytics")
        refused(flow, "analytics", (404, "not_found"), external_customer_id="nobody")
        refused(flow, "analytics", (404, "not_found"), external_customer_id="ada", feature_ids=["nope"])
        for name, value in (("group_by", ["plan_id"]), ("include_children", True)):
            assert name in refused(flow, "analytics", WRONG, external_customer_id="ada", **{name: value})


def test_the_python_sdk_asks(flow: Flow) -> None:
    client = sdk(flow.here.handlers["manage"])
    start, end = (datetime.fromtimestamp(at // 1000, UTC) for at in (NOW, END))
    listed = client.events.list_raw_events(external_customer_id="ada", start_time=start, end_time=end, page_size=2)
    assert [event.id for event in listed.events or ()] == ["e4", "e7"]
    used = client.events.get_usage_statistics(
        event_name="call", aggregation_type="COUNT", external_customer_id="ada", start_time=start, end_time=end
    )
    assert used.value == 4
    metered = client.events.get_usage_by_meter(
        meter_id="meter_peak", external_customer_id="ada", start_time=start, end_time=end, window_size="DAY"
    )
    assert [result.value for result in metered.results or ()] == [9, 1]
    found = client.events.get_usage_analytics(external_customer_id="ada", start_time=start, end_time=end)
    assert isinstance(found, models.GetUsageAnalyticsResponse)
    assert {item.feature_id for item in found.items or ()} == {feature.id for feature in FEATURES}


@pytest.mark.parametrize(
    ("path", "body", "queries"),
    [
        ("query", {"external_customer_id": "ada"}, 2),  # whether the features have changed, and the uses
        ("usage", {"external_customer_id": "ada", "event_name": "call", "aggregation_type": "COUNT"}, 2),
        ("usage/meter", {"external_customer_id": "ada", "meter_id": "meter_peak"}, 2),
        ("usage/meter", {"external_customer_id": "ada", "meter_id": "meter_calls"}, 2),  # January's sums by day
        ("analytics", {"external_customer_id": "ada"}, 3),  # and the customer
        ("query", {}, 9),  # January's eight partitions
    ],
)
def test_what_a_question_costs(flow: Flow, path: str, body: dict[str, Any], queries: int) -> None:
    """docs/flexprice.md: what it costs."""
    spent = Spent(runtime.client("dynamodb"))
    asked(flow, path, **body)
    assert [name for name, _ in spent.requests] == ["GetItem", *["Query"] * (queries - 1)]
    spent.stop()
