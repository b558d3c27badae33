"""Features, plans and customers as they are managed through autumn-sdk (management.md 1 to 4), features over plain HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.fixture import (
    Item,
    Shop,
    consumable,
    flag,
    gru,
    lifetime,
    monthly,
    new,
    prepaid,
    refused,
    rolling,
    seats,
)


class TestFeatures:
    def test_a_feature_is_changed_and_deleted_unless_it_is_in_use(self, shop: Shop) -> None:
        """management.md 2: one that a plan or a credit system names can only be archived."""
        api, used, unused = shop.api, new("f"), new("f")
        for id in (used, unused):
            body = {"feature_id": id, "name": "F", "type": "metered", "consumable": True, "description": "d"}
            made = api.call("features.create", body)
            assert made["metric_id"].removeprefix("metric_") == made["lotus_feature_id"].removeprefix("feature_")
            with pytest.raises(RuntimeError, match="409"):
                api.call("features.create", {"feature_id": id, "name": "F", "type": "metered"})
        changed = api.call("features.update", {"feature_id": used, "name": "G", "event_names": ["g"]})
        assert (changed["name"], changed["event_names"], changed["description"]) == ("G", ["g"], "d")
        c = shop.customer(monthly(5, used))
        assert api.call("features.delete", {"feature_id": unused}) == {"success": True}
        for id in (used, "action1"):
            assert shop.raw("features.delete", {"feature_id": id}).status_code == 409
        assert api.call("features.update", {"feature_id": used, "archived": True})["archived"]
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

    def test_a_version_is_made_where_customers_have_the_plan_and_what_it_grants_changes(self, shop: Shop) -> None:
        """management.md 3."""
        plan = shop.plan(monthly(100), plan_id=new("plan"))
        versions = []
        for in_use in (False, True):
            if in_use:
                shop.autumn.billing.attach(customer_id=shop.customer(), plan_id=plan)
            changes: Any = ({"name": f"Mine {in_use}"}, {"items": [monthly(5 + in_use).body]})
            versions += [shop.api.call("plans.update", {"plan_id": plan, **change})["version"] for change in changes]
        assert versions == [1, 1, 1, 2]

    def test_two_items_of_one_feature_and_interval_are_refused(self, shop: Shop) -> None:
        """management.md 3."""
        for items, status in (
            ([monthly(5), monthly(7)], 400),
            ([monthly(5), lifetime(7)], 200),
            ([monthly(5), consumable(7)], 200),
        ):
            body = {"plan_id": new("plan"), "name": "P", "items": [item.body for item in items]}
            assert shop.raw("plans.create", body).status_code == status

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
        assert shop.raw("plans.get", {"plan_id": id}).json()["code"] == "product_not_found"


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


class TestOnTheWay:
    """What a call makes, merges or refuses of customers and entities as Autumn's own server does."""

    def test_a_customer_without_an_id_is_named_after_its_address(self, shop: Shop) -> None:
        """management.md 4: and is the same one the next time."""
        address = f"{new('ada')}@example.com"
        first = shop.api.call("customers.get_or_create", {"customer_id": None, "email": address})
        again = shop.api.call("customers.get_or_create", {"customer_id": None, "email": address.upper()})
        assert (first["id"], first["email"]) == (again["id"], address)

    @pytest.mark.parametrize(
        "body", [{"customer_id": None}, {"customer_id": "c", "email": "nobody"}, {"customer_id": "c", "email": "a@b"}]
    )
    def test_neither_an_id_nor_an_address(self, shop: Shop, body: dict[str, Any]) -> None:
        answer = shop.raw("customers.get_or_create", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")

    def test_metadata_is_merged(self, shop: Shop) -> None:
        c = shop.customer(metadata={"a": 1, "b": 2})
        changed = shop.api.call("customers.update", {"customer_id": c, "metadata": {"b": 3, "c": 4}})
        assert changed["metadata"] == {"a": 1, "b": 3, "c": 4}

    def test_entities_and_balances_make_their_customer(self, shop: Shop) -> None:
        first, second = new("c"), new("c")
        shop.api.call("entities.create", {"customer_id": first, "entity_id": "e1", "feature_id": "users"})
        shop.api.call("balances.create", {"customer_id": second, "feature_id": "messages", "included_grant": 5})
        assert shop.api.call("customers.get", {"customer_id": first})["id"] == first
        assert shop.left(second) == 5

    def test_an_entity_is_of_an_allocated_feature(self, shop: Shop) -> None:
        body = {"customer_id": shop.customer(), "entity_id": "e1", "feature_id": "messages"}
        answer = shop.raw("entities.create", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")

    def test_a_seat_that_is_not_sold_is_refused(self, shop: Shop) -> None:
        """management.md 5."""
        bought = Item(
            {
                "feature_id": "users",
                "included": 0,
                "price": {"amount": 5, "interval": "month", "billing_method": "prepaid"},
            },
            2,
        )
        c = shop.customer(bought, entities=2)
        answer = shop.raw("entities.create", {"customer_id": c, "entity_id": "e3", "feature_id": "users"})
        assert (answer.status_code, answer.json()["code"]) == (400, "feature_limit_reached")
        assert gru(shop.balance(c, "users")) == (2, 0, 2)

    def test_seats_that_are_taken_count_in_a_plan_that_comes_later(self, shop: Shop) -> None:
        """invariants.md 12."""
        c = shop.customer(entities=3)
        shop.attach(c, seats(5))
        assert gru(shop.balance(c, "users")) == (5, 2, 3)

    def test_entities_are_listed_newest_first(self, shop: Shop) -> None:
        """management.md 5: page by page too."""
        c = shop.customer(entities=3)
        listed, cursor = [], None
        while True:
            body = {"customer_id": c, "limit": 2, **({"start_cursor": cursor} if cursor else {})}
            page = shop.api.call("entities.list", body)
            listed += [entity["id"] for entity in page["list"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert listed == ["e3", "e2", "e1"]

    def test_empty_lists_ask_for_nothing(self, shop: Shop) -> None:
        """management.md 1."""
        plan = {"plan_id": new("plan"), "name": "P", "items": [], "licenses": [], "variants": []}
        assert shop.raw("plans.create", plan).status_code == 200
        body = {"customer_id": shop.customer(), "plan_id": plan["plan_id"], "remove_plan_ids": []}
        assert shop.raw("billing.attach", body).status_code == 200
        controls = {"customer_id": shop.customer(), "billing_controls": {"auto_topups": []}}
        assert shop.raw("customers.update", controls).status_code == 200

    @pytest.mark.parametrize("body", [{"required_balance": None}, {"lock": {"lock_id": "l", "enabled": False}}])
    def test_a_check_says_what_it_needs(self, shop: Shop, body: dict[str, Any]) -> None:
        """autumn.md 1.2.1: null is no amount, and a lock that is not enabled no lock."""
        answer = shop.raw("balances.check", {"customer_id": "customer-1", "feature_id": "messages", **body})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_inputs")
