"""Each served route of Flexprice's API answers every key that its SDKs want (flexprice.md 1.5), and lists as they are asked
to (1.6).

Rules: flexprice.md 1.5, 1.6, 1.7, 2.3.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flexprice import answers, api_event, assert_answer, assert_error, call
from tests.handlers.conftest import Here
from tests.handlers.flexprice_history import DAY, Flow, flowing
from tests.service import NOW
from tollgate.dialects.flexprice import customers, event_queries, features, grants, plans, subscriptions
from tollgate.dialects.flexprice.fields import Params, time_text

MINUTE = 60_000
_numbers = itertools.count()


class Made:
    """Things of every kind, bare ones and ones with all that they may have, and what the routes answer about them."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.seen: set[str] = set()

    def __call__(self, route: str, body: Any = None, query: str = "", *, of: str = "") -> Any:
        """The answer of a route, of the thing with this id; it is checked against the document."""
        functions = self.flow.here.handlers
        table = functions["manage"].__globals__["FLEXPRICE_ROUTES"]
        handler = functions["manage" if route in table else "entitlements"]
        self.flow.now += MINUTE
        status, answer = call(handler, route.replace("{}", of), body, query)
        assert_answer(route, status, answer)
        self.seen.add(route)
        return answer


@pytest.fixture(scope="module")
def made(here: Here) -> Iterator[Made]:
    with flowing(here) as flow:
        yield Made(flow)


def feature(number: int, type: str = "metered", **more: Any) -> dict[str, Any]:
    return {"name": f"{type} {number}", "lookup_key": f"{type}_{number}", "type": type, **more}


def metered(number: int, **aggregation: Any) -> dict[str, Any]:
    of = {"type": "COUNT", **aggregation}
    meter = {"name": "m", "event_name": f"call_{number}", "aggregation": of, "reset_usage": "BILLING_PERIOD"}
    return feature(number, meter=meter)


