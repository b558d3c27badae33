"""Lotus's access checks through the handlers: upstream's scenarios with their numbers (lotus.md 3), and what upstream never
tested: boundaries, unlimited, several subscriptions under both policies, filters in every encoding, error bodies.

Rules: lotus.md 0.1 to 0.3, 0.6, 0.9, 1.1 to 1.4, 1.9, 2.2.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

from tests.handlers.conftest import Here
from tests.handlers.lotus import Lotus, ago, free, paid
from tollgate import runtime
from tollgate.settings import Settings

VALIDATION = "https://docs.uselotus.io/errors/error-responses#validation-error"


@pytest.fixture(scope="module")
def lotus(here: Here) -> Lotus:
    return Lotus(here)


class AccessCase(NamedTuple):
    """A metric, what was used of it, and what both endpoints are to say."""

    included: int  # free units
    more: int  # units that are paid for, after the free ones
    events: int  # reported, one unit each
    row: tuple[int, int, int]  # usage, free limit, total limit
    access: bool  # what `metric_access/` says
    limit_type: str  # asked of the older endpoint: `free` or `total`
    older: bool  # what the older endpoint, `customer_access/`, says


class TestUpstream:
    """backend/metering_billing/tests/test_get_access.py, line by line of lotus.md 3."""

    @pytest.mark.parametrize(
        "case",
        [
            AccessCase(1, 2, 5, (5, 1, 3), False, "total", False),  # email_sent: free 0-1, per_unit 1-3
            AccessCase(1, 5, 5, (5, 1, 6), True, "total", True),  # api_call: free 0-1, per_unit 1-6
            AccessCase(1, 5, 5, (5, 1, 6), True, "free", False),
            AccessCase(20, 0, 0, (0, 20, 20), True, "free", True),  # bogus_event: free 0-20, per_unit 20-20
        ],
    )
    def test_events_count_until_the_limit_denies_access(self, lotus: Lotus, case: AccessCase) -> None:
        included, more, events, row, access, limit_type, older = case
        metric = lotus.feature()
        customer = lotus.customer(paid(metric, included, more))
        if events:
            lotus.report(*(lotus.event(customer, metric, time_created=ago(days=1)) for _ in range(events)))
        assert lotus.access(customer, metric) == (access, [row])
        query = {"customer_id": customer, "event_name": metric, "event_limit_type": limit_type}
        status, answer = lotus.get("customer_access/", query)
        usage = {
            "metric_usage": row[0],
            "metric_limit": row[1] if limit_type == "free" else row[2],
            "access": older,
            "metric_name": metric.title(),
        }
        assert (status, answer) == (200, {"access": older, "usages": [usage]})

    def test_a_gauge_counts_its_latest_value(self, lotus: Lotus) -> None:
        """num_users: 1 two days ago, 10 one day ago, 1 six hours ago, against 10."""
        name = lotus.feature() + "-users"
        meter = {"event_name": name, "aggregation": {"type": "LATEST", "field": "n"}}
        metric = lotus.feature(meter=meter)
        customer = lotus.customer(paid(metric, 0, 10))
        lotus.attach(customer, free(lotus.feature(), 5))  # a second subscription, which has no such metric
        told = ((1, ago(days=2)), (10, ago(days=1)), (1, ago(hours=6)))
        lotus.report(*(lotus.event(customer, name, n=n, time_created=at) for n, at in told))
        assert lotus.access(customer, metric) == (True, [(1, 0, 10)])
        lotus.report(lotus.event(customer, name, n=10))
        assert lotus.access(customer, metric) == (False, [(10, 0, 10)])

    def test_features_in_the_plan_and_not(self, lotus: Lotus) -> None:
        held, other = (lotus.feature(type="boolean", description="Shiny") for _ in range(2))
        customer = lotus.customer({"feature_id": held})
        status, answer = lotus.get("feature_access/", {"customer_id": customer, "feature_id": held})
        assert status == 200
        assert (answer["access"], [row["access"] for row in answer["access_per_subscription"]]) == (True, [True])
        assert answer["feature"]["feature_name"] == held.title()
        assert answer["feature"]["feature_description"] == "Shiny"
        _, answer = lotus.get("feature_access/", {"customer_id": customer, "feature_id": other})
        assert (answer["access"], [row["access"] for row in answer["access_per_subscription"]]) == (False, [False])
        for name, access in ((held, True), (other, False), ("no such", False)):
            assert lotus.get("customer_access", {"customer_id": customer, "feature_name": name}) == (
                200,
                {"access": access},
            )

    def test_an_add_on_gives_access_to_what_it_grants(self, lotus: Lotus) -> None:
        """test_addons.py 429 and 528."""
        feature, metric, other = lotus.feature(type="boolean"), lotus.feature(), lotus.feature(type="boolean")
        customer = lotus.customer(free(lotus.feature(), 1))

        def holds(id: str) -> bool:
            return bool(lotus.get("feature_access/", {"customer_id": customer, "feature_id": id})[1]["access"])

        assert not holds(feature)
        lotus.attach(customer, {"feature_id": feature}, free(metric, 100), add_on=True)
        assert holds(feature)
        assert not holds(other)
        assert lotus.access(customer, metric) == (True, [(0, 100, 100)])

    def test_a_metric_outside_every_plan_is_not_listed_and_gives_no_access(self, lotus: Lotus) -> None:
        """Upstream's zero-limit defect (lotus.md 2.1) does not exist here."""
        customer = lotus.customer(free(lotus.feature(), 1))
        metric = lotus.feature()
        assert lotus.access(customer, metric) == (False, [])
        query = {"customer_id": customer, "event_name": metric, "event_limit_type": "total"}
        assert lotus.get("customer_access/", query) == (200, {"access": True, "usages": []})


