"""Flexprice's entitlements and usage, through the handler: shapes, filters, errors (flexprice.md 1, 2).

Rules: flexprice.md 1.1, 1.2, 1.3, 1.4, 2.1, 2.4, 0.1, 0.3 to 0.6.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flexprice import models

from tests.flexprice import assert_entitlements, assert_error, call, sdk, validator, without_nulls
from tests.handlers.conftest import Here
from tests.service import BESIDE, MONTHLY, NOW, SANDBOX
from tollgate import runtime
from tollgate.domain.customers import Customer
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef
from tollgate.domain.errors import OutcomeUnknown, TollgateError, Unavailable
from tollgate.domain.features import Feature, FeatureType
from tollgate.domain.periods import Interval, Reset
from tollgate.domain.plans import Plan, PlanItem
from tollgate.domain.subscriptions import Terms

FULL: dict[str, Any] = {
    "description": "Calls of the API",
    "lookup_key": "api_calls",
    "metadata": {"team": "core", "tier": 3},
    "unit_singular": "call",
    "unit_plural": "calls",
    "reporting_unit": {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": Decimal("0.001")},
    "group": {"id": "group_1", "name": "API", "lookup_key": "api"},
    "alert_settings": {
        "alert_enabled": True,
        "critical": {"threshold": Decimal("90.50"), "condition": "above"},
        "info": {"threshold": Decimal(10), "condition": "above"},
    },
    "meter": {
        "event_name": "api.call",
        "aggregation": {"type": "SUM_WITH_MULTIPLIER", "field": "n", "multiplier": Decimal("0.5")},
        "filters": [{"key": "region", "values": ["eu", "us"]}],
        "reset_usage": "BILLING_PERIOD",
    },
}
FEATURES = (
    Feature("calls", "API calls", FeatureType.METERED, extra=FULL, created_at=NOW + 123),
    Feature("storage", "Storage", FeatureType.METERED, created_at=NOW, display={"singular": "GB", "plural": "GBs"}),
    Feature("sla", "SLA", FeatureType.STATIC, consumable=False, created_at=NOW),
    Feature("sso", "SSO", FeatureType.BOOLEAN, consumable=False, created_at=NOW),
)
CALLS = PlanItem("calls", Decimal(1000), reset=MONTHLY)


@pytest.fixture(scope="module")
def stocked(here: Here) -> Here:
    """`full` holds a plan, an older one, an add-on and nothing else; `bare` no subscription."""
    for feature in FEATURES:
        here.service.catalogs.create_feature(SANDBOX, feature)
    plans = (
        Plan("old", "Old", items=(PlanItem("storage", Decimal("10.5"), reset=Reset(Interval.DAY)), PlanItem("sso"))),
        Plan("pro", "Pro", items=(CALLS, PlanItem("sla", static_value="gold"))),
        Plan("extra", "Extra", add_on=True, items=(PlanItem("calls", Decimal(250), reset=MONTHLY),)),
        Plan("endless", "Endless", items=(PlanItem("storage", unlimited=True),)),
    )
    for plan in plans:
        here.service.catalogs.create_plan(SANDBOX, plan)
    for customer in ("full", "bare"):
        here.service.customers.get_or_create(SANDBOX, Customer(customer), None, NOW)
    for number, (plan_id, id) in enumerate([("old", "sub_old"), ("pro", "sub_pro"), ("extra", "sub_extra")]):
        at = runtime.clock() - 10_000 + number * 1000
        here.service.customers.attach(CustomerRef(SANDBOX, "full"), plan_id, None, at, BESIDE, id)
    return here


def get(stocked: Here, path: str, query: str = "", **more: Any) -> tuple[int, Any]:
    return call(stocked.handlers["entitlements"], f"GET /v1/{path}", None, query, **more)


def names(body: Any) -> list[str]:
    return [entry["feature"]["id"] for entry in body["features"]]


class TestEntitlements:
    def test_every_field_of_the_document_that_the_domain_has(self, stocked: Here) -> None:
        status, body = get(stocked, "customers/full/entitlements")
        assert status == 200
        assert_entitlements(body)
        assert body["customer_id"] == "full"
        assert names(body) == ["calls", "sla", "storage", "sso"]
        calls, sla, storage, sso = without_nulls(body["features"])
        assert calls["feature"] == {
            "id": "calls",
            "name": "API calls",
            "lookup_key": "api_calls",
            "description": "Calls of the API",
            "type": "metered",
            "meter_id": "meter_calls",
            "meter": {
                "id": "meter_calls",
                "name": "API calls",
                "event_name": "api.call",
                "aggregation": {"type": "SUM_WITH_MULTIPLIER", "field": "n", "multiplier": "0.5"},
                "filters": [{"key": "region", "values": ["eu", "us"]}],
                "reset_usage": "BILLING_PERIOD",
                "status": "published",
                "created_at": "2026-01-01T00:00:00.123Z",
                "updated_at": "2026-01-01T00:00:00.123Z",
            },
            "metadata": {"team": "core", "tier": "3"},
            "unit_singular": "call",
            "unit_plural": "calls",
            "reporting_unit": {"unit_singular": "k", "unit_plural": "ks", "conversion_rate": 0.001},
            "alert_settings": {
                "alert_enabled": True,
                "critical": {"threshold": "90.5", "condition": "above"},
                "info": {"threshold": "10", "condition": "above"},
            },
            "group_id": "group_1",
            "group": {
                "id": "group_1",
                "name": "API",
                "lookup_key": "api",
                "entity_type": "feature",
                "status": "published",
            },
            "environment_id": "sandbox",
            "status": "published",
            "created_at": "2026-01-01T00:00:00.123Z",
            "updated_at": "2026-01-01T00:00:00.123Z",
        }
        assert calls["entitlement"] == {
            "is_enabled": True,
            "usage_limit": 1250,
            "is_soft_limit": False,
            "usage_reset_period": "MONTHLY",
            "aggregation_mode": "additive",
        }
        first, second = calls["sources"]
        assert {name: first[name] for name in first if name != "entitlement_id"} == {
            "subscription_id": "sub_extra",
            "entity_id": "extra",
            "entity_type": "addon",
            "entity_name": "Extra",
            "quantity": 1,
            "is_enabled": True,
            "usage_limit": 250,
            "usage_reset_period": "MONTHLY",
        }
        assert (second["entity_type"], second["entity_id"], second["subscription_id"]) == ("plan", "pro", "sub_pro")
        assert sla["entitlement"] == {"is_enabled": True, "is_soft_limit": False, "static_values": ["gold"]}
        assert sla["sources"][0]["static_value"] == "gold"
        assert (storage["entitlement"]["usage_limit"], storage["entitlement"]["usage_reset_period"]) == (10, "DAILY")
        assert (storage["feature"]["unit_singular"], storage["feature"]["lookup_key"]) == ("GB", "storage")
        assert sso["entitlement"] == {"is_enabled": True, "is_soft_limit": False}

    def test_subscriptions_are_the_running_ones_newest_first(self, stocked: Here) -> None:
        _, body = get(stocked, "customers/full/entitlements")
        assert [s["id"] for s in body["subscriptions"]] == ["sub_extra", "sub_pro", "sub_old"]
        pro = body["subscriptions"][1]
        assert (pro["customer_id"], pro["plan_id"], pro["subscription_status"]) == ("full", "pro", "active")
        assert (pro["plan"]["name"], pro["billing_period"]) == ("Pro", "MONTHLY")

    def test_unlimited_has_no_usage_limit(self, stocked: Here) -> None:
        stocked.service.customers.get_or_create(SANDBOX, Customer("endless"), None, NOW)
        stocked.service.customers.attach(CustomerRef(SANDBOX, "endless"), "endless", None, runtime.clock())
        stocked.service.customers.attach(CustomerRef(SANDBOX, "endless"), "old", None, runtime.clock(), BESIDE)
        _, body = get(stocked, "customers/endless/entitlements", "feature_ids=storage")
        assert_entitlements(body)
        (storage,) = body["features"]
        assert storage["entitlement"]["usage_limit"] is None
        assert [s["usage_limit"] for s in storage["sources"]] == [10, None]
        assert storage["entitlement"]["usage_reset_period"] == "DAILY"  # in a tie, never is the longest

    def test_both_paths_know_one_id(self, stocked: Here) -> None:
        assert get(stocked, "customers/external/full/entitlements") == get(stocked, "customers/full/entitlements")

    def test_no_subscription_no_feature(self, stocked: Here) -> None:
        status, body = get(stocked, "customers/bare/entitlements")
        assert (status, body) == (200, {"customer_id": "bare", "features": [], "subscriptions": []})
        assert_entitlements(body)

    def test_an_unknown_customer_has_nothing_or_is_not_found(self, stocked: Here) -> None:
        status, body = get(stocked, "customers/nobody/entitlements")
        assert (status, body) == (200, {"customer_id": "nobody", "features": [], "subscriptions": []})
        assert_error(*get(stocked, "customers/external/nobody/entitlements"), (404, "not_found"))

    @pytest.mark.parametrize(
        ("query", "features"),
        [
            ("feature_ids=sso", ["sso"]),
            ("feature_ids=sso&feature_ids=calls", ["calls", "sso"]),
            ("feature_ids=sso,calls", ["calls", "sso"]),
            ("feature_ids=sso%2Ccalls&feature_ids=sla", ["calls", "sla", "sso"]),
            ("feature_ids=nope", []),
            ("feature_ids=", ["calls", "sla", "storage", "sso"]),
            ("subscription_ids=sub_old", ["storage", "sso"]),
            ("subscription_ids=sub_old,sub_extra", ["calls", "storage", "sso"]),
            ("subscription_ids=sub_old&subscription_ids=sub_pro&feature_ids=sso", ["sso"]),
            ("subscription_ids=nope", []),
        ],
    )
    def test_filters_narrow_the_features(self, stocked: Here, query: str, features: list[str]) -> None:
        _, body = get(stocked, "customers/full/entitlements", query)
        assert names(body) == features
        if "subscription_ids" not in query:
            assert len(body["subscriptions"]) == 3  # feature_ids filters features alone

    def test_a_subscription_filter_narrows_subscriptions_and_sums(self, stocked: Here) -> None:
        _, body = get(stocked, "customers/full/entitlements", "subscription_ids=sub_extra")
        assert [s["id"] for s in body["subscriptions"]] == ["sub_extra"]
        assert body["features"][0]["entitlement"]["usage_limit"] == 250

    def test_one_subscriptions_entitlements_are_its_own(self, stocked: Here) -> None:
        status, body = get(stocked, "subscriptions/sub_pro/entitlements")
        assert (status, body["subscription_id"], body["plan_id"]) == (200, "sub_pro", "pro")
        assert names(body) == ["calls", "sla"]
        assert_error(*get(stocked, "subscriptions/nope/entitlements"), (404, "not_found"))

    def test_a_feature_made_a_moment_ago_is_there(self, stocked: Here) -> None:
        get(stocked, "customers/full/entitlements")  # the catalog is cached now
        stocked.service.catalogs.create_feature(
            SANDBOX, Feature("fresh", "Fresh", FeatureType.BOOLEAN, consumable=False)
        )
        stocked.service.catalogs.create_plan(SANDBOX, Plan("fresh", "Fresh plan", items=(PlanItem("fresh"),)))
        stocked.service.customers.get_or_create(SANDBOX, Customer("fresh"), None, NOW)
        stocked.service.customers.attach(CustomerRef(SANDBOX, "fresh"), "fresh", None, runtime.clock())
        _, body = get(stocked, "customers/fresh/entitlements")
        assert names(body) == ["fresh"]
        assert body["features"][0]["sources"][0]["entity_name"] == "Fresh plan"

    def test_the_sdk_parses_it(self, stocked: Here) -> None:
        client = sdk(stocked.handlers["entitlements"])
        answer = client.customers.get_customer_entitlements(id="full")
        assert answer.features
        calls = answer.features[0]
        assert calls.feature
        assert calls.entitlement
        assert calls.sources
        assert (calls.feature.lookup_key, calls.entitlement.usage_limit) == ("api_calls", 1250)
        assert calls.feature.alert_settings
        assert calls.feature.alert_settings.critical
        assert calls.feature.alert_settings.critical.threshold == "90.5"
        assert [source.entity_type for source in calls.sources] == ["addon", "plan"]
        external = client.customers.get_customer_entitlements_by_external_id(external_id="full")
        assert external == answer
        with pytest.raises(models.errors.ErrorResponse) as caught:
            client.customers.get_customer_entitlements_by_external_id(external_id="nobody")
        assert (caught.value.status_code, caught.value.data.code) == (404, "not_found")


class TestUsageSummary:
    def summary(self, stocked: Here, query: str) -> Any:
        status, body = get(stocked, "customers/usage", query)
        assert status == 200, body
        return body

    def test_limits_usage_ratio_reset_and_verdict(self, stocked: Here) -> None:
        stocked.service.use("full", 500, feature="calls", now=runtime.clock())
        body = self.summary(stocked, "customer_id=full")
        assert [entry["feature"]["name"] for entry in body["features"]] == ["API calls", "Storage", "SLA", "SSO"]
        assert (body["customer_id"], body["period"]) == ("full", None)
        calls = {name: value for name, value in body["features"][0].items() if name not in ("feature", "sources")}
        reset = calls.pop("next_usage_reset_at")
        assert reset.endswith("Z")
        assert calls == {
            "total_limit": 1250,
            "is_unlimited": False,
            "current_usage": "500",
            "usage_percent": "0.4",
            "is_enabled": True,
            "is_soft_limit": False,
            "access": {"allowed": True, "feature_id": "calls", "required": "1"},
        }
        for entry in body["features"]:
            validator("FeatureResponse").validate(without_nulls(entry["feature"]))
            for source in entry["sources"]:
                validator("EntitlementSource").validate(without_nulls(source))

    def test_past_the_limit_it_is_counted_and_denied_as_the_check_denies(self, stocked: Here) -> None:
        service = stocked.service
        service.customers.get_or_create(SANDBOX, Customer("over"), None, NOW)
        service.customers.attach(CustomerRef(SANDBOX, "over"), "pro", None, runtime.clock())
        service.use("over", 1500, Overage.OVERFLOW, feature="calls", now=runtime.clock())
        (calls,) = self.summary(stocked, "customer_lookup_key=over&feature_lookup_keys=api_calls")["features"]
        assert (calls["current_usage"], calls["usage_percent"], calls["access"]["allowed"]) == ("1500", "1.5", False)
        status, check = stocked.call("check", "POST /v1/check", {"customer_id": "over", "feature_id": "calls"})
        assert (status, check["allowed"]) == (200, False)

    @pytest.mark.parametrize(
        ("query", "features"),
        [
            ("customer_id=full&feature_ids=sso%2Cstorage", ["Storage", "SSO"]),
            ("customer_id=full&feature_ids=sso&feature_ids=storage", ["Storage", "SSO"]),
            ("customer_id=full&feature_lookup_keys=api_calls,sla", ["API calls", "SLA"]),
            ("customer_id=full&subscription_ids=sub_old", ["Storage", "SSO"]),
            ("customer_id=full&customer_lookup_key=full&feature_ids=sso", ["SSO"]),
        ],
    )
    def test_filters_narrow_the_usage(self, stocked: Here, query: str, features: list[str]) -> None:
        assert [e["feature"]["name"] for e in self.summary(stocked, query)["features"]] == features

    def test_the_older_path_answers_alike(self, stocked: Here) -> None:
        assert get(stocked, "customers/full/usage") == get(stocked, "customers/usage", "customer_id=full")

    @pytest.mark.parametrize(
        ("query", "expected", "message"),
        [
            ("", (400, "validation_error"), "Provide customer_id or customer_lookup_key"),
            ("customer_id=full&customer_lookup_key=bare", (400, "validation_error"), "different customers"),
            ("customer_id=nobody", (404, "not_found"), "nobody"),
            ("customer_id=a%23b", (400, "validation_error"), "customer_id"),
        ],
    )
    def test_a_query_that_misfits_is_refused(
        self, stocked: Here, query: str, expected: tuple[int, str], message: str
    ) -> None:
        status, body = get(stocked, "customers/usage", query)
        assert_error(status, body, expected)
        assert message in body["message"]

    def test_the_sdk_parses_it(self, stocked: Here) -> None:
        answer = sdk(stocked.handlers["entitlements"]).customers.get_customer_usage_summary(
            customer_id="full", feature_ids=["storage", "sla"]
        )
        assert answer.features
        storage, sla = answer.features
        assert (storage.total_limit, storage.current_usage, storage.is_unlimited) == (10, "0", False)
        assert (sla.total_limit, sla.usage_percent, sla.next_usage_reset_at) == (None, "0", None)


class TestErrors:
    def test_a_publishable_key_may_not(self, stocked: Here) -> None:
        answer = get(stocked, "customers/full/entitlements", scope="publishable")
        assert_error(*answer, (403, "permission_denied"))

    @pytest.mark.parametrize("id", ["a%23b", "caf%C3%A9", "a" * 257])
    def test_what_can_be_no_id(self, stocked: Here, id: str) -> None:
        for path in (f"customers/{id}/entitlements", f"customers/external/{id}/entitlements", f"customers/{id}"):
            assert_error(*get(stocked, path), (400, "validation_error"))

    def test_what_is_not_served_says_so(self, stocked: Here) -> None:
        for route in ("POST /v1/subscriptions/s1/pause", "POST /v1/events/usage", "POST /v1/plans/p/clone"):
            answer = call(stocked.handlers["entitlements"], route, {})
            assert_error(*answer, (501, "not_implemented"))

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (Unavailable("busy"), (503, "service_unavailable")),
            (OutcomeUnknown("lost"), (503, "service_unavailable")),
            (RuntimeError("secret"), (500, "internal_error")),
        ],
    )
    def test_a_read_that_fails_is_an_error_never_a_shorter_answer(
        self, stocked: Here, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: tuple[int, str]
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr("tollgate.store.plans.PlanStore.every_version", fail)
        monkeypatch.setattr("tollgate.usecases.plans.CACHE_SECONDS", -1.0)
        status, body = get(stocked, "customers/full/entitlements")
        assert_error(status, body, expected)
        assert "secret" not in body["message"]

    def test_every_error_of_the_domain_has_a_code(self) -> None:
        from tollgate.dialects.flexprice.errors import error_answer

        for kind in TollgateError.__subclasses__() + Unavailable.__subclasses__():
            if kind.__module__ == "tollgate.domain.errors":  # other dialects have errors of their own
                error = kind.__new__(kind)
                assert error_answer(error, SANDBOX).status >= 400

    def test_live_and_sandbox_never_mix(self, stocked: Here) -> None:
        status, body = get(stocked, "customers/full/entitlements", environment="live")
        assert (status, body["features"]) == (200, [])


def test_an_override_is_a_source_of_its_subscription(stocked: Here) -> None:
    stocked.service.customers.get_or_create(SANDBOX, Customer("special"), None, NOW)
    own = (PlanItem("calls", Decimal(7), reset=MONTHLY), PlanItem("sla", static_value="gold"))
    terms = Terms(items=own)
    stocked.service.customers.attach(
        CustomerRef(SANDBOX, "special"), "pro", None, runtime.clock(), terms, "sub_special"
    )
    _, body = get(stocked, "customers/special/entitlements")
    assert_entitlements(body)
    by_name = {entry["feature"]["id"]: entry for entry in body["features"]}
    (source,) = by_name["calls"]["sources"]
    assert by_name["calls"]["entitlement"]["usage_limit"] == 7
    assert (source["entity_type"], source["entity_id"], source["entity_name"]) == ("subscription", "sub_special", "")
    assert by_name["sla"]["sources"][0]["entity_type"] == "plan"