FULL = {
    "description": "d",
    "metadata": {"a": "b"},
    "unit_singular": "call",
    "unit_plural": "calls",
    "group_id": "g",
    "reporting_unit": {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": 0.001},
    "alert_settings": {"alert_enabled": True, "critical": {"threshold": "5", "condition": "below"}},
}


def test_every_served_route_answers_what_the_sdks_want(made: Made) -> None:
    """flexprice.md 1.5: routes that have no answer here are not served."""
    one, two = next(_numbers), next(_numbers)
    plain = made("POST /v1/features", feature(one))["id"]
    full = made("POST /v1/features", {**metered(two, type="SUM", field="n"), **FULL})["id"]
    tier = made("POST /v1/features", feature(one, "static"))["id"]
    flag = made("POST /v1/features", feature(one, "boolean"))["id"]
    unused = made("POST /v1/features", feature(next(_numbers)))["id"]
    made("GET /v1/features/{}", of=full)
    made("PUT /v1/features/{}", {"name": "N"}, of=plain)
    made("GET /v1/features")
    made("POST /v1/features/search", {"feature_ids": [plain, full, tier, flag]})
    made("DELETE /v1/features/{}", of=unused)
    made("GET /v1/meters")
    made("GET /v1/meters/{}", of=f"meter_{full}")

    plan = made("POST /v1/plans", {"name": "P", "lookup_key": f"p{one}", "description": "d", "metadata": {"a": "b"}})[
        "id"
    ]
    bare = made("POST /v1/plans", {"name": "Bare"})["id"]
    addon = made("POST /v1/addons", {"name": "A", "lookup_key": f"a{one}", "type": "onetime"})["id"]
    spare = made("POST /v1/addons", {"name": "B", "lookup_key": f"b{one}"})["id"]
    for noun, id, key in (("plans", plan, f"p{one}"), ("addons", addon, f"a{one}")):
        made(f"GET /v1/{noun}")
        made(f"POST /v1/{noun}/search", {})
        assert made(f"GET /v1/{noun}/{{}}", of=id)["lookup_key"] == key
        made(f"PUT /v1/{noun}/{{}}", {"name": "Q"}, of=id)
    made("GET /v1/addons/lookup/{}", of=f"b{one}")

    def limit(entity: str, kind: str, feature_id: str, type: str = "metered", **more: Any) -> dict[str, Any]:
        return {"entity_id": entity, "entity_type": kind, "feature_id": feature_id, "feature_type": type, **more}

    granted = made("POST /v1/entitlements", limit(plan, "PLAN", full, usage_limit=10, usage_reset_period="DAILY"))["id"]
    more = [
        limit(plan, "PLAN", plain),
        limit(plan, "PLAN", tier, "static", static_value="gold"),
        limit(plan, "PLAN", flag, "boolean", is_enabled=True),
        limit(addon, "ADDON", full, usage_limit=5),
    ]
    bulk = made("POST /v1/entitlements/bulk", {"items": more})["items"]
    made("GET /v1/entitlements")
    made("POST /v1/entitlements/search", {})
    made("GET /v1/entitlements/{}", of=granted)
    made("PUT /v1/entitlements/{}", {"usage_limit": 20}, of=granted)
    made("GET /v1/plans/{}/entitlements", of=plan)
    made("GET /v1/addons/{}/entitlements", of=addon)
    made("DELETE /v1/entitlements/{}", of=bulk[2]["id"])

    ada, bob = f"ada{one}", f"bob{one}"
    made("POST /v1/customers", {"external_id": ada, "name": "Ada", "email": "a@b.c", "metadata": {"a": "b"}})
    made("POST /v1/customers", {"external_id": bob, "name": "Bob"})
    made("GET /v1/customers")
    made("POST /v1/customers/search", {"external_ids": [ada, bob]})
    for route in ("GET /v1/customers/{}", "GET /v1/customers/external/{}", "GET /v1/customers/lookup/{}"):
        assert made(route, of=bob)["email"] is None
    made("PUT /v1/customers/{}", {"name": "B"}, of=bob)
    made("PUT /v1/customers", {"name": "B"}, f"id={bob}")

    terms = {"currency": "usd", "billing_period": "MONTHLY"}
    main = {"external_customer_id": ada, "plan_id": plan, "trial_period_days": 3, "metadata": {"a": "b"}, **terms}
    held = made("POST /v1/subscriptions", main)["id"]
    other = made("POST /v1/subscriptions", {"customer_id": bob, "plan_id": bare, **terms})["id"]
    association = made("POST /v1/subscriptions/addon", {"subscription_id": held, "addon_id": addon})["id"]
    made("GET /v1/subscriptions")
    made("POST /v1/subscriptions/search", {"customer_id": ada})
    made("GET /v1/subscriptions/{}", of=held)
    made("GET /v1/subscriptions/{}/entitlements", of=held)
    made("GET /v1/subscriptions/{}/addons/associations", of=held)
    made("GET /v1/customers/external/{}/subscriptions", of=ada)
    for route in ("GET /v1/customers/{}/entitlements", "GET /v1/customers/external/{}/entitlements"):
        assert len(made(route, of=ada)["features"]) == 3
    made("GET /v1/customers/{}/usage", of=ada)
    made("GET /v1/customers/usage", None, f"customer_id={ada}")

    event = {"event_name": f"call_{two}", "external_customer_id": ada, "properties": {"n": "2"}}
    made("POST /v1/events", event)
    made("POST /v1/events/bulk", {"events": [event]})
    made.flow.deliver()
    assert len(made("POST /v1/events/query", {"external_customer_id": ada})["events"]) == 2
    assert len(made("GET /v1/events", None, f"external_customer_id={ada}")["events"]) == 2
    asked = {"event_name": f"call_{two}", "aggregation_type": "COUNT", "window_size": "DAY"}
    assert made("POST /v1/events/usage", asked)["value"] == 2
    assert made("POST /v1/events/usage/meter", {"meter_id": f"meter_{full}", "window_size": "HOUR"})["value"] == 4
    analytics = {"external_customer_id": ada, "window_size": "DAY", "expand": ["feature", "meter", "plan", "price"]}
    (item,) = made("POST /v1/events/analytics", analytics)["items"]
    assert item["points"][0]["usage"] == "4"

    made("DELETE /v1/subscriptions/addon", {"addon_association_id": association})
    made("POST /v1/subscriptions/{}/cancel", {"cancellation_type": "immediate"}, of=held)
    made("POST /v1/subscriptions/{}/cancel", {"cancellation_type": "end_of_period", "reason": "r"}, of=other)
    made("GET /v1/subscriptions/{}", of=held)
    made("DELETE /v1/addons/{}", of=spare)
    made("DELETE /v1/plans/{}", of=bare)
    made("DELETE /v1/customers/{}", of=bob)

    served = {
        *made.flow.here.handlers["entitlements"].__globals__["ROUTES"],
        *made.flow.here.handlers["manage"].__globals__["FLEXPRICE_ROUTES"],
    }
    assert made.seen == served == set(answers()["routes"])


@pytest.mark.parametrize(
    ("route", "params"),
    [
        ("POST /v1/customers/search", customers.SearchCustomersParams),
        ("POST /v1/features/search", features.SearchFeaturesParams),
        ("POST /v1/plans/search", plans.SearchPlansParams),
        ("POST /v1/addons/search", plans.SearchAddonsParams),
        ("POST /v1/entitlements/search", grants.SearchEntitlementsParams),
        ("POST /v1/subscriptions/search", subscriptions.SearchSubscriptionsParams),
        ("POST /v1/events/query", event_queries.EventsParams),
        ("POST /v1/events/usage", event_queries.UsageParams),
        ("POST /v1/events/usage/meter", event_queries.MeterUsageParams),
        ("POST /v1/events/analytics", event_queries.AnalyticsParams),
    ],
)
def test_whatever_an_sdk_asks_for_is_served_or_refused(route: str, params: type[Params]) -> None:
    """flexprice.md 1.6: a filter that is ignored would make a list that nobody asked for."""
    assert set(answers()["asked"][route]) <= {*params.model_fields, *params.later}


def test_add_ons_are_listed_by_type(made: Made) -> None:
    """flexprice.md 1.6."""
    number = next(_numbers)
    ids = {}
    for type in ("onetime", "multiple_instance"):
        body = {"name": type, "lookup_key": f"typed_{type}_{number}", "type": type}
        ids[type] = made("POST /v1/addons", body)["id"]
    for type, id in ids.items():
        asked = {"addon_ids": list(ids.values()), "addon_type": type}
        assert [addon["id"] for addon in made("POST /v1/addons/search", asked)["items"]] == [id]


def test_an_error_has_what_either_sdk_reads(made: Made) -> None:
    """flexprice.md 1.4."""
    status, body = call(made.flow.here.handlers["entitlements"], "GET /v1/plans/nope")
    assert_error(status, body, (404, "not_found"))
    assert set(body) == set(answers()["schemas"]["ErrorResponse"]["required"])


def test_an_add_on_says_its_type_and_is_had_once_where_it_is_onetime(made: Made) -> None:
    """flexprice.md 2.3."""
    number = next(_numbers)
    once = made("POST /v1/addons", {"name": "O", "lookup_key": f"o{number}", "type": "onetime"})
    many = made("POST /v1/addons", {"name": "M", "lookup_key": f"m{number}", "type": "multiple_instance"})
    plain = made("POST /v1/addons", {"name": "N", "lookup_key": f"n{number}"})
    assert [addon["type"] for addon in (once, many, plain)] == ["onetime", "multiple_instance", "multiple_instance"]
    assert made("PUT /v1/addons/{}", {"name": "P"}, of=once["id"])["type"] == "onetime"
    handler = made.flow.here.handlers["entitlements"]
    wrong = {"name": "X", "lookup_key": f"x{number}", "type": "sometimes"}
    assert_error(*call(handler, "POST /v1/addons", wrong), (400, "validation_error"))

    plan = made("POST /v1/plans", {"name": "P"})["id"]
    made("POST /v1/customers", {"external_id": f"c{number}", "name": "C"})
    terms = {"customer_id": f"c{number}", "plan_id": plan, "currency": "usd", "billing_period": "MONTHLY"}
    twice = [{"addon_id": once["id"]}, {"addon_id": once["id"]}]
    assert_error(*call(handler, "POST /v1/subscriptions", {**terms, "addons": twice}), (400, "validation_error"))
    held = made("POST /v1/subscriptions", {**terms, "addons": [{"addon_id": once["id"]}]})["id"]
    again = {"subscription_id": held, "addon_id": once["id"]}
    assert_error(*call(handler, "POST /v1/subscriptions/addon", again), (400, "validation_error"))
    for _ in range(2):
        made("POST /v1/subscriptions/addon", {**again, "addon_id": many["id"]})
    listed = made("GET /v1/subscriptions/{}/addons/associations", of=held)["items"]
    assert [entry["addon_id"] for entry in listed] == [many["id"], many["id"], once["id"]]
    first = listed[-1]["id"]
    made("DELETE /v1/subscriptions/addon", {"addon_association_id": first})
    made("POST /v1/subscriptions/addon", again)


@pytest.mark.parametrize(
    ("agent", "bare"),
    [
        ("speakeasy-sdk/typescript 2.0.1 2.845.12 1.0 @flexprice/sdk", True),
        ("speakeasy-sdk/typescript 2.1.0 2.900.0 1.0 @flexprice/sdk", False),
        ("speakeasy-sdk/python 2.1.43 2.948.4 1.0 flexprice", False),
        (None, False),
    ],
)
def test_two_lists_are_pages_or_what_an_older_sdk_reads(made: Made, agent: str | None, bare: bool) -> None:
    """flexprice.md 1.7."""
    number = next(_numbers)
    plan = made("POST /v1/plans", {"name": "P"})["id"]
    made("POST /v1/customers", {"external_id": f"c{number}", "name": "C"})
    terms = {"customer_id": f"c{number}", "plan_id": plan, "currency": "usd", "billing_period": "MONTHLY"}
    held = made("POST /v1/subscriptions", terms)["id"]
    event = api_event(f"GET /v1/subscriptions/{held}/addons/associations")
    if agent:
        event["headers"]["user-agent"] = agent
    answer = made.flow.here.handlers["entitlements"](event, None)
    page = '{"items":[],"pagination":{"total":0,"limit":0,"offset":0}}'
    assert answer["body"] == ("[]" if bare else page)
    event = api_event(f"GET /v1/plans/{plan}/entitlements")
    if agent:
        event["headers"]["user-agent"] = agent
    answer = made.flow.here.handlers["entitlements"](event, None)
    if bare:
        found = json.loads(answer["body"])
        assert_answer("GET /v1/plans/{}", 200, found)
        assert (found["id"], found["entitlements"]) == (plan, [])
    else:
        assert answer["body"] == page


@pytest.fixture(scope="module")
def five(made: Made) -> list[str]:
    """Five plans of different minutes, one of them archived."""
    ids = []
    for name in ("Delta", "alpha", "Charlie", "bravo", "Echo"):
        body = {
            "name": name,
            "lookup_key": f"five_{name.lower()}",
            "description": "five" if name != "Echo" else None,
        }
        ids.append(made("POST /v1/plans", body)["id"])
    made("POST /v1/customers", {"external_id": "five", "name": "Five"})
    terms = {"customer_id": "five", "plan_id": ids[4], "currency": "usd", "billing_period": "MONTHLY"}
    made("POST /v1/subscriptions", terms)
    made("DELETE /v1/plans/{}", of=ids[4])
    return ids


class TestLists:
    """flexprice.md 1.6."""

    def names(self, made: Made, five: list[str], **body: Any) -> list[str]:
        found = made("POST /v1/plans/search", {"plan_ids": five, **body})["items"]
        return [plan["name"] for plan in found]

    def where(self, field: str, operator: str, data_type: str, value: Any) -> dict[str, Any]:
        return {"field": field, "operator": operator, "data_type": data_type, "value": {data_type: value}}

    def test_newest_first_published_and_sorted_as_asked(self, made: Made, five: list[str]) -> None:
        assert self.names(made, five) == ["bravo", "Charlie", "alpha", "Delta"]
        assert self.names(made, five, order="asc") == ["Delta", "alpha", "Charlie", "bravo"]
        assert self.names(made, five, status="archived") == ["Echo"]
        by_name = [{"field": "name", "direction": "asc"}]
        assert self.names(made, five, sort=by_name) == ["Charlie", "Delta", "alpha", "bravo"]
        assert self.names(made, five, sort="name", order="desc") == ["bravo", "alpha", "Delta", "Charlie"]
        two = [{"field": "description", "direction": "asc"}, {"field": "created_at", "direction": "asc"}]
        assert self.names(made, five, sort=two) == ["Delta", "alpha", "Charlie", "bravo"]

    def test_filters(self, made: Made, five: list[str]) -> None:
        of = self.where
        for condition, names in (
            (of("name", "eq", "string", "alpha"), ["alpha"]),
            (of("name", "contains", "string", "A"), ["bravo", "Charlie", "alpha", "Delta"]),
            (of("lookup_key", "contains", "string", "LT"), ["Delta"]),
            (of("name", "not_contains", "string", "l"), ["bravo"]),
            (of("name", "in", "array", ["alpha", "bravo"]), ["bravo", "alpha"]),
            (of("name", "not_in", "array", ["alpha", "bravo"]), ["Charlie", "Delta"]),
            (of("description", "eq", "string", "six"), []),
        ):
            assert self.names(made, five, filters=[condition]) == names, condition
        created = made("GET /v1/plans/{}", of=five[1])["created_at"]
        assert self.names(made, five, filters=[of("created_at", "after", "date", created)]) == ["bravo", "Charlie"]
        assert self.names(made, five, filters=[of("created_at", "before", "date", created)]) == ["Delta"]
        assert self.names(made, five, start_time=created) == ["bravo", "Charlie", "alpha"]
        assert self.names(made, five, end_time=created) == ["alpha", "Delta"]
        both = [of("name", "contains", "string", "a"), of("name", "contains", "string", "e")]
        assert self.names(made, five, filters=both, sort="name", order="asc") == ["Charlie", "Delta"]

    def test_numbers(self, made: Made) -> None:
        plan = made("POST /v1/plans", {"name": "Numbers"})["id"]
        for limit in (5, 50, None):
            id = made("POST /v1/features", feature(next(_numbers)))["id"]
            body = {"entity_id": plan, "entity_type": "PLAN", "feature_id": id, "feature_type": "metered"}
            made("POST /v1/entitlements", {**body, "usage_limit": limit})
        for operator, value, found in (("gt", 5, [50]), ("gte", 5, [50, 5]), ("lt", 50, [5]), ("eq", 50, [50])):
            condition = self.where("usage_limit", operator, "number", value)
            body = {"entity_ids": [plan], "filters": [condition], "sort": "usage_limit"}
            items = made("POST /v1/entitlements/search", body)["items"]
            assert [item["usage_limit"] for item in items] == found
        assert_limits = {"entity_ids": [plan], "sort": [{"field": "usage_limit", "direction": "asc"}]}
        items = made("POST /v1/entitlements/search", assert_limits)["items"]
        assert [item["usage_limit"] for item in items] == [5, 50, None]

    def test_pages(self, made: Made, five: list[str]) -> None:
        whole = self.names(made, five)
        for more in ({}, {"sort": "created_at"}, {"filters": [self.where("name", "contains", "string", "a")]}):
            found = []
            for offset in range(0, 6, 2):
                body = {"plan_ids": five, "limit": 2, "offset": offset, **more}
                page = made("POST /v1/plans/search", body)
                assert page["pagination"] == {"total": 4, "limit": 2, "offset": offset}
                found += [plan["name"] for plan in page["items"]]
            assert found == whole
        assert made("GET /v1/plans")["pagination"]["limit"] == 50

    def test_a_get_takes_the_same_in_its_query(self, made: Made, five: list[str]) -> None:
        ids = ",".join(five[:3])
        page = made("GET /v1/plans", None, f"plan_ids={ids}&plan_ids={five[3]}&sort=name&order=asc&limit=2&offset=1")
        assert [plan["name"] for plan in page["items"]] == ["Delta", "alpha"]
        assert page["pagination"] == {"total": 4, "limit": 2, "offset": 1}
        assert [f["id"] for f in made("GET /v1/customers", None, "external_id=five")["items"]] == ["five"]
        (held,) = made("GET /v1/subscriptions", None, "customer_id=five&subscription_status=active,trialing")["items"]
        assert held["customer_id"] == "five"
        assert made("GET /v1/subscriptions", None, "customer_id=five&subscription_status=cancelled")["items"] == []
        enabled = made("GET /v1/entitlements", None, "is_enabled=false")["items"]
        assert not any(item["is_enabled"] for item in enabled)

    def test_a_subscriptions_status_may_be_filtered(self, made: Made) -> None:
        number = next(_numbers)
        plan = made("POST /v1/plans", {"name": "P"})["id"]
        made("POST /v1/customers", {"external_id": f"c{number}", "name": "C"})
        terms = {"customer_id": f"c{number}", "plan_id": plan, "currency": "usd", "billing_period": "MONTHLY"}
        held = made("POST /v1/subscriptions", terms)["id"]
        made("POST /v1/subscriptions/{}/cancel", {"cancellation_type": "immediate"}, of=held)
        of = {"customer_id": f"c{number}"}
        assert made("POST /v1/subscriptions/search", of)["items"] == []
        condition = self.where("subscription_status", "eq", "string", "cancelled")
        (found,) = made("POST /v1/subscriptions/search", {**of, "filters": [condition]})["items"]
        assert found["id"] == held

    @pytest.mark.parametrize(
        ("body", "told"),
        [
            ({"sort": "colour"}, "sort"),
            ({"sort": [{"field": "metadata", "direction": "asc"}]}, "sort"),
            ({"sort": [{"field": "name", "direction": "up"}]}, "direction"),
            ({"filters": [{"field": "name"}]}, "operator"),
            ({"filters": [{"field": "x", "operator": "eq", "data_type": "string", "value": {"string": "a"}}]}, "field"),
            (
                {"filters": [{"field": "name", "operator": "gt", "data_type": "string", "value": {"string": "a"}}]},
                "operator",
            ),
            (
                {"filters": [{"field": "name", "operator": "eq", "data_type": "string", "value": {"number": 1}}]},
                "string",
            ),
            (
                {"filters": [{"field": "name", "operator": "eq", "data_type": "blob", "value": {"string": "a"}}]},
                "data_type",
            ),
            ({"filters": "name"}, "filters"),
            ({"filter_node": {"operator": "AND"}}, "filter_node"),
            ({"limit": 0}, "limit"),
            ({"limit": 1001}, "limit"),
            ({"offset": -1}, "offset"),
            ({"order": "up"}, "order"),
            ({"start_time": time_text(NOW + DAY), "end_time": time_text(NOW)}, "end_time"),
        ],
    )
    @pytest.mark.parametrize("noun", ["customers", "features", "plans", "addons", "entitlements"])
    def test_what_is_refused(self, made: Made, noun: str, body: dict[str, Any], told: str) -> None:
        status, answer = call(made.flow.here.handlers["entitlements"], f"POST /v1/{noun}/search", body)
        if (noun, body["filters"][0]["field"] if isinstance(body.get("filters"), list) else "") == (
            "entitlements",
            "name",
        ):
            told = ""  # which has no name
        assert_error(status, answer, (400, "validation_error"))
        assert told in answer["message"]

    @pytest.mark.parametrize(
        "query", ["limit=x", "limit=0", "offset=-1", "order=up", "sort=colour", "filters=a", "status=odd"]
    )
    def test_what_a_query_refuses(self, made: Made, query: str) -> None:
        answer = call(made.flow.here.handlers["entitlements"], "GET /v1/plans", None, query)
        assert_error(*answer, (400, "validation_error"))
