"""The history of usage over HTTP: `events.list`, `events.aggregate` and `/v1/query`, fed by the stream's consumer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.http_events import authorized, http_event
from tests.records import NOW, held, monthly, record, spent, used
from tollgate.domain.balances import Balance, Place
from tollgate.domain.features import Feature, FeatureType
from tollgate.usecases.management import Management

HOUR = 3_600_000
DAY = 24 * HOUR
USES = [  # (customer, feature, entity, value, at, properties)
    ("ada", "messages", "", 5, NOW + 10, {"model": "small", "region": "eu"}),
    ("ada", "messages", "", 7, NOW + HOUR + 20, {"model": "large"}),
    ("ada", "messages", "e1", 2, NOW + 5 * HOUR, {"model": "small"}),
    ("ada", "words", "", 11, NOW + 6 * HOUR, {}),
    ("ada", "messages", "", 3, NOW + DAY + 40, {"model": "small"}),
    ("bob", "messages", "", 100, NOW + 7 * HOUR, {"model": "small"}),
]


@pytest.fixture(scope="module")
def told(here: Here) -> Iterator[Here]:
    """The uses above, as the stream tells them; nothing reaches a bus."""
    management: Management = here.world.management
    from tests.world import SANDBOX
    from tollgate.domain.customers import Customer

    management.create_feature(SANDBOX, Feature("words", "Words", FeatureType.METERED))
    for customer in ("ada", "bob"):
        management.get_or_create_customer(SANDBOX, Customer(customer), None, NOW)
    module = sys.modules["functions.usage_events.app"]
    records: list[dict[str, Any]] = []
    states: dict[tuple[str, Place], tuple[int, Balance]] = {}
    for number, (customer, feature, entity, value, at, properties) in enumerate(USES):
        key = customer, Place(feature, entity)
        version, balance = states.get(key, (1, held(monthly(1000), place=key[1])))
        after = spent(balance, value)
        event = used(f"use-{number}", value, at, properties=properties)
        records.append(record(balance, after, version + 1, event, customer=customer))
        states[key] = version + 1, after
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_events", Bus())
        patch.setattr(module, "_queue", Letters())
        patch.setattr("tollgate.runtime.clock", lambda: NOW + 2 * DAY)
        for _ in range(2):  # delivered twice
            here.handlers["usage_events"]({"Records": records}, CONTEXT)
        yield here


def ask(here: Here, rpc: str, body: dict[str, Any], version: str | None = None) -> Any:
    headers = {"x-api-version": version} if version else None
    event = authorized(http_event(f"POST /v1/{rpc}", body, headers=headers))
    answer = here.handlers["manage"](event, None)
    return answer["statusCode"], json.loads(answer["body"])


def listed(here: Here, **body: Any) -> list[str]:
    status, answer = ask(here, "events.list", body)
    assert status == 200, answer
    return [event["id"] for event in answer["list"]]


def test_a_customers_uses_are_listed_newest_first_in_autumns_shape(told: Here) -> None:
    status, answer = ask(told, "events.list", {"customer_id": "ada", "start_cursor": "", "limit": 50})
    assert status == 200
    assert [event["id"] for event in answer["list"]] == ["use-4", "use-3", "use-2", "use-1", "use-0"]
    assert answer["next_cursor"] is None
    first = answer["list"][-1]
    assert first == {
        "id": "use-0",
        "timestamp": NOW + 10,
        "feature_id": "messages",
        "customer_id": "ada",
        "entity_id": None,
        "value": 5,
        "properties": {"model": "small", "region": "eu"},
        "deductions": [
            {
                "balance_id": "sub_1:0",
                "feature_id": "messages",
                "plan_id": "pro",
                "reset": {"interval": "month", "interval_count": 1, "resets_at": NOW + 31 * DAY},
                "value": 5,
            }
        ],
    }


@pytest.mark.parametrize("customer", ["ada", None])
def test_a_cursor_goes_on_where_the_page_stopped(told: Here, customer: str | None) -> None:
    whose = {"customer_id": customer} if customer else {}
    found, cursor = [], ""
    while True:
        _, page = ask(told, "events.list", {**whose, "start_cursor": cursor, "limit": 2})
        assert len(page["list"]) <= 2
        found += [event["id"] for event in page["list"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    everyone = ["use-4", "use-5", "use-3", "use-2", "use-1", "use-0"]
    assert found == [id for id in everyone if not customer or id != "use-5"]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"feature_id": "words"}, ["use-3"]),
        ({"feature_id": ["words", "messages"], "entity_id": "e1"}, ["use-2"]),
        ({"filter_by": {"model": "small"}}, ["use-4", "use-2", "use-0"]),
        ({"filter_by": {"model": "small", "region": "eu"}}, ["use-0"]),
        ({"custom_range": {"start": NOW + HOUR + 20, "end": NOW + 6 * HOUR}}, ["use-2", "use-1"]),
        ({"custom_range": {"start": NOW + HOUR + 21}}, ["use-4", "use-3", "use-2"]),
        ({"range": "24h"}, ["use-4"]),
    ],
)
def test_filters_and_ranges(told: Here, filters: dict[str, Any], ids: list[str]) -> None:
    assert listed(told, customer_id="ada", **filters) == ids


def test_older_versions_page_by_offset(told: Here) -> None:
    _, page = ask(told, "events.list", {"customer_id": "ada", "limit": 2, "offset": 1}, "2.2")
    assert [event["id"] for event in page["list"]] == ["use-3", "use-2"]
    assert (page["total"], page["has_more"], page["limit"], page["offset"]) == (5, True, 2, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"customer_id": "ada", "range": "24h", "custom_range": {"start": 1}}, "range"),
        ({"customer_id": "ada", "start_cursor": "nonsense"}, "start_cursor"),
        ({"customer_id": "ada", "limit": 5001}, "limit"),
        ({"customer_id": "ada", "custom_range": {"start": 5, "end": 5}}, "custom_range"),
        ({"filter_by": {str(n): "x" for n in range(6)}}, "filter_by"),
    ],
)
def test_what_a_list_refuses(told: Here, body: dict[str, Any], message: str) -> None:
    status, answer = ask(told, "events.list", body)
    assert (status, answer["code"]) == (400, "invalid_inputs")
    assert message in answer["message"]


def aggregated(here: Here, **body: Any) -> Any:
    body = {"feature_id": "messages", "custom_range": {"start": NOW, "end": NOW + 2 * DAY}, **body}
    status, answer = ask(here, "events.aggregate", body)
    assert status == 200, answer
    return answer


def test_bins_hold_the_sums_and_totals_both(told: Here) -> None:
    answer = aggregated(told, customer_id="ada", feature_id=["messages", "words"])
    assert answer == {
        "list": [
            {"period": NOW, "values": {"messages": 14, "words": 11}},
            {"period": NOW + DAY, "values": {"messages": 3, "words": 0}},
        ],
        "total": {"messages": {"count": 4, "sum": 17}, "words": {"count": 1, "sum": 11}},
    }


def test_a_count_counts_and_hours_are_bins_too(told: Here) -> None:
    day = {"start": NOW, "end": NOW + 6 * HOUR}
    answer = aggregated(told, customer_id="ada", custom_range=day, bin_size="hour", measure="count")
    assert [bin["values"]["messages"] for bin in answer["list"]] == [1, 1, 0, 0, 0, 1]
    assert answer["total"]["messages"] == {"count": 3, "sum": 14}


def test_a_range_is_exact_to_the_millisecond(told: Here) -> None:
    edge = {"start": NOW + 11, "end": NOW + DAY + 40}
    assert aggregated(told, customer_id="ada", custom_range=edge)["total"]["messages"] == {"count": 2, "sum": 9}
    edge = {"start": NOW + 10, "end": NOW + DAY + 41}
    assert aggregated(told, customer_id="ada", custom_range=edge)["total"]["messages"] == {"count": 4, "sum": 17}


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [
        ("$customer_id", {"ada": 14, "bob": 100}),
        ("$entity_id", {"null": 112, "e1": 2}),
        ("$plan_id", {"pro": 114}),
        ("properties.model", {"small": 107, "large": 7}),
        ("properties.region", {"eu": 5, "null": 109}),
    ],
)
def test_groups(told: Here, group_by: str, groups: dict[str, int]) -> None:
    answer = aggregated(told, group_by=group_by)
    assert answer["list"][0]["grouped_values"] == {"messages": groups}
    assert answer["total"]["messages"] == {"count": 5, "sum": 117}


def test_days_start_where_the_time_zone_says(told: Here) -> None:
    answer = aggregated(told, customer_id="ada", timezone="America/New_York")
    assert [(bin["period"], bin["values"]["messages"]) for bin in answer["list"]] == [
        (NOW - 19 * HOUR, 12),
        (NOW + 5 * HOUR, 5),  # the use at 05:00 UTC is the first of New York's January 1
        (NOW + 29 * HOUR, 0),
    ]
    kolkata = aggregated(told, customer_id="ada", timezone="Asia/Kolkata")
    assert kolkata["total"]["messages"] == {"count": 4, "sum": 17}


def test_what_was_deducted_is_told_by_balance(told: Here) -> None:
    answer = aggregated(told, customer_id="ada", aggregate_on="deducted", group_by="$entity_id")
    first = answer["deductions"][0]
    assert first["values"]["messages"]["deducted"] == 14
    (balance,) = first["values"]["messages"]["balances"]
    assert (balance["balance_id"], balance["plan_id"], balance["events"]) == ("sub_1:0", "pro", 3)
    assert first["grouped_values"] == {"sub_1:0": {"null": {"deducted": 12}, "e1": {"deducted": 2}}}


def test_version_2_0_is_flat(told: Here) -> None:
    body = {"feature_id": "messages", "customer_id": "ada", "custom_range": {"start": NOW, "end": NOW + DAY}}
    assert ask(told, "events.aggregate", body, "2.0")[1]["list"] == [{"period": NOW, "messages": 14}]
    _, grouped = ask(told, "events.aggregate", {**body, "group_by": "properties.model"}, "2.0")
    assert grouped["list"] == [{"period": NOW, "messages": {"small": 7, "large": 7}}]


def test_autumn_pys_query(told: Here) -> None:
    status, answer = ask(told, "query", {"customer_id": "ada", "feature_id": "messages", "range": "7d"})
    assert status == 200
    assert {bin["period"]: bin["messages"] for bin in answer["list"] if bin["messages"]} == {NOW: 14, NOW + DAY: 3}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"feature_id": "nothing"}, 404, "nothing"),
        ({"feature_id": "messages", "customer_id": "nobody"}, 404, "nobody"),
        ({"feature_id": "messages", "timezone": "Mars/Olympus"}, 400, "timezone"),
        ({"feature_id": "messages", "group_by": "model"}, 400, "group_by"),
        ({"feature_id": "messages", "group_by": "$feature_id"}, 400, "group_by"),
        ({"feature_id": "messages", "aggregate_on": "deducted"}, 400, "customer_id"),
        ({"feature_id": "messages", "max_groups": 251}, 400, "max_groups"),
        ({"feature_id": []}, 400, "feature_id"),
    ],
)
def test_what_an_aggregate_refuses(told: Here, body: dict[str, Any], status: int, message: str) -> None:
    got, answer = ask(told, "events.aggregate", body)
    assert got == status, answer
    assert message in answer["message"]


def test_a_live_key_sees_nothing_of_the_sandbox(told: Here) -> None:
    event = authorized(http_event("POST /v1/events.list", {"start_cursor": ""}), environment="live")
    assert json.loads(told.handlers["manage"](event, None)["body"])["list"] == []
