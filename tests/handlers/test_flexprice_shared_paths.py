"""The paths that Flexprice and Autumn both have: the header that came decides, and the key in it.

Rules: management.md 1.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.flexprice import answers, assert_error, call
from tests.handlers.conftest import Here
from tests.http_events import authorized, http_event
from tests.service import NOW, SANDBOX, item
from tollgate import runtime
from tollgate.domain.api_keys import Scope
from tollgate.usecases.api_keys import ApiKeys

TEMPLATE = (ROOT / "template.yaml").read_text()
ROUTES = dict(re.findall(r'RouteKey: "([^"]+)", [^\n]*integrations/\$\{(\w+)Integration', TEMPLATE))
SHARED_ROUTES = dict(
    re.findall(r'RouteKey: "([^"]+)", [^\n]*EitherKeyAuthorizer[^\n]*integrations/\$\{(\w+)Integration', TEMPLATE)
)


def bearer(here: Here, route: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    """A call with a bearer key, of a shared path."""
    event = authorized(http_event(route, body, headers={"authorization": "Bearer k"}), **more)
    answer = here.handlers["entitlements"](event, None)
    return answer["statusCode"], json.loads(answer["body"])


class TestDialects:
    def test_customers_are_answered_by_the_dialect_that_asks(self, here: Here) -> None:
        status, body = bearer(here, "POST /v1/customers", {"id": "ada", "name": "Ada"})
        assert (status, body["id"], body["env"]) == (200, "ada", "sandbox")
        assert bearer(here, "GET /v1/customers/ada")[1]["env"] == "sandbox"
        status, body = call(here.handlers["entitlements"], "GET /v1/customers/ada")
        assert (status, body["external_id"]) == (200, "ada")
        assert bearer(here, "DELETE /v1/customers/ada")[0] == 200
        assert call(here.handlers["entitlements"], "GET /v1/customers/ada")[0] == 404
        assert bearer(here, "GET /v1/customers/ada")[1]["code"] == "customer_not_found"

    def test_a_bearer_answer_is_the_management_functions(self, here: Here) -> None:
        for route, body in (
            ("POST /v1/customers", {"id": "eve"}),
            ("GET /v1/customers/eve", None),
            ("POST /v1/customers", {}),
            ("POST /v1/features", {"name": "F"}),
            ("POST /v1/plans", {"name": "P"}),
        ):
            for more in ({}, {"scope": "publishable"}):
                assert bearer(here, route, body, **more) == here.call("manage", route, body, **more)

    @pytest.mark.parametrize("path", ["team/ada", "team%2Fada"])
    def test_an_id_with_a_slash(self, here: Here, path: str) -> None:
        """management.md 1: whether the gateway has decoded it or not."""
        assert bearer(here, "POST /v1/customers", {"id": "team/ada"})[0] == 200
        assert bearer(here, f"GET /v1/customers/{path}")[1]["id"] == "team/ada"
        assert here.call("manage", f"GET /v1/customers/{path}", None)[1]["id"] == "team/ada"
        assert call(here.handlers["entitlements"], f"GET /v1/customers/{path}")[1]["external_id"] == "team/ada"
        assert call(here.handlers["entitlements"], f"GET /v1/customers/{path}/entitlements")[0] == 200
        for unserved in ("GET /v1/customers/ada/unserved", "GET /v1/nothing/at/all"):
            assert here.call("manage", unserved, None)[0] == 404
            assert "oute" in here.call("manage", unserved, None)[1]["message"]
        assert bearer(here, f"DELETE /v1/customers/{path}")[0] == 200

    def test_events_are_answered_by_the_dialect_that_asks(self, here: Here) -> None:
        here.service.customer("tracker", [item(10)])
        body = {"customer_id": "tracker", "feature_id": "messages", "value": 3, "async": False}
        now = runtime.clock()
        assert bearer(here, "POST /v1/events", body)[0] == 200
        assert here.service.remaining("tracker", now) == 7
        assert here.call("track", "POST /v1/events", body)[0] == 200
        assert here.service.remaining("tracker", now) == 4
        assert_error(*call(here.handlers["entitlements"], "POST /v1/events", body), (400, "validation_error"))


@pytest.mark.parametrize("noun", ["customers/search", "features/x/y", "plans/x/y", "addons/x", "subscriptions/x/y"])
def test_what_is_not_served_is_refused_by_the_dialect_that_asks(here: Here, noun: str) -> None:
    status, body = bearer(here, f"PUT /v1/{noun}", {})
    assert (status, set(body)) == (404, {"message", "code", "env"})
    status, body = call(here.handlers["entitlements"], f"PATCH /v1/{noun}", {})
    assert_error(status, body, (501, "not_implemented"))


class TestAuthorizer:
    @pytest.fixture
    def keys(self, here: Here) -> tuple[str, str]:
        return tuple(  # type: ignore[return-value]
            here.service.api_keys.create(SANDBOX, Scope.SECRET, "", NOW)[1] for _ in range(2)
        )

    def ask(self, here: Here, headers: dict[str, str], source: str = "POST /v1/events") -> bool:
        event = {"headers": headers, "identitySource": [source], "routeKey": "POST /v1/events"}
        return "environment" in here.handlers["authorizer"](event, None)["context"]

    def test_either_header_carries_the_key(self, here: Here, keys: tuple[str, str]) -> None:
        assert self.ask(here, {"X-Api-Key": keys[0]})
        assert self.ask(here, {"authorization": f"Bearer {keys[0]}"})

    def test_the_key_that_decides_the_dialect_is_the_one_that_is_checked(
        self, here: Here, keys: tuple[str, str]
    ) -> None:
        assert self.ask(here, {"x-api-key": keys[0], "authorization": "Bearer wrong"})
        assert not self.ask(here, {"x-api-key": "wrong", "authorization": f"Bearer {keys[0]}"})
        assert not self.ask(here, {"x-api-key": "", "authorization": f"Bearer {keys[0]}"})

    @pytest.mark.parametrize(
        "headers", [{"x-api-key": ""}, {"x-api-key": "no"}, {"authorization": "Bearer no"}, {"authorization": "x"}]
    )
    def test_an_empty_or_wrong_key_is_refused(self, here: Here, headers: dict[str, str]) -> None:
        assert not self.ask(here, headers)

    def test_without_a_key_the_function_refuses_in_its_dialect_with_401(self, here: Here) -> None:
        """flexprice.md 1.8: and no function answers anything else, whatever its route."""
        event = {"headers": {}, "identitySource": ["POST /v1/events"], "routeKey": "POST /v1/events"}
        nobody = here.handlers["authorizer"](event, None)
        assert nobody["isAuthorized"] is True
        for function, code in (
            ("check", "no_secret_key"),
            ("track", "no_secret_key"),
            ("manage", "no_secret_key"),
            ("entitlements", "unauthenticated"),
        ):
            call = http_event("POST /v1/events", {})
            call["requestContext"]["authorizer"] = {"lambda": nobody["context"]}
            answer = here.handlers[function](call, None)
            assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (401, code)

    def test_a_header_cannot_pass_for_the_route(self, here: Here, keys: tuple[str, str]) -> None:
        """Or a cached answer would let in whoever sends the same header, without a key."""
        route = "POST /v1/events"
        assert not self.ask(here, {"authorization": route, "x-api-key": keys[0]})
        assert not self.ask(here, {"x-api-key": route, "authorization": f"Bearer {keys[0]}"})

    def test_a_key_is_remembered_for_half_a_minute_and_a_wrong_one_is_not(self, here: Here) -> None:
        keys, clock = ApiKeys(here.service.api_keys._store), iter([0.0, 29.0, 31.0])
        key, text = keys.create(SANDBOX, Scope.SECRET, "", NOW)
        assert keys.remembered(text, lambda: next(clock)) == key
        keys.revoke(SANDBOX, key.id)
        assert keys.remembered(text, lambda: next(clock)) == key
        assert keys.remembered(text, lambda: next(clock)) is None
        assert keys.remembered("wrong") is None
        assert keys._known == {}

    def test_it_caches_nothing(self) -> None:
        (either,) = re.findall(r"EitherKeyAuthorizer:\n(?:    .*\n)+", TEMPLATE)
        assert "AuthorizerResultTtlInSeconds: 0\n" in either
        assert "IdentitySource: [$context.routeKey]\n" in either


def test_what_is_served_is_what_the_template_routes_to_it(here: Here) -> None:
    """Every served route reaches the function, and no other has it."""
    for function, table, target in (
        ("entitlements", "ROUTES", "Entitlements"),
        ("manage", "FLEXPRICE_ROUTES", "Manage"),
    ):
        for served in here.handlers[function].__globals__[table]:
            assert _target(served) == target, served


@pytest.mark.parametrize("noun", answers()["nouns"])
def test_every_noun_of_flexprices_takes_its_key(noun: str) -> None:
    """flexprice.md 1.8: bare, and whatever is below it."""
    assert {f"ANY /v1/{noun}", f"ANY /v1/{noun}/{{proxy+}}"} <= set(SHARED_ROUTES)


@pytest.mark.parametrize(
    "noun", ["wallets", "prices", "invoices/x/pdf", "groups/search", "customers/x/wallets", "events/e"]
)
def test_a_right_key_on_a_path_that_is_not_served_is_501(here: Here, noun: str) -> None:
    """flexprice.md 1.8: never 401; a bearer key gets Autumn's 404."""
    route = f"GET /v1/{noun}"
    (function,) = (name for name in ("entitlements", "manage") if name.title() == _target(route, SHARED_ROUTES))
    assert_error(*call(here.handlers[function], route), (501, "not_implemented"))
    event = authorized(http_event(route, None, headers={"authorization": "Bearer k"}))
    assert here.handlers[function](event, None)["statusCode"] == 404


