"""An API that is mapped under a base path of a custom domain answers as it does at its own address."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.handlers.conftest import Here
from tests.http_events import authorized, http_event
from tests.template.transformed import of_type, transformed
from tollgate.dialects.paths import path_of

pytestmark = pytest.mark.handlers
PARTS = st.text(st.sampled_from("abcxyz0189-_.~$+"), min_size=1, max_size=8).filter(
    lambda part: not part.startswith(("v1", "api", "console", "docs", "openapi", "llms", "auth"))
)
BASES = st.one_of(st.just(""), st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts)))
IDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)


def routes() -> list[str]:
    return sorted(
        route["Properties"]["RouteKey"] for route in of_type(transformed(), "AWS::ApiGatewayV2::Route").values()
    )


@given(base=BASES, data=st.data())
def test_the_path_is_the_route_s_own_under_any_base_path(base: str, data: st.DataObject) -> None:
    """Ids may have slashes in them, and look like a route of their own."""
    for route in routes():
        path = re.sub(
            r"\{[^}]+\}", lambda _: data.draw(IDS | st.sampled_from(["v1/check", "/v1/"])), route.split(" ")[1]
        )
        assert path_of({"routeKey": route, "rawPath": base + path}) == path


@pytest.mark.parametrize("base", ["/billing", "/eu/tollgate.2"])
def test_every_function_answers_the_same_there(here: Here, base: str) -> None:
    def asked(function: str, key: str, path: str, body: Any = None, **more: Any) -> list[Any]:
        found = []
        for before in ("", base):
            event = http_event(key, body, headers=more.get("headers"), query=more.get("query", ""))
            at = {"method": key.split(" ")[0].replace("ANY", "POST"), "path": before + path}
            context = {**event["requestContext"], "http": at, "domainName": "api.example.com", "stage": "$default"}
            event |= {"rawPath": before + path, "requestContext": context}
            found.append(here.handlers[function](authorized(event), None))
        assert found[0] == found[1], (function, path)
        return found

    new = {"customer_id": "a/v1/b"}
    assert asked("manage", "ANY /v1/{proxy+}", "/v1/customers.get_or_create", new)[1]["statusCode"] == 200
    assert '"a/v1/b"' in asked("manage", "GET /v1/customers/{proxy+}", "/v1/customers/a/v1/b")[1]["body"]
    for function, key, path, body in (
        ("check", "POST /v1/check", "/v1/check", {**new, "feature_id": "messages"}),
        ("check", "POST /v1/check", "/v1/check", "{"),
        ("track", "POST /v1/track", "/v1/track", {**new, "feature_id": "none"}),
        ("metric_access", "GET /api/ping", "/api/ping", None),
        ("metric_access", "GET /api/customers/{proxy+}", "/api/customers/a/v1/b/", None),
        ("lotus", "POST /api/track", "/api/track/", "{"),
        ("manage", "ANY /v1/{proxy+}", "/v1/nothing.there", {}),
    ):
        asked(function, key, path, body)
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert (
        asked("check", "OPTIONS /v1/check", "/v1/check", headers=preflight)[1]["headers"][
            "access-control-allow-methods"
        ]
        == "POST"
    )
    either = {"x-api-key": "k"}
    assert asked("manage", "GET /v1/customers/{proxy+}", "/v1/customers/a/v1/b", headers=either)[1]["statusCode"] == 200
