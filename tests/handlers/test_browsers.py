"""Calls from pages of other origins: what their browsers are told, and what they may do.

Rules: management.md 14.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.handlers.conftest import Here
from tests.http_events import authorized, http_event
from tests.template.transformed import of_type, transformed
from tollgate.dialects.autumn.errors import AUTUMN
from tollgate.dialects.browsers import handle_from_pages
from tollgate.dialects.http import Answer
from tollgate.dialects.lotus.routes import PUBLISHABLE
from tollgate.exact_json import loads

NAMED = "https://app.example"
OTHERS = (
    "https://other.example",
    "http://app.example",
    "https://app.example:8443",
    "https://app.example.evil.example",
    "https://app.example,http://localhost:3000",
    "null",
    "*",
    "",
)
CHECKS = ["/v1/check", "/v1/entitled", "/v1/balances.check"]
PATHS = {**dict.fromkeys(CHECKS, "check"), **dict.fromkeys(PUBLISHABLE, "metric_access")}
CHECK = {"customer_id": "paged", "feature_id": "page-messages"}


@pytest.fixture(scope="module")
def customer(here: Here) -> Here:
    feature = {"feature_id": "page-messages", "name": "Messages", "type": "metered", "consumable": True}
    for rpc, body in (
        ("features.create", feature),
        ("customers.get_or_create", {"customer_id": "paged"}),
        ("balances.create", {**CHECK, "included_grant": 5}),
    ):
        assert here.call("manage", f"POST /v1/{rpc}", body)[0] == 200
    return here


def preflight(here: Here, path: str, origin: str) -> dict[str, Any]:
    """As a browser asks: without a key, so without what the authorizer would say."""
    method = "GET" if path.startswith("/api/") else "POST"
    headers = {
        "Origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    return here.handlers[PATHS[path]](http_event(f"OPTIONS {path}", headers=headers), None)


def call(here: Here, origin: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
    event = authorized(http_event("POST /v1/check", more.pop("body", CHECK), headers={"origin": origin}), **more)
    answer = here.handlers["check"](event, None)
    return answer["statusCode"], loads(answer["body"]), answer["headers"]


@pytest.mark.parametrize("path", PATHS)
def test_a_named_origin_may_call_what_a_publishable_key_may(here: Here, path: str) -> None:
    answer = preflight(here, path, NAMED)
    assert answer == {
        "statusCode": 204,
        "headers": {
            "access-control-allow-origin": NAMED,
            "access-control-allow-methods": "GET" if path.startswith("/api/") else "POST",
            "access-control-allow-headers": "authorization,content-type",
            "access-control-max-age": "7200",
            "vary": "origin",
        },
    }


@pytest.mark.parametrize("origin", OTHERS)
def test_any_other_origin_gets_no_permission(customer: Here, origin: str) -> None:
    for path in PATHS:
        assert preflight(customer, path, origin) == {"statusCode": 204, "headers": {"vary": "origin"}}
    status, _, headers = call(customer, origin, scope="publishable")
    assert status == 200
    assert not [name for name in headers if name.startswith("access-control")]


def test_a_page_reads_its_answer_and_its_refusals(customer: Here) -> None:
    for body, status in (
        (CHECK, 200),
        ({**CHECK, "send_event": True}, 400),
        ({**CHECK, "feature_id": "x"}, 404),
        ("{", 400),
    ):
        found, _, headers = call(customer, NAMED, body=body, scope="publishable")
        assert found == status
        assert (headers["access-control-allow-origin"], headers["vary"]) == (NAMED, "origin")
        assert "access-control-allow-credentials" not in headers
    event = http_event("POST /v1/check", CHECK, headers={"origin": NAMED})
    event["requestContext"]["authorizer"] = {"lambda": {"refused": "unknown"}}
    answer = customer.handlers["check"](event, None)
    assert (answer["statusCode"], answer["headers"]["access-control-allow-origin"]) == (401, NAMED)


def test_a_secret_key_in_a_page_is_refused_and_does_nothing(customer: Here) -> None:
    before = customer.contents()
    status, answer, headers = call(customer, NAMED, body={**CHECK, "send_event": True})
    assert (status, answer["code"]) == (403, "insufficient_scopes")
    assert "publishable key" in answer["message"]
    assert headers["access-control-allow-origin"] == NAMED
    event = authorized(http_event("GET /api/customers", headers={"origin": NAMED}))
    assert customer.handlers["metric_access"](event, None)["statusCode"] == 403
    assert customer.contents() == before


def test_a_server_and_a_page_of_the_apis_own_are_as_before(customer: Here) -> None:
    """The console calls with a secret key, and its browser says where the page is from."""
    assert call(customer, "https://api.example")[0] == 200
    assert customer.call("check", "POST /v1/check", CHECK)[0] == 200


def test_without_a_named_origin_nobody_gets_permission() -> None:
    def answered(event: dict[str, Any]) -> dict[str, Any]:
        return handle_from_pages(frozenset(), event, AUTUMN, lambda _: Answer({}), lambda: 0, lambda _: None)

    headers = {"origin": NAMED}
    assert answered(http_event("OPTIONS /v1/check", headers=headers))["headers"] == {"vary": "origin"}
    called = answered(authorized(http_event("POST /v1/check", CHECK, headers=headers)))
    assert called["headers"] == {"content-type": "application/json"}


def test_only_these_paths_answer_a_browser_without_a_key() -> None:
    """An API's own CORS settings would answer on every path, and a route for ANY method has an authorizer."""
    template = transformed()
    routes = [one["Properties"] for one in of_type(template, "AWS::ApiGatewayV2::Route").values()]
    asked = {one["RouteKey"] for one in routes if one["RouteKey"].startswith("OPTIONS ")}
    assert asked == {f"OPTIONS {path}" for path in PATHS}
    opened = {one["RouteKey"] for one in routes if one["AuthorizationType"] == "NONE"}
    files = {
        "GET /console",
        "GET /console/{proxy+}",
        "GET /docs",
        "GET /docs/{file}",
        "GET /openapi/{file}",
        "GET /llms.txt",
    }
    assert opened == asked | files
    assert all(
        "CorsConfiguration" not in one["Properties"] for one in of_type(template, "AWS::ApiGatewayV2::Api").values()
    )


@pytest.mark.parametrize(
    ("origins", "taken"),
    [
        ("", True),
        ("https://a.example", True),
        ("https://a.example:8443,http://localhost:3000,http://127.0.0.1", True),
        ("*", False),
        ("http://a.example", False),
        ("https://a.example/", False),
        ("https://*.example", False),
        ("https://a.example,", False),
        ("https://a.example, https://b.example", False),
        ("https://a.examplehttps://b.example", False),
        ("null", False),
    ],
)
def test_the_parameter_takes_origins_and_nothing_else(origins: str, taken: bool) -> None:
    pattern = transformed()["Parameters"]["BrowserOrigins"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, origins)) is taken
    assert (ROOT / "template.yaml").read_text().count("TOLLGATE_BROWSER_ORIGINS: !Ref BrowserOrigins") == 2