def test_a_header_that_is_not_the_keys_changes_nothing_where_only_a_bearer_key_is_taken(here: Here) -> None:
    """Such a call may have passed another gateway, whose key that is."""
    headers = {"authorization": "Bearer k", "x-api-key": "of another gateway"}
    event = authorized(http_event("POST /v1/customers.list", {}, headers=headers))
    assert "list" in json.loads(here.handlers["manage"](event, None)["body"])


def test_autumns_routes_under_shared_nouns_reach_a_function_that_has_them(here: Here) -> None:
    for served in here.handlers["manage"].__globals__["ROUTES"]:
        assert _target(served) in ("Manage", "Entitlements")
        if _target(served) == "Entitlements":
            status, body = bearer(here, served.replace("{}", "x"), {})
            assert status != 404 or not body["message"].startswith("Route"), served


def _target(served: str, routes: dict[str, str] | None = None) -> str:
    """The function that API Gateway calls: that of the most specific route."""
    method, path = served.split(" ")
    parts = path.split("/")
    leading = [route for route in routes or ROUTES if _leads(route, method, parts)]
    return (routes or ROUTES)[
        min(
            leading,
            key=lambda route: ("{proxy+}" in route, -len(route.split("/")), route.count("{"), route.startswith("ANY ")),
        )
    ]


def _leads(route: str, method: str, parts: list[str]) -> bool:
    verb, path = route.split(" ")
    pattern = path.split("/")
    if verb not in ("ANY", method):
        return False
    if pattern[-1] == "{proxy+}":
        return parts[: len(pattern) - 1] == pattern[:-1] and len(parts) >= len(pattern)
    return len(parts) == len(pattern) and all(
        p == part or p[0:1] == "{" for p, part in zip(pattern, parts, strict=True)
    )
