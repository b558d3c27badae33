"""autumn-py 3.1.9, the older SDK, against the deployed stack: every call of it that is served (autumn.md 1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import autumn as autumn_py
import pytest
from autumn.aio import AsyncClient
from autumn.error import AutumnHTTPError

from tests.e2e.fixture import Shop, consumable, flag, lifetime, monthly, new, per_entity, prepaid, seats
from tollgate_cli.stack import Stack


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Any]:
    client: Any = autumn_py.Client(stack.secret_key, base_url=stack.url, max_retries=0)
    yield client
    client.http.close()


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    with pytest.raises(AutumnHTTPError) as caught:
        yield
    assert (caught.value.status_code, caught.value.code) == (status, code)


class TestUsage:
    def test_check_and_track_answer_as_the_client_expects(self, client: Any, shop: Shop) -> None:
        c = shop.customer(monthly(100), flag())
        found = client.check(c, feature_id="messages", required_balance=40)
        assert (found.allowed, found.code, found.feature_id, found.balance) == (True, "feature_found", "messages", 100)
        assert client.check(c, feature_id="messages", required_balance=40, send_event=True).balance == 60
        used = client.track(c, "messages", value=10, properties={"kind": "test"}, idempotency_key=c)
        assert (used.id, used.code, used.customer_id, used.feature_id) == (
            "placeholder",
            "event_received",
            c,
            "messages",
        )
        with refused(409, "duplicate_idempotency_key"):
            client.track(c, "messages", value=10, idempotency_key=c)
        client.track(c, "messages", value=-5)
        denied = client.check(c, feature_id="messages", required_balance=60, with_preview=True)
        assert (denied.allowed, denied.balance) == (False, 55)
        assert client.check(c, feature_id="dashboard").allowed
        with refused(404, "feature_not_found"):
            client.check(c, feature_id="nothing")

    def test_overage_is_a_negative_balance(self, client: Any, shop: Shop) -> None:
        c = shop.customer(consumable(10), monthly(5, "action1"))
        client.track(c, "messages", value=15)
        found = client.check(c, feature_id="messages")
        assert (found.allowed, found.balance) == (True, -5)
        event = client.track(c, event_name="action-event", value=2)
        assert (event.event_name, event.feature_id) == ("action-event", None)
        assert client.check(c, feature_id="action1").balance == 3

    def test_usage_and_balances_are_set(self, client: Any, shop: Shop) -> None:
        """autumn.md 0.5, 3.8: setting a balance alters the grant, setting the usage does not."""
        c = shop.customer(monthly(100), monthly(50, "words"))
        client.features.set_usage(c, "messages", 30)
        found = client.customers.get(c).features["messages"]
        assert (found.included_usage, found.balance, found.usage) == (100, 70, 30)
        balances = [
            autumn_py.Balance(feature_id=id, balance=balance) for id, balance in (("messages", 200), ("words", 5))
        ]
        client.features.set_balances(c, balances)
        features = client.customers.get(c).features
        assert [features[id].balance for id in ("messages", "words")] == [200, 5]
        assert (features["messages"].usage, features["messages"].included_usage) == (30, 230)
        with refused(404, "customer_not_found"):
            client.features.set_usage("nobody", "messages", 1)


class TestCustomers:
    def test_a_customer_is_made_read_changed_and_deleted(self, client: Any) -> None:
        id = new()
        made = client.customers.create(id, name="Ada", email="ada@example.com", metadata={"tier": "x"})
        assert (made.id, made.name, made.env, made.metadata) == (id, "Ada", "sandbox", {"tier": "x"})
        assert (made.products, made.features) == ([], {})
        assert client.customers.update(id, name="Bo").name == "Bo"
        found = client.customers.get(id)
        assert (found.name, found.email, found.created_at) == ("Bo", "ada@example.com", made.created_at)
        client.customers.delete(id)
        with refused(404, "customer_not_found"):
            client.customers.get(id)

    def test_an_id_in_a_path_is_decoded_once(self, shop: Shop) -> None:
        """`a%2541` is the customer `a%41`, not `aA`."""
        id = new("a%41")
        shop.autumn.customers.get_or_create(customer_id=id)
        found = shop.raw(f"customers/{id.replace('%', '%25')}", version="1.2.0", method="GET")
        assert found.json()["id"] == id

    def test_it_shows_products_and_features(self, client: Any, shop: Shop) -> None:
        c = shop.customer(monthly(100), lifetime(5, "words"), seats(3), flag(), prepaid(10, 5, "storage"))
        found = client.customers.get(c)
        (product,) = found.products
        assert (product.status, product.quantity, product.canceled_at) == ("active", 1, None)
        kinds = {id: (feature.type, feature.interval, feature.balance) for id, feature in found.features.items()}
        assert kinds == {
            "messages": ("single_use", "month", 100),
            "words": ("single_use", "lifetime", 5),
            "users": ("continuous_use", None, 3),
            "dashboard": ("static", None, 0),
            "storage": ("single_use", "month", 15),
        }

    def test_customers_are_listed(self, live: Shop, stack: Stack) -> None:
        """In the live environment, which holds few."""
        client: Any = autumn_py.Client(stack.live_secret_key, base_url=stack.url, max_retries=0)
        made = [client.customers.create(new()).id for _ in range(3)]
        page = client.customers.list(limit=2)
        assert ([c.id for c in page.list], page.limit, page.offset) == ([made[2], made[1]], 2, 0)
        assert client.customers.list(limit=1, offset=2).list[0].id == made[0]
        assert page.total >= 3
        client.http.close()
        for id in made:
            live.autumn.customers.delete(customer_id=id)


class TestEntities:
    def test_an_entity_is_made_read_used_and_deleted(self, client: Any, shop: Shop) -> None:
        c = shop.customer(per_entity(monthly(50)), seats(5))
        made = client.entities.create(c, "e1", "users", "One")
        assert (made.id, made.name, made.customer_id, made.env) == ("e1", "One", c, "sandbox")
        client.track(c, "messages", value=20, entity_id="e1")
        assert client.check(c, feature_id="messages", entity_id="e1").balance == 30
        found = client.entities.get(c, "e1")
        assert (found.features["messages"].balance, found.features["users"].balance) == (30, 4)
        with refused(409, "entity_already_exists"):
            client.entities.create(c, "e1", "users", "One")
        client.entities.delete(c, "e1")
        with refused(404, "entity_not_found"):
            client.entities.get(c, "e1")


class TestProducts:
    def test_a_product_is_made_read_listed_changed_and_deleted(self, client: Any, shop: Shop) -> None:
        id = new("product")
        items = [
            autumn_py.ProductItem(price=20, interval="month"),
            autumn_py.ProductItem(feature_id="messages", included_usage=100, interval="month"),
            autumn_py.ProductItem(feature_id="words", included_usage="inf"),
            autumn_py.ProductItem(
                feature_id="storage", included_usage=10, interval="month", price=1, usage_model="prepaid"
            ),
        ]
        made = client.products.create(id, name="Made", items=items)
        assert (made.id, made.name, made.version, made.is_add_on) == (id, "Made", 1, False)
        assert made.items[0].price == 20
        assert {item.feature_id: item.included_usage for item in made.items[1:]} == {
            "messages": 100,
            "words": "inf",
            "storage": 10,
        }
        assert client.products.get(id).items == made.items
        c = shop.customer()
        assert id in [product.id for product in client.products.list(c).list]
        options = [autumn_py.FeatureOptions(feature_id="storage", quantity=25)]
        attached = client.attach(c, product_id=id, options=options)
        assert (attached.customer_id, attached.product_ids) == (c, [id])
        features = client.customers.get(c).features
        assert (features["messages"].balance, features["words"].unlimited, features["storage"].balance) == (
            100,
            True,
            25,
        )
        client.products.update(id, name="Renamed")
        assert client.products.get(id).name == "Renamed"
        client.products.delete(id)
        with refused(404, "product_not_found"):
            client.products.get(new("product"))

    def test_a_product_is_attached_checked_and_canceled(self, client: Any, shop: Shop) -> None:
        """autumn.md 1.4: a customer that is not known is made, with what is told of it."""
        c, plan = new(), shop.plan(monthly(100))
        data = autumn_py.CustomerData(name="Ada", email="ada@example.com")
        assert client.attach(c, product_id=plan, customer_data=data).message
        assert client.customers.get(c).name == "Ada"
        found = client.check(c, product_id=plan)
        assert (found.allowed, found.code, found.product_id, found.status) == (True, "product_found", plan, "active")
        canceled = client.cancel(c, plan)
        assert (canceled.success, canceled.customer_id, canceled.product_id) == (True, c, plan)
        assert client.check(c, product_id=plan).status == "canceled"
        client.cancel(c, plan, cancel_immediately=True)
        assert not client.check(c, product_id=plan).allowed
        with refused(404, "invalid_request"):
            client.cancel(c, plan)

    def test_a_trial_can_be_left_out(self, client: Any, shop: Shop) -> None:
        plan = shop.plan(monthly(1), free_trial={"duration_length": 7, "duration_type": "day"})
        status = {}
        for wanted in (None, False):
            c = shop.customer()
            client.attach(c, product_ids=[plan], free_trial=wanted)
            status[wanted] = client.customers.get(c).products[0].status
        assert status == {None: "trialing", False: "active"}

    def test_what_is_not_served_is_refused(self, client: Any) -> None:
        with refused(404, "route_not_found"):
            client.checkout("customer-1", product_id="pro")


def test_the_asynchronous_client_works_alike(stack: Stack, shop: Shop) -> None:
    c = shop.customer(monthly(100))

    async def run() -> None:
        client: Any = AsyncClient(stack.secret_key, base_url=stack.url, max_retries=0)
        try:
            assert (await client.check(c, feature_id="messages")).balance == 100
            answers = await asyncio.gather(*(client.track(c, "messages", value=5) for _ in range(3)))
            assert {answer.code for answer in answers} == {"event_received"}
            assert (await client.customers.get(c)).features["messages"].balance == 85
            with refused(404, "feature_not_found"):
                await client.track(c, "nothing")
        finally:
            await client.close()

    asyncio.run(run())
