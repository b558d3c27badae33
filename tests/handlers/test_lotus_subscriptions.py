"""Lotus's customers, subscriptions and plans through the handlers (lotus.md 1.8).

Rules: lotus.md 1.9.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.handlers.lotus import Lotus, ago, free, paid


@pytest.fixture(scope="module")
def lotus(here: Here) -> Lotus:
    return Lotus(here)


def subscribe(lotus: Lotus, customer: str, **more: Any) -> tuple[int, Any]:
    return lotus.post("subscriptions/", {"customer_id": customer, "start_date": ago(days=3), **more})


class TestCustomers:
    def test_created_read_and_listed(self, lotus: Lotus) -> None:
        id = f"c-{uuid.uuid4().hex[:8]}"
        body = {"customer_id": id, "email": "ada@example.com", "customer_name": "Ada", "properties": {"tier": "gold"}}
        status, made = lotus.post("customers/", body)
        assert status == 201
        assert (made["customer_id"], made["email"], made["customer_name"]) == (id, "ada@example.com", "Ada")
        assert lotus.get(f"customers/{id}/") == lotus.get("customer_detail/", {"customer_id": id}) == (200, made)
        assert made in lotus.get("customers/")[1]
        assert lotus.manage("customers.get", customer_id=id)["metadata"] == {"tier": "gold"}
        status, answer = lotus.post("customers/", body)
        assert (status, answer["title"], answer["detail"]) == (
            400,
            "duplicate_resource",
            "Customer with that customer_id already exists",
        )

    def test_an_unknown_one_is_a_404(self, lotus: Lotus) -> None:
        for path, query in (("customers/nobody/", {}), ("customer_detail/", {"customer_id": "nobody"})):
            status, answer = lotus.get(path, query)
            assert (status, answer["title"], answer["detail"]) == (404, "not_found", "Not found.")

    @pytest.mark.parametrize(
        ("behavior", "name", "metadata"),
        [
            ("ignore", None, {"tier": "gold"}),
            ("merge", "Ada", {"tier": "gold", "seat": 1}),
            ("overwrite", "Ada", {"tier": "tin", "seat": 1}),
        ],
    )
    def test_many_at_once(self, lotus: Lotus, behavior: str, name: str | None, metadata: dict[str, Any]) -> None:
        old, new = (f"c-{uuid.uuid4().hex[:8]}" for _ in range(2))
        lotus.post("customers/", {"customer_id": old, "email": "ada@example.com", "properties": {"tier": "gold"}})
        sent = {"customer_id": old, "email": "a@b.c", "customer_name": "Ada", "properties": {"tier": "tin", "seat": 1}}
        body: dict[str, Any] = {
            "customers": [sent, {"customer_id": new, "email": "b@b.c"}, {"customer_id": "bad id", "email": "x"}, {}],
            "behavior_on_existing": behavior,
        }
        status, answer = lotus.post("batch_create_customers/", body)
        assert (status, answer["success"], set(answer["failed_customers"])) == (201, "some", {"bad id", "3"})
        known = lotus.manage("customers.get", customer_id=old)
        email = "a@b.c" if behavior == "overwrite" else "ada@example.com"
        assert (known["name"], known["email"], known["metadata"]) == (name, email, metadata)
        assert lotus.manage("customers.get", customer_id=new)["email"] == "b@b.c"
        body["customers"] = body["customers"][:2]
        assert lotus.post("batch_create_customers/", body) == (201, {"success": "all", "failed_customers": {}})
        body["customers"] = [{"email": "x"}]
        status, answer = lotus.post("batch_create_customers/", body)
        assert (status, answer["success"]) == (400, "none")

    @pytest.mark.parametrize(
        ("body", "attr"),
        [
            ({"customers": []}, "behavior_on_existing"),
            ({"customers": [], "behavior_on_existing": "x"}, "behavior_on_existing"),
            ({"behavior_on_existing": "merge"}, "customers"),
            ({"customers": [1], "behavior_on_existing": "merge"}, "customers.0"),
            ({"customers": [{}] * 501, "behavior_on_existing": "merge"}, "customers"),
        ],
    )
    def test_bad_batches_are_refused(self, lotus: Lotus, body: dict[str, Any], attr: str) -> None:
        status, answer = lotus.post("batch_create_customers/", body)
        assert (status, answer["validation_errors"][0]["attr"]) == (400, attr)

    @pytest.mark.parametrize(
        ("body", "attr", "code"),
        [
            ({"email": "a@b.c"}, "customer_id", "required"),
            ({"customer_id": "c"}, "email", "required"),
            ({"customer_id": "a b", "email": "a@b.c"}, "customer_id", "invalid"),
            ({"customer_id": "c", "email": "a@b.c", "payment_provider": "x"}, "payment_provider", "invalid_choice"),
        ],
    )
    def test_bad_ones_are_refused(self, lotus: Lotus, body: dict[str, Any], attr: str, code: str) -> None:
        status, answer = lotus.post("customers/", body)
        assert status == 400
        assert (answer["validation_errors"][0]["attr"], answer["title"]) == (attr, code)


class TestSubscriptions:
    def test_an_automatic_plan_that_was_to_come_goes_where_another_is_attached(self, lotus: Lotus) -> None:
        """management.md 7."""
        group, price = f"g-{uuid.uuid4().hex[:8]}", {"amount": 20, "interval": "month"}
        item = {"feature_id": lotus.feature(), "included": 5, "reset": {"interval": "month"}}
        free, pro, most = (f"{name}-{group}" for name in ("free", "pro", "max"))
        for plan, more in ((free, {"auto_enable": True}), (pro, {"price": price}), (most, {"price": price})):
            lotus.manage("plans.create", plan_id=plan, name=plan, group=group, items=[item], **more)
        customer = lotus.customer()
        lotus.manage("billing.attach", customer_id=customer, plan_id=pro)
        lotus.manage("billing.update", customer_id=customer, plan_id=pro, cancel_action="cancel_end_of_cycle")

        def held() -> dict[str, str]:
            shown = lotus.manage("customers.get", customer_id=customer)["subscriptions"]
            return {one["plan_id"]: one["status"] for one in shown}

        assert held() == {pro: "active", free: "scheduled"}
        assert subscribe(lotus, customer, plan_id=most)[0] == 201
        assert held() == {most: "active"}
        lotus.manage("plans.update", plan_id=free, auto_enable=False)

    def test_one_by_its_id_also_when_it_has_ended(self, lotus: Lotus) -> None:
        customer, plan = lotus.customer(), lotus.plan(free(lotus.feature(), 3))
        _, made = subscribe(lotus, customer, plan_id=plan)
        path = f"subscriptions/{made['subscription_id']}/"
        assert lotus.get(path) == (200, made)
        _, ended = lotus.post(f"{path}cancel/", {})
        status, shown = lotus.get(path)
        assert (status, shown["end_date"]) == (200, ended["end_date"])
        for id in ("nothing", f"sub_1~{made['subscription_id'].partition('~')[2]}", "sub_1~bm9ib2R5"):
            assert lotus.get(f"subscriptions/{id}/")[0] == 404

    def test_the_flow_of_the_sdk(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        plan, customer = lotus.plan(free(metric, 3)), lotus.customer()
        filters = [{"property_name": "region", "value": "US"}]
        status, made = subscribe(
            lotus, customer, plan_id=plan, subscription_filters=filters, metadata={"seat": 1}, is_new=False
        )
        assert status == 201
        assert made["start_date"][:10] == ago(days=3)[:10]
        assert (made["auto_renew"], made["is_new"], made["metadata"]) == (True, False, {"seat": 1})
        assert made["subscription_filters"] == filters
        assert made["customer"]["customer_id"] == customer
        assert (made["billing_plan"]["version"], made["addons"], made["fully_billed"]) == (1, [], False)
        assert lotus.get("subscriptions/", {"customer_id": customer}) == (200, [made])
        lotus.report(lotus.event(customer, metric, region="US"), lotus.event(customer, metric, region="EU"))
        assert lotus.access(customer, metric) == (True, [(1, 3, 3)])
        status, ended = lotus.post(f"subscriptions/{made['subscription_id']}/cancel/", {"usage_behavior": "bill_full"})
        assert (status, ended["subscription_id"], ended["auto_renew"]) == (200, made["subscription_id"], False)
        assert lotus.access(customer, metric) == (False, [])
        assert lotus.get("subscriptions/", {"customer_id": customer})[1] == []
        query = {"customer_id": customer, "status": ["active", "ended"]}
        assert [each["subscription_id"] for each in lotus.get("subscriptions/", query)[1]] == [made["subscription_id"]]
        status, answer = lotus.post(f"subscriptions/{made['subscription_id']}/cancel/", {})
        assert (status, answer["title"]) == (404, "not_found")

    def test_plans_and_versions_by_their_ids_in_lotus(self, lotus: Lotus) -> None:
        plan = lotus.plan(free(lotus.feature(), 3))
        (shown,) = [each for each in lotus.get("plans/")[1] if each["plan_name"] == f"Plan {plan}"]
        version = shown["versions"][0]["version_id"]
        for named in ({"plan_id": shown["plan_id"]}, {"version_id": version}):
            status, made = subscribe(lotus, lotus.customer(), **named)
            assert status == 201
            assert made["billing_plan"] == {
                "plan_name": f"Plan {plan}",
                "plan_id": shown["plan_id"],
                "version_id": version,
                "version": 1,
            }
            query = {"customer_id": made["customer"]["customer_id"], "plan_id": shown["plan_id"]}
            assert len(lotus.get("subscriptions/", query)[1]) == 1
            assert lotus.get("subscriptions/", {**query, "plan_id": "other"})[1] == []

    @pytest.mark.parametrize(
        ("more", "title", "attr"),
        [
            ({}, "invalid", None),
            ({"plan_id": "a", "version_id": "b"}, "invalid", None),
            ({"plan_id": "no-such-plan"}, "does_not_exist", "plan_id"),
            ({"plan_id": "a", "end_date": "2020-01-01"}, "invalid", "end_date"),
            ({"plan_id": "a", "start_date": "soon"}, "invalid", "start_date"),
            ({"plan_id": "a", "start_date": None}, "invalid", "start_date"),
        ],
    )
    def test_bad_ones_are_refused(self, lotus: Lotus, more: dict[str, Any], title: str, attr: str | None) -> None:
        status, answer = subscribe(lotus, lotus.customer(), **more)
        assert (status, answer["title"], answer["validation_errors"][0]["attr"]) == (400, title, attr)
        if not more:
            assert answer["detail"] == "You must specify exactly one of plan_id or version_id"

    def test_an_unknown_customer_does_not_exist(self, lotus: Lotus) -> None:
        status, answer = subscribe(lotus, "nobody", plan_id=lotus.plan(free(lotus.feature(), 1)))
        assert (status, answer["title"]) == (400, "does_not_exist")
        status, answer = lotus.get("subscriptions/", {"customer_id": "nobody"})
        assert (status, answer["title"]) == (400, "does_not_exist")

    def test_the_same_plan_with_filters_that_overlap_is_refused(self, lotus: Lotus) -> None:
        plan, customer = lotus.plan(free(lotus.feature(), 1)), lotus.customer()
        us, eu = ([{"property_name": "region", "value": value}] for value in ("US", "EU"))
        assert subscribe(lotus, customer, plan_id=plan, subscription_filters=us)[0] == 201
        assert subscribe(lotus, customer, plan_id=plan, subscription_filters=eu)[0] == 201
        for filters in (us, [], [*us, {"property_name": "tier", "value": "1"}]):
            status, answer = subscribe(lotus, customer, plan_id=plan, subscription_filters=filters)
            assert (status, answer["title"]) == (400, "overlapping_plans")

    def test_the_end_is_as_asked_or_that_of_the_cycle_where_it_is_not_renewed(self, lotus: Lotus) -> None:
        plan = lotus.plan(free(lotus.feature(), 1))
        _, made = subscribe(lotus, lotus.customer(), plan_id=plan, end_date="2099-01-01T00:00:00Z")
        assert made["auto_renew"] is False
        _, renewed = subscribe(lotus, lotus.customer(), plan_id=plan)
        _, once = subscribe(lotus, lotus.customer(), plan_id=plan, auto_renew=False)
        assert (renewed["auto_renew"], once["auto_renew"]) == (True, False)
        assert renewed["end_date"][:10] == once["end_date"][:10]

    def test_units_bought_in_advance(self, lotus: Lotus) -> None:
        metric = lotus.feature()
        item = {**paid(metric, 10), "price": {"amount": 1, "interval": "month", "billing_method": "prepaid"}}
        customer = lotus.customer()
        units = [{"metric_id": lotus.manage("features.get", feature_id=metric)["metric_id"], "units": 25}]
        subscribe(lotus, customer, plan_id=lotus.plan(item), component_fixed_charges_initial_units=units)
        assert lotus.access(customer, metric) == (True, [(0, 10, 25)])

    def test_a_subscription_that_is_still_to_come_is_not_listed(self, lotus: Lotus) -> None:
        metric, customer = lotus.feature(), lotus.customer()
        status, made = subscribe(lotus, customer, plan_id=lotus.plan(free(metric, 1)), start_date=ago(days=-5))
        assert status == 201
        assert lotus.access(customer, metric) == (False, [])
        query = {"customer_id": customer, "status": "not_started"}
        assert lotus.get("subscriptions/", query)[1] == [made]


class TestPlans:
    def test_components_features_and_tiers(self, lotus: Lotus) -> None:
        metric, flag = lotus.feature(), lotus.feature(type="boolean")
        plan = lotus.plan(paid(metric, 1, 5), {"feature_id": flag}, price={"amount": 20, "interval": "month"})
        status, shown = lotus.get(f"plans/{plan}/")
        assert status == 200
        assert (shown["plan_duration"], shown["active_version"], shown["num_versions"]) == ("monthly", 1, 1)
        (version,) = shown["versions"]
        assert version == shown["display_version"]
        assert [feature["feature_name"] for feature in version["features"]] == [flag.title()]
        (component,) = version["components"]
        assert component["billable_metric"]["event_name"] == metric
        ends = [(tier["type"], tier["range_start"], tier["range_end"]) for tier in component["tiers"]]
        assert ends == [("free", 0, 1), ("per_unit", 1, 6)]
        assert (component["reset_interval_unit"], component["reset_interval_count"]) == ("month", 1)
        assert version["flat_rate"] == 20

    @pytest.mark.parametrize("amount", [9_999_999_999, 10_000_000_000, 10**12])
    def test_no_number_is_larger_than_lotus_can_hold(self, lotus: Lotus, amount: int) -> None:
        """invariants.md 7: its SDK takes no plan of a list in which one number is 10,000,000,000 or more."""
        item = paid(lotus.feature(), amount, amount)
        item["price"] |= {"amount": amount, "billing_units": amount}
        plan = lotus.plan(item, price={"amount": amount, "interval": "month"})
        version = lotus.get(f"plans/{plan}/")[1]["display_version"]
        (component,) = version["components"]
        numbers = [version["flat_rate"]]
        for tier in component["tiers"]:
            numbers += [tier[name] for name in ("range_start", "range_end", "cost_per_batch", "metric_units_per_batch")]
        assert all(number is None or 0 <= number < 10_000_000_000 for number in numbers), numbers

    def test_an_unknown_one_is_a_404(self, lotus: Lotus) -> None:
        status, answer = lotus.get("plans/nothing/")
        assert (status, answer["title"]) == (404, "not_found")
