"""Features, plans and customers as they are managed through autumn-sdk (management.md 1 to 4), features over plain HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.fixture import Shop, consumable, flag, gru, monthly, new, prepaid, refused, rolling, seats


class TestFeatures:
    def test_a_feature_is_changed_and_deleted_or_archived(self, shop: Shop) -> None:
        """management.md 1: archived where a plan or a credit system names it."""
        api, used, unused = shop.api, new("f"), new("f")
        for id in (used, unused):
            made = api.call("features.create", {"feature_id": id, "name": "F", "type": "metered", "description": "d"})
            assert made["metric_id"].removeprefix("metric_") == made["lotus_feature_id"].removeprefix("feature_")
            with pytest.raises(RuntimeError, match="409"):
                api.call("features.create", {"feature_id": id, "name": "F", "type": "metered"})
        changed = api.call("features.update", {"feature_id": used, "name": "G", "event_names": ["g"]})
        assert (changed["name"], changed["event_names"], changed["description"]) == ("G", ["g"], "d")
        c = shop.customer(monthly(5, used))
        for id in (used, unused):
            assert api.call("features.delete", {"feature_id": id}) == {"success": True}
        assert api.call("features.get", {"feature_id": used})["archived"]
        assert shop.raw("features.get", {"feature_id": unused}).json()["code"] == "feature_not_found"
        assert used not in [f["id"] for f in api.call("features.list", {})["list"]]
        assert shop.left(c, used) == 5

    @pytest.mark.parametrize(
        ("schema", "status", "code"),
        [
            (None, 400, "invalid_inputs"),
            ([{"metered_feature_id": "nothing", "credit_cost": 1}], 404, "feature_not_found"),
            ([{"metered_feature_id": "credits", "credit_cost": 1}], 400, "invalid_inputs"),
            ([{"metered_feature_id": "action1", "credit_cost": 0}], 400, "invalid_inputs"),
        ],
    )
    def test_a_credit_system_names_metered_features_and_what_they_cost(
        self, shop: Shop, schema: Any, status: int, code: str
    ) -> None:
        body = {"feature_id": new("f"), "name": "C", "type": "credit_system", "credit_schema": schema}
        answer = shop.raw("features.create", body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


class TestPlans:
    def test_a_plan_reads_as_it_was_written(self, shop: Shop) -> None:
        """autumn.md 1.2.5."""
        id = new("plan")
        items: Any = [
            item.body
            for item in (monthly(10, **rolling(max=5)), consumable(5, "words", most=3), prepaid(1, 2, "storage"))
        ]
        terms: Any = {
            "price": {"amount": 20, "interval": "month"},
            "free_trial": {"duration_length": 7, "duration_type": "day"},
            "metadata": {"tier": "x"},
        }
        made = shop.autumn.plans.create(plan_id=id, name="Mine", description="d", group="g", items=items, **terms)
        found = shop.autumn.plans.get(plan_id=id)
        assert found.model_dump() == made.model_dump()
        assert (found.name, found.description, found.group, found.metadata) == ("Mine", "d", "g", {"tier": "x"})
        assert found.price
        assert (found.price.amount, found.price.interval) == (20, "month")
        methods = {item.feature_id: item.price and item.price.billing_method for item in found.items}
        assert methods == {"messages": None, "words": "usage_based", "storage": "prepaid"}
        assert found.items[0].rollover
        assert found.items[0].rollover.max == 5

    def test_a_new_version_leaves_the_old_subscribers_alone(self, shop: Shop) -> None:
        """And deleting what is in use archives it: it is listed no more and cannot be attached."""
        plan = shop.plan(monthly(100), plan_id=new("plan"))
        c = shop.customer()
        shop.autumn.billing.attach(customer_id=c, plan_id=plan)
        items: Any = [monthly(5).body]
        assert shop.autumn.plans.update(plan_id=plan, items=items).version == 2
        assert shop.left(c) == 100
        shop.autumn.billing.attach(customer_id=c, plan_id=plan)
        assert shop.left(c) == 5
        assert shop.autumn.plans.delete(plan_id=plan, all_versions=True).success
        assert plan not in [listed.id for listed in shop.autumn.plans.list().list]
        with refused(400, "invalid_request"):
            shop.autumn.billing.attach(customer_id=shop.customer(), plan_id=plan)
        assert shop.left(c) == 5

    @pytest.mark.parametrize(
        ("item", "status"),
        [
            ({"feature_id": "nothing"}, 404),
            ({"feature_id": "dashboard", "included": 5}, 400),
            ({"feature_id": "messages", "unlimited": True, "included": 5}, 400),
            ({"feature_id": "users", "included": 5, "reset": {"interval": "month"}}, 400),
            ({"feature_id": "messages", "included": 5, **rolling(max=5)}, 400),
        ],
    )
    def test_an_item_must_fit_its_feature(self, shop: Shop, item: dict[str, Any], status: int) -> None:
        id = new("plan")
        answer = shop.raw("plans.create", {"plan_id": id, "name": "P", "items": [item]})
        assert answer.status_code == status
        assert shop.raw("plans.get", {"plan_id": id}).json()["code"] == "plan_not_found"


class TestCustomers:
    def test_a_profile_is_changed_in_part_and_deleted(self, shop: Shop) -> None:
        id = new()
        metadata = {"tier": "x", "n": 1.5}
        made = shop.autumn.customers.get_or_create(customer_id=id, name="Ada", fingerprint="f", metadata=metadata)
        assert (made.name, made.email, made.fingerprint, made.metadata) == ("Ada", None, "f", metadata)
        changed = shop.autumn.customers.update(customer_id=id, email="ada@example.com")
        assert (changed.name, changed.email, changed.metadata) == ("Ada", "ada@example.com", metadata)
        assert shop.autumn.customers.get_or_create(customer_id=id, name="Bo").name == "Ada"
        assert shop.autumn.customers.delete(customer_id=id).success
        for call in (shop.autumn.customers.get, shop.autumn.customers.delete):
            with refused(404, "customer_not_found"):
                call(customer_id=id)

    def test_what_is_deleted_does_not_come_back(self, shop: Shop) -> None:
        """A customer of the same id starts anew."""
        c = shop.customer(monthly(100), entities=1)
        shop.track(c, 30)
        shop.autumn.customers.delete(customer_id=c)
        with refused(404, "customer_not_found"):
            shop.track(c, 1)
        again = shop.autumn.customers.get_or_create(customer_id=c)
        assert (again.subscriptions, again.balances, again.flags) == ([], {}, {})
        shop.attach(c, monthly(100))
        assert gru(shop.balance(c)) == (100, 100, 0)

    def test_it_can_be_expanded(self, shop: Shop) -> None:
        """autumn.md 1.2.5 (expand)."""
        c = shop.customer(monthly(100), seats(5), flag(), entities=2)
        plain = shop.autumn.customers.get(customer_id=c)
        assert not plain.entities
        full = shop.autumn.customers.get(
            customer_id=c, expand=["entities", "subscriptions.plan", "balances.feature", "flags.feature"]
        )
        assert [entity.id for entity in full.entities or ()] == ["e1", "e2"]
        assert full.subscriptions[0].plan
        assert full.subscriptions[0].plan.id == full.subscriptions[0].plan_id
        assert full.balances["messages"].feature
        assert full.balances["messages"].feature.name == "Messages"
        assert full.flags["dashboard"].feature