class TestRows:
    @pytest.mark.parametrize(("used", "access"), [(2, True), (3, False), (4, False)])
    def test_a_limit_that_is_reached_denies(self, lotus: Lotus, used: int, access: bool) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 3))
        lotus.report(lotus.event(customer, metric, value=used))
        assert lotus.access(customer, metric) == (access, [(used, 3, 3)])

    def test_unlimited_has_null_limits(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer({"feature_id": metric, "unlimited": True})
        lotus.report(lotus.event(customer, metric, value=10**9))
        assert lotus.access(customer, metric) == (True, [(10**9, None, None)])
        query = {"customer_id": customer, "event_name": metric, "event_limit_type": "free"}
        assert lotus.get("customer_access/", query)[1]["access"]

    def test_the_answer_names_customer_metric_and_subscription(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 3))
        _, answer = lotus.get("metric_access", {"customer_id": customer, "metric_id": metric})
        made = lotus.manage("features.get", feature_id=metric)
        assert answer["customer"] == {"customer_name": "Ada", "email": "ada@example.com", "customer_id": customer}
        assert answer["metric"] == {"metric_id": made["metric_id"], "event_name": metric, "metric_name": metric.title()}
        (row,) = answer["access_per_subscription"]
        subscription = row["subscription"]
        assert set(subscription) == {"start_date", "end_date", "subscription_filters", "plan"}
        assert subscription["plan"]["version"] == 1
        assert subscription["plan"]["plan_name"].startswith("Plan p-")
        assert subscription["plan"]["plan_id"].startswith("plan_")
        assert len(subscription["plan"]["version_id"]) == len("plan_version_") + 32
        assert subscription["start_date"] < subscription["end_date"]
        assert subscription["start_date"].endswith("Z")

    def test_metric_ids_in_every_form(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 3))
        known = lotus.manage("features.get", feature_id=metric)
        digits = known["metric_id"].removeprefix("metric_")
        assert known["lotus_feature_id"] == f"feature_{digits}"
        hyphened = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        for id in (metric, known["metric_id"], digits, hyphened):
            assert lotus.access(customer, id) == (True, [(0, 3, 3)])
        flag = lotus.feature(type="boolean")
        own = lotus.manage("features.get", feature_id=flag)["lotus_feature_id"]
        status, answer = lotus.get("feature_access", {"customer_id": customer, "feature_id": own})
        assert (status, answer["feature"]["feature_id"]) == (200, own)

    def test_a_body_serves_as_well_as_a_query(self, lotus: Lotus) -> None:
        """Earlier builds of lotus-node put the fields in the body of a GET (lotus.md 1.5)."""
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 3))
        body = {"customer_id": customer, "event_name": metric, "event_limit_type": "total"}
        assert lotus.get("customer_access", body=body)[1]["access"]
        status, answer = lotus.get("metric_access", body={"customer_id": customer, "metric_id": metric})
        assert (status, answer["access"]) == (200, True)

    def test_a_publishable_key_may_check_and_nothing_else(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(free(metric, 3))
        query = {"customer_id": customer, "metric_id": metric}
        assert lotus.get("metric_access", query, scope="publishable")[0] == 200
        for status, answer in (
            lotus.get("customers", scope="publishable"),
            lotus.post("track", {"batch": []}, scope="publishable"),
            lotus.post("customers", {}, scope="publishable"),
        ):
            assert (status, answer["title"]) == (403, "permission_denied")

    def test_environments_do_not_mix(self, lotus: Lotus) -> None:
        customer = lotus.customer(free(lotus.feature(), 3))
        status, answer = lotus.get(
            "feature_access", {"customer_id": customer, "feature_id": "x" * 32}, environment="live"
        )
        assert (status, [problem["code"] for problem in answer["validation_errors"]]) == (
            400,
            ["does_not_exist", "invalid"],
        )


@pytest.fixture(scope="module")
def two(lotus: Lotus) -> tuple[str, str]:
    """A customer with two subscriptions to one metric, of which one is used up."""
    metric = lotus.feature()
    customer = lotus.customer(free(metric, 2))
    lotus.attach(customer, free(metric, 10))
    lotus.report(lotus.event(customer, metric, value=5))
    return customer, metric


class TestPolicies:
    def test_all_must_be_below_as_the_documentation_says(self, lotus: Lotus, two: tuple[str, str]) -> None:
        assert lotus.access(*two) == (False, [(5, 2, 2), (5, 10, 10)])

    def test_any_is_enough_where_the_stack_says_so(
        self, here: Here, lotus: Lotus, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("METRIC_ACCESS_POLICY", "any")
        monkeypatch.setattr(runtime, "settings", lambda: Settings.from_environment(os.environ))
        monkeypatch.delitem(sys.modules, "functions.metric_access.app")
        any_of = importlib.import_module("functions.metric_access.app").handler
        monkeypatch.setitem(here.handlers, "metric_access", any_of)
        assert lotus.access(*two) == (True, [(5, 2, 2), (5, 10, 10)])
        assert lotus.access(two[0], lotus.feature()) == (False, [])

    def test_the_older_check_asks_all(self, lotus: Lotus, two: tuple[str, str]) -> None:
        query = {"customer_id": two[0], "event_name": two[1], "event_limit_type": "total"}
        _, answer = lotus.get("customer_access", query)
        assert (answer["access"], [usage["access"] for usage in answer["usages"]]) == (False, [False, True])


REGION = {"property_name": "region", "value": "US"}
TIER = {"property_name": "tier", "value": "1"}
ENCODINGS = {
    "Django REST framework": urlencode(
        {"subscription_filters[0]property_name": "region", "subscription_filters[0]value": "US"}
    ),
    "lotus-typescript 1.2.7": urlencode(
        {"subscription_filters[0][property_name]": "region", "subscription_filters[0][value]": "US"}
    ),
    "with dots": urlencode({"subscription_filters[0].property_name": "region", "subscription_filters[0].value": "US"}),
    "axios 0.27": f"subscription_filters[]={quote(json.dumps(REGION))}",
    "axios 0.27, encoded": urlencode({"subscription_filters[]": json.dumps(REGION)}),
    "lotus_client 1.0.2": urlencode({"subscription_filters": repr(REGION)}),
    "a JSON list": urlencode({"subscription_filters": json.dumps([REGION])}),
    "a JSON object": urlencode({"subscription_filters": json.dumps(REGION)}),
    "a Python list": urlencode({"subscription_filters": repr([REGION])}),
}


@pytest.fixture(scope="module")
def filtered(lotus: Lotus) -> tuple[str, str]:
    """A customer with a subscription for US, one for US in tier 1, one for EU, and one for all."""
    metric = lotus.feature()
    customer = lotus.customer(free(metric, 10), filters={"region": "US"})
    lotus.attach(customer, free(metric, 20), filters={"tier": "1", "region": "US"})
    lotus.attach(customer, free(metric, 30), filters={"region": "EU"})
    lotus.attach(customer, free(metric, 40))
    told: list[dict[str, Any]] = [{"region": "US", "tier": 1}, {"region": "US"}, {"region": "EU"}, {}]
    lotus.report(*(lotus.event(customer, metric, value=2**n, **more) for n, more in enumerate(told)))
    return customer, metric


class TestFilters:
    def test_usage_counts_only_the_events_that_match(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        assert lotus.access(*filtered) == (True, [(3, 10, 10), (1, 20, 20), (4, 30, 30), (15, 40, 40)])

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_a_check_sees_the_subscriptions_whose_filters_hold_those_asked(
        self, lotus: Lotus, filtered: tuple[str, str], encoding: str
    ) -> None:
        assert lotus.access(*filtered, ENCODINGS[encoding]) == (True, [(3, 10, 10), (1, 20, 20)])

    def test_several_filters_must_all_be_held(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        for query in (
            urlencode({"subscription_filters": json.dumps([TIER, REGION])}),
            urlencode({"subscription_filters": [repr(TIER), repr(REGION)]}, doseq=True),
            urlencode(
                {
                    "subscription_filters[0]property_name": "tier",
                    "subscription_filters[0]value": "1",
                    "subscription_filters[1]property_name": "region",
                    "subscription_filters[1]value": "US",
                }
            ),
        ):
            assert lotus.access(*filtered, query) == (True, [(1, 20, 20)])

    def test_nothing_matches_is_no_access(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        query = urlencode({"subscription_filters": json.dumps([{"property_name": "region", "value": "AP"}])})
        assert lotus.access(*filtered, query) == (False, [])

    def test_the_form_that_loses_its_values_asks_for_nothing(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        """lotus-python 0.12.0."""
        query = "subscription_filters=property_name&subscription_filters=value"
        assert len(lotus.access(*filtered, query)[1]) == 4

    def test_a_json_body_may_carry_them(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        body = {"customer_id": filtered[0], "metric_id": filtered[1], "subscription_filters": [REGION]}
        assert len(lotus.get("metric_access", body=body)[1]["access_per_subscription"]) == 2

    def test_a_subscriptions_filters_are_shown(self, lotus: Lotus, filtered: tuple[str, str]) -> None:
        query = {"customer_id": filtered[0], "metric_id": filtered[1], "subscription_filters": repr(TIER)}
        _, answer = lotus.get("metric_access", query)
        (row,) = answer["access_per_subscription"]
        assert row["subscription"]["subscription_filters"] == [REGION, TIER]

    @pytest.mark.parametrize(
        ("query", "attr", "code"),
        [
            ("subscription_filters[0]property_name=region", "subscription_filters.0.value", "required"),
            ("subscription_filters[0][value]=US", "subscription_filters.0.property_name", "required"),
            ("subscription_filters=%7Bbroken", "subscription_filters", "invalid"),
            ("subscription_filters%5Bx%5D=1", "subscription_filters", "invalid"),
            ("subscription_filters=7", "subscription_filters.0", "invalid"),
        ],
    )
    def test_what_is_no_filter_is_refused(
        self, lotus: Lotus, filtered: tuple[str, str], query: str, attr: str, code: str
    ) -> None:
        asked = urlencode({"customer_id": filtered[0], "metric_id": filtered[1]})
        status, answer = lotus.get("metric_access", f"{asked}&{query}")
        assert (status, answer["type"], answer["title"]) == (400, VALIDATION, code)
        assert answer["validation_errors"][0]["attr"] == attr

    def test_feature_access_looks_at_them_too(self, lotus: Lotus) -> None:
        flag = lotus.feature(type="boolean")
        customer = lotus.customer({"feature_id": flag}, filters={"region": "EU"})
        lotus.attach(customer, free(lotus.feature(), 1), filters={"region": "US"})
        query = {"customer_id": customer, "feature_id": flag}
        assert lotus.get("feature_access", query)[1]["access"]
        _, answer = lotus.get("feature_access", {**query, "subscription_filters": repr(REGION)})
        assert (answer["access"], [row["access"] for row in answer["access_per_subscription"]]) == (False, [False])


class TestDeprecatedPair:
    def test_metric_access_lists_each_subscription_with_its_components(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        customer = lotus.customer(paid(metric, 1, 2))
        lotus.attach(customer, free(lotus.feature(), 1))
        lotus.report(lotus.event(customer, metric))
        id = lotus.manage("features.get", feature_id=metric)["metric_id"]
        component = {
            "event_name": metric,
            "metric_name": metric.title(),
            "metric_usage": 1,
            "metric_free_limit": 1,
            "metric_total_limit": 3,
            "metric_id": id,
        }
        for named in ({"event_name": metric}, {"metric_id": id}):
            status, answer = lotus.get("customer_metric_access/", {"customer_id": customer, **named})
            assert status == 200
            assert [row["usage_per_component"] for row in answer] == [[component], []]
            assert answer[0]["plan_id"].startswith("plan_")
            assert answer[0]["subscription_filters"] == []

    @pytest.mark.parametrize(
        ("named", "detail"),
        [
            (
                {"event_name": "a", "metric_id": "b"},
                "event_name and metric_id are mutually exclusive. Please only provide one.",
            ),
            ({}, "You must provide either an event_name or a metric_id."),
        ],
    )
    def test_it_takes_one_of_two_names(self, lotus: Lotus, named: dict[str, str], detail: str) -> None:
        status, answer = lotus.get("customer_metric_access/", {"customer_id": "c", **named})
        assert (status, answer["detail"]) == (400, detail)

    def test_feature_access_lists_each_subscription(self, lotus: Lotus) -> None:
        flag = lotus.feature(type="boolean")
        customer = lotus.customer({"feature_id": flag})
        lotus.attach(customer, free(lotus.feature(), 1))
        query = {"customer_id": customer, "feature_name": flag.title()}
        status, answer = lotus.get("customer_feature_access/", query)
        assert status == 200
        assert [(row["feature_name"], row["access"]) for row in answer] == [(flag.title(), True), (flag.title(), False)]


class TestErrors:
    def test_missing_and_blank_fields(self, lotus: Lotus) -> None:
        status, answer = lotus.get("metric_access/")
        assert (status, answer["type"], answer["title"]) == (400, VALIDATION, "required")
        assert answer["validation_errors"] == [
            {"code": "required", "detail": "This field is required.", "attr": field}
            for field in ("customer_id", "metric_id")
        ]
        status, answer = lotus.get("metric_access/", "customer_id=&metric_id=m")
        assert (status, answer["title"], answer["detail"]) == (400, "blank", "This field may not be blank.")

    @pytest.mark.parametrize(
        ("field", "value", "detail"),
        [
            ("auto_renew", "perhaps", "Must be a valid boolean."),
            ("metadata", [1], 'Expected a dictionary of items but got type "list".'),
            ("component_fixed_charges_initial_units", 1.5, 'Expected a list of items but got type "float".'),
            (
                "component_fixed_charges_initial_units",
                [{"metric_id": "m", "units": 1}] * 101,
                "Ensure this field has no more than 100 elements.",
            ),
            (
                "component_fixed_charges_initial_units",
                ["m"],
                "Invalid data. Expected a dictionary, but got str.",
            ),
        ],
    )
    def test_another_kind_of_value_is_refused_in_the_frameworks_words(
        self, lotus: Lotus, field: str, value: Any, detail: str
    ) -> None:
        """lotus.md 1.9: `invalid`, as Django REST framework has it."""
        body = {"customer_id": "c", "start_date": "2026-01-01T00:00:00Z", "plan_id": "p", field: value}
        status, answer = lotus.post("subscriptions/", body)
        assert (status, answer["title"], answer["detail"]) == (400, "invalid", detail)

    def test_what_does_not_exist_is_a_400(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        status, answer = lotus.get("metric_access/", {"customer_id": "nobody", "metric_id": metric})
        assert (status, answer["title"]) == (400, "does_not_exist")
        assert answer["validation_errors"] == [
            {
                "code": "does_not_exist",
                "detail": "Object with customer_id=nobody does not exist.",
                "attr": "customer_id",
            }
        ]
        none = f"metric_{'0' * 32}"
        _, answer = lotus.get("metric_access/", {"customer_id": lotus.customer(), "metric_id": none})
        assert answer["validation_errors"][0]["detail"] == f"Object with metric_id={none} does not exist."

    @pytest.mark.parametrize(("path", "field"), [("metric_access/", "metric_id"), ("feature_access/", "feature_id")])
    def test_where_both_are_unknown_both_are_named(self, lotus: Lotus, path: str, field: str) -> None:
        id = f"{field.removesuffix('id')}{'0' * 32}"
        status, answer = lotus.get(path, {"customer_id": "nobody", field: id})
        assert status == 400
        named = [(problem["attr"], problem["code"]) for problem in answer["validation_errors"]]
        assert named == [("customer_id", "does_not_exist"), (field, "does_not_exist")]

    def test_an_id_that_is_none(self, lotus: Lotus) -> None:
        status, answer = lotus.get("metric_access/", {"customer_id": lotus.customer(), "metric_id": "metric_xyz"})
        assert (status, answer["title"]) == (400, "invalid")
        assert answer["detail"].startswith("Input must be a string beginning with the prefix metric_ and followed by")

    def test_a_flag_is_no_metric(self, lotus: Lotus) -> None:
        flag = lotus.feature(type="boolean")
        id = lotus.manage("features.get", feature_id=flag)["metric_id"]
        status, answer = lotus.get("metric_access/", {"customer_id": lotus.customer(), "metric_id": id})
        assert (status, answer["title"]) == (400, "does_not_exist")

    def test_what_is_not_served_says_so(self, here: Here, lotus: Lotus) -> None:
        for route, status, title in (
            ("GET /api/nothing/", 404, "not_found"),
            ("PATCH /api/customers/", 405, "method_not_allowed"),
            ("GET /api/track/", 405, "method_not_allowed"),
            ("GET /api/invoices/", 501, "not_implemented"),
            ("GET /api/customers/c/draft_invoice/", 501, "not_implemented"),
        ):
            found = here.call("metric_access", route, None)
            assert (found[0], found[1]["title"]) == (status, title), route
        status, answer = lotus.post("subscriptions/x/switch_plan/", {})
        assert (status, answer["title"]) == (501, "not_implemented")
        status, answer = lotus.post("metric_access/", {})
        assert (status, answer["detail"]) == (405, 'Method "POST" not allowed.')

    @pytest.mark.parametrize(
        ("query", "body"),
        [
            ({}, {"customer_id": ["This field is required."]}),
            ({"customer_id": "c"}, {"non_field_errors": ["Must provide either event_name or feature_name"]}),
            (
                {"customer_id": "c", "event_name": "e", "feature_name": "f"},
                {"non_field_errors": ["Cannot provide both event_name and feature_name"]},
            ),
            (
                {"customer_id": "c", "event_name": "e"},
                {"non_field_errors": ["Must provide event_limit_type when providing event_name"]},
            ),
            (
                {"customer_id": "c", "event_name": "e", "event_limit_type": "x"},
                {"event_limit_type": ['"x" is not a valid choice.']},
            ),
            (
                {"customer_id": "nobody", "event_name": "e", "event_limit_type": "free"},
                {"status": "error", "detail": "Customer not found"},
            ),
        ],
    )
    def test_the_older_check_has_errors_of_its_own(
        self, lotus: Lotus, query: dict[str, str], body: dict[str, Any]
    ) -> None:
        assert lotus.get("customer_access/", query) == (400, body)

    def test_a_defect_tells_nothing(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(here.handlers["metric_access"].__globals__, "_route", lambda _: 1 / 0)
        status, answer = here.call("metric_access", "GET /api/ping", None)
        assert (status, answer["title"], answer["type"][-13:]) == (500, "error", "#server-error")
