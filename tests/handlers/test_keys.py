"""What a key opens, and for how long.

Rules: management.md 9.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.handlers.conftest import Here, a_place
from tests.handlers.test_authorizer import ask, refused_as
from tests.handlers.test_events import ANSWERS, CONTEXT, sample
from tests.service import NOW
from tollgate import runtime
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate_cli import stack
from tollgate_cli.catalog import file

HTTP = [name for name in ANSWERS if "routeKey" in sample(name) and "identitySource" not in sample(name)]


@pytest.fixture(scope="module")
def shop() -> Iterator[Here]:
    """The example catalog, and its customer."""
    with a_place() as place:
        catalog = file.load(stack.CATALOG)
        for noun, bodies in (("features", catalog.features), ("plans", catalog.plans)):
            for body in bodies.values():
                place.call("manage", f"POST /v1/{noun}.create", body)
        for rpc in ("customers.get_or_create", "billing.attach"):
            place.call("manage", f"POST /v1/{rpc}", {"customer_id": "customer-1", "plan_id": "pro"})
        yield place


@pytest.mark.parametrize("customer", ["customer-1", "nobody-yet"])
@pytest.mark.parametrize("name", HTTP)
def test_a_publishable_key_writes_nothing_on_any_path(shop: Here, name: str, customer: str) -> None:
    """management.md 9: whatever is called, of a customer that is there or not, with an idempotency key, or with what
    would make the customer."""
    event = sample(name)
    function = re.sub(r"(?<!^)(?=[A-Z])", "_", ANSWERS[name]["function"].removesuffix("Function")).lower()
    if function not in shop.handlers:
        return  # the reference's and the console's: they have no table
    event = json.loads(json.dumps(event).replace("customer-1", customer))
    event["headers"] = {**event["headers"], "idempotency-key": f"key-{name}-{customer}"}
    known = {"environment": "sandbox", "scope": "publishable", "key_id": "key_page"}
    event["requestContext"] = {**event["requestContext"], "authorizer": {"lambda": known}}
    if "body" in event and event["body"].startswith('{"'):
        body = {**json.loads(event["body"]), "customer_data": {"name": "Ada"}, "entity_data": {"feature_id": "seats"}}
        event["body"] = json.dumps(body)
    before = shop.contents()
    shop.handlers[function](event, CONTEXT)
    assert shop.contents() == before


def test_a_publishable_keys_check_may_be_repeated_under_one_idempotency_key(shop: Here) -> None:
    body = {"customer_id": "customer-1", "feature_id": "messages"}
    for _ in range(2):
        more = {"headers": {"idempotency-key": "k1"}, "scope": "publishable"}
        assert shop.call("check", "POST /v1/check", body, **more)[0] == 200


@pytest.mark.parametrize("headers", [{"authorization": "Bearer {}"}, {"x-api-key": "{}"}])
def test_a_key_opens_nothing_from_its_expiry_on(
    here: Here, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """management.md 9, also where the authorizer remembers the key."""
    now = [NOW]
    monkeypatch.setattr(runtime, "clock", lambda: now[0])
    key, text = here.service.api_keys.create(Environment.LIVE, Scope.SECRET, "", NOW, NOW + 1000)
    sent = {name: value.format(text) for name, value in headers.items()}
    either = {"headers": sent, "identitySource": ["POST /v1/events"], "routeKey": "POST /v1/events"}
    for _ in range(2):
        assert ask(here, sent)["context"]["key_id"] == key.id
        assert here.handlers["authorizer"](either, None)["context"]["key_id"] == key.id
    now[0] = NOW + 1000
    assert ask(here, sent) == refused_as("unknown")
    assert here.handlers["authorizer"](either, None) == refused_as("unknown")


def test_an_expiry_is_told_and_lies_in_the_future(here: Here) -> None:
    """management.md 9."""
    later = runtime.clock() + 60_000
    status, made = here.call("manage", "POST /v1/keys.create", {"expires_at": later})
    assert (status, made["expires_at"]) == (200, later)
    listed = {one["id"]: one["expires_at"] for one in here.call("manage", "POST /v1/keys.list", {})[1]["list"]}
    assert listed[made["id"]] == later
    for wrong in (runtime.clock() - 1, 0, "soon"):
        assert here.call("manage", "POST /v1/keys.create", {"expires_at": wrong})[0] == 400
    assert here.call("manage", "POST /v1/keys.create", {})[1]["expires_at"] is None
