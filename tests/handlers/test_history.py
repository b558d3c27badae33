"""The history of usage over HTTP: `events.list`, `events.aggregate` and `/v1/query`, fed by the stream's consumer.

Rules: autumn.md 7.2.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Spent
from tests.handlers.conftest import Here
from tests.handlers.test_events import CONTEXT
from tests.handlers.test_usage_events import Bus, Letters
from tests.http_events import authorized, http_event
from tests.records import NOW, held, monthly, record, spent, used
from tollgate import runtime
from tollgate.domain.balances import Balance, BalanceKey
from tollgate.domain.features import Feature, FeatureType

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
    from tests.service import SANDBOX
    from tollgate.domain.customers import Customer

    here.service.catalogs.create_feature(SANDBOX, Feature("words", "Words", FeatureType.METERED))
    for customer in ("ada", "bob"):
        here.service.customers.get_or_create(SANDBOX, Customer(customer), None, NOW)
    module = sys.modules["functions.usage_events.app"]
    records: list[dict[str, Any]] = []
    states: dict[tuple[str, BalanceKey], tuple[int, Balance]] = {}
    for number, (customer, feature, entity, value, at, properties) in enumerate(USES):
        key = customer, BalanceKey(feature, entity)
        version, balance = states.get(key, (1, held(monthly(1000), key=key[1])))
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


def cursor(position: str) -> str:
    return base64.urlsafe_b64encode(position.encode()).decode()


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
def test_filters_and_ranges_narrow_the_list(told: Here, filters: dict[str, Any], ids: list[str]) -> None:
    assert listed(told, customer_id="ada", **filters) == ids


@pytest.mark.parametrize("whose", [{"customer_id": "ada"}, {}])
def test_a_cursor_leads_nowhere_but_into_the_range(told: Here, whose: dict[str, str]) -> None:
    three = {"start": NOW + 10, "end": NOW + 6 * HOUR}
    for at, ids in ((NOW + DAY, ["use-2", "use-1", "use-0"]), (NOW + HOUR, ["use-0"]), (NOW, []), (10**14 - 1, None)):
        found = listed(told, **whose, custom_range=three, start_cursor=cursor(f"{at:014d}#use#messages#ada"))
        assert found == (["use-2", "use-1", "use-0"] if ids is None else ids)


def test_a_page_of_which_few_entries_match_is_short_and_goes_on(told: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollgate.usecases.history.MOST_LOOKED", 2)
    body: dict[str, Any] = {"customer_id": "ada", "feature_id": "words"}
    pages, next_cursor = [], ""
    while next_cursor is not None:
        _, page = ask(told, "events.list", {**body, "start_cursor": next_cursor})
        pages.append([entry["id"] for entry in page["list"]])
        next_cursor = page["next_cursor"]
    assert len(pages) > 1
    assert [id for page in pages for id in page] == ["use-3"]


def test_older_versions_page_by_offset(told: Here) -> None:
    _, page = ask(told, "events.list", {"customer_id": "ada", "limit": 2, "offset": 1}, "2.2")
    assert [event["id"] for event in page["list"]] == ["use-3", "use-2"]
    assert (page["total"], page["has_more"], page["limit"], page["offset"]) == (5, True, 2, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"customer_id": "ada", "range": "24h", "custom_range": {"start": 1}}, "range"),
        ({"customer_id": "ada", "start_cursor": "nonsense"}, "start_cursor"),
        ({"start_cursor": cursor("²" * 14 + "#use#messages#ada")}, "start_cursor"),  # digits, but no number
        ({"start_cursor": cursor(f"{NOW:014d}#{'u' * 1000}#messages#ada")}, "start_cursor"),  # longer than a sort key
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
def test_groups_split_the_sums_of_a_bin(told: Here, group_by: str, groups: dict[str, int]) -> None:
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


def test_autumn_pys_query_is_answered(told: Here) -> None:
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


MONTHS = 27  # that a read of all customers may reach back: the retention of 400 days, and a year before
FOREVER = 253_402_300_799_998


def queries(here: Here, rpc: str, **body: Any) -> tuple[int, Any]:
    """How many queries a request makes, beside whether the catalog has changed, and its answer."""
    counted = Spent(runtime.client("dynamodb"))
    try:
        found: list[Any] = []
        requests = counted.of(lambda: found.append(ask(here, rpc, body)))
    finally:
        counted.stop()
    names = [name for name, _ in requests]
    assert set(names) <= {"Query", "GetItem"}
    ((status, answer),) = found
    assert status == 200, answer
    return names.count("Query"), answer


@pytest.mark.parametrize(
    ("wanted", "most"),
    [
        ({"custom_range": {"start": 1}}, 8 * MONTHS),
        ({"custom_range": {"start": 1, "end": FOREVER}}, 8 * MONTHS),
        ({"custom_range": {"start": 1}, "limit": 2}, 8),  # the newest month fills the page
        ({"custom_range": {"start": FOREVER - 1, "end": FOREVER}}, 0),
        ({"custom_range": {"start": 1, "end": 2}}, 0),
        ({"custom_range": {"start": 1}, "customer_id": "ada"}, 1),
        ({"custom_range": {"start": 1, "end": FOREVER}, "customer_id": "ada"}, 1),
    ],
)
def test_a_list_reads_only_what_can_be_there(told: Here, wanted: dict[str, Any], most: int) -> None:
    count, answer = queries(told, "events.list", **wanted)
    assert count <= most
    there = 6 - ("customer_id" in wanted) if most else 0
    assert len(answer["list"]) == min(there, wanted.get("limit", there))


@pytest.mark.parametrize(
    ("wanted", "most"),
    [
        ({"bin_size": "month"}, 8 * (MONTHS + 4)),
        ({"bin_size": "month", "timezone": "America/New_York"}, 8 * (2 * MONTHS + 4)),
        ({"bin_size": "month", "timezone": "Asia/Kolkata"}, 8 * (3 * MONTHS + 4)),
        ({"bin_size": "month", "timezone": "America/New_York", "customer_id": "ada"}, 10),
        ({"bin_size": "month", "group_by": "properties.model"}, 8 * MONTHS),
        ({"bin_size": "week", "timezone": "America/New_York", "range": "90d"}, 8 * (4 + 14 + 2)),
        ({"bin_size": "day", "timezone": "America/New_York", "range": "90d"}, 8 * (91 + 2)),
        ({"bin_size": "day", "range": "90d"}, 8 * (4 + 2 + 2)),
        ({"feature_id": ["messages", "words"], "customer_id": "ada", "range": "30d"}, 2 + 2 + 2 + 2),
    ],
)
def test_an_aggregate_reads_only_what_can_be_there(told: Here, wanted: dict[str, Any], most: int) -> None:
    whole = {} if "range" in wanted else {"custom_range": {"start": 1}}
    count, answer = queries(told, "events.aggregate", **{"feature_id": "messages", **whole, **wanted})
    assert count <= most + 1  # the catalog
    assert answer["total"]["messages"] == (
        {"count": 4, "sum": 17} if "customer_id" in wanted else {"count": 5, "sum": 117}
    )


def test_the_hours_of_all_customers_are_read_for_months_and_not_for_years(told: Here) -> None:
    hours = {"feature_id": "messages", "bin_size": "hour"}
    now = NOW + 2 * DAY
    counted = Spent(runtime.client("dynamodb"))
    try:
        body = {**hours, "custom_range": {"start": now - 400 * DAY, "end": now}}
        assert len(counted.of(lambda: refused(told, body, "shorter range"))) == 1  # the catalog
        year = {"start": now - 400 * DAY, "end": now}
        answer: dict[str, Any] = {}
        requests = counted.of(lambda: answer.update(aggregated(told, **hours, customer_id="ada", custom_range=year)))
    finally:
        counted.stop()
    assert answer["total"]["messages"] == {"count": 4, "sum": 17}
    assert len(requests) == 1 + 400  # the catalog, and one a day


def refused(here: Here, body: dict[str, Any], message: str) -> None:
    status, answer = ask(here, "events.aggregate", body)
    assert status == 400, answer
    assert message in answer["message"]


@pytest.mark.parametrize("wanted", [{}, {"group_by": "properties.model"}])
def test_too_many_sums_are_refused_like_too_many_entries(
    told: Here, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str]
) -> None:
    body = {"feature_id": "messages", "custom_range": {"start": NOW, "end": NOW + 2 * DAY}, **wanted}
    monkeypatch.setattr("tollgate.usecases.history.MOST_ENTRIES", 3)  # there are five sums by day, of either feature
    refused(told, body, "shorter range")
    monkeypatch.setattr("tollgate.usecases.history.MOST_ENTRIES", 6)
    assert ask(told, "events.aggregate", body)[0] == 200


@pytest.mark.parametrize("size", ["hour", "day", "week", "month"])
@pytest.mark.parametrize("start", [1, FOREVER - 40 * DAY, FOREVER - HOUR])
def test_an_aggregate_to_the_end_of_time_is_refused(told: Here, size: str, start: int) -> None:
    body = {"feature_id": "messages", "bin_size": size, "custom_range": {"start": start, "end": FOREVER}}
    refused(told, body, "custom_range")


def test_a_customer_is_summed_up_wherever_its_test_clock_is(told: Here) -> None:
    """Its uses may lie where no other customer's can."""
    at = NOW + 3000 * DAY + 5
    from tests.service import SANDBOX
    from tollgate.domain.customers import Customer

    told.service.customers.get_or_create(SANDBOX, Customer("later"), None, NOW)
    balance = held(monthly(1000))
    event = used("use-later", 9, at)
    told.handlers["usage_events"](
        {"Records": [record(balance, spent(balance, 9), 2, event, customer="later")]}, CONTEXT
    )
    wide = {"start": NOW - 1000 * DAY, "end": NOW + 4000 * DAY}
    whose = {"feature_id": "messages", "customer_id": "later", "custom_range": wide}
    for size in ("day", "month"):
        count, answer = queries(told, "events.aggregate", **whose, bin_size=size, timezone="America/New_York")
        assert answer["total"]["messages"] == {"count": 1, "sum": 9}
        assert count <= 4  # the catalog, where its uses begin and end, and the hours or the day between
    assert listed(told, customer_id="later", custom_range={"start": 1, "end": FOREVER}) == ["use-later"]
    assert "use-later" not in listed(told, custom_range=wide)
