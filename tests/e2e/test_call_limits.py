"""Limits of calls on the deployed stack: each dialect's call that is one too many is 429 in its own shape, and does nothing.

Rules: management.md 19. The functions are published anew with the limits, as a change of the stack's parameters does it, and
put back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from autumn_sdk.errors import AutumnError

from tests.e2e.fixture import Shop, monthly, new
from tollgate.domain.api_keys import ApiKey, Scope
from tollgate.domain.environments import Environment
from tollgate_cli.stack import Stack, api_keys

LIMIT = 10  # calls in ten seconds
KEYS = {"TOLLGATE_CALLS_PER_KEY": str(LIMIT // 10)}
ASKED = {
    "POST /v1/balances.check": {"TOLLGATE_CALLS_PER_CUSTOMER": str(LIMIT // 10)},
    "GET /v1/customers/{id}/entitlements": KEYS,
    "GET /api/metric_access": KEYS,
}


@contextmanager
def _published(stack: Stack) -> Iterator[None]:
    """The functions behind those routes, with their variables more."""
    functions, gateway = stack.client("lambda"), stack.client("apigatewayv2")
    api = stack.outputs["ApiUrl"].split("//")[1].split(".")[0]
    targets = {one["RouteKey"]: one["Target"] for one in gateway.get_routes(ApiId=api, MaxResults="500")["Items"]}
    uris = {
        f"integrations/{one['IntegrationId']}": one["IntegrationUri"]
        for one in gateway.get_integrations(ApiId=api, MaxResults="500")["Items"]
    }
    before: dict[str, tuple[str, dict[str, str]]] = {}
    try:
        for route, more in ASKED.items():
            (name,) = re.findall(r"functions/(?:arn:[^/]*:function:)?([^/:]+)", uris[targets[route]])
            variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
            before[name] = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"], variables
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, **more}})
            version = functions.publish_version(FunctionName=name)["Version"]
            functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
        yield
    finally:
        for name, (version, variables) in before.items():
            functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


@pytest.fixture(scope="module")
def limited(stack: Stack) -> Iterator[Stack]:
    with _published(stack):
        yield stack


def _answers(limit: int, ask: Any) -> tuple[list[httpx.Response], httpx.Response]:
    """Those that were answered, and the first that was not: of two windows at most, should one end meanwhile."""
    passed: list[httpx.Response] = []
    for _ in range(2 * limit + 1):
        answer: httpx.Response = ask()
        if answer.status_code == 429:
            return passed, answer
        passed.append(answer)
    raise AssertionError(f"{len(passed)} calls, and no limit")


def _windows_of(limit: int, passed: int, began: float) -> bool:
    """Whether so many calls are those of one window, or of two where a new one has begun since."""
    return passed == limit or (limit < passed <= 2 * limit and int(began // 10) != int(time.time() // 10))


def test_a_customer_and_a_key_are_told_to_wait_in_each_dialects_words(limited: Stack, shop: Shop) -> None:
    customer = shop.customer(monthly(1000))
    check = {"customer_id": customer, "feature_id": "messages", "send_event": True}
    began = time.time()
    passed, refused = _answers(LIMIT, lambda: shop.http.post("/v1/balances.check", json=check))
    assert {answer.status_code for answer in passed} == {200}
    assert _windows_of(LIMIT, len(passed), began)
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert refused.json() == {
        "message": f"Too many calls of this customer: try again in {refused.headers['retry-after']} s",
        "code": "rate_limit_exceeded",
        "env": "sandbox",
    }
    if int(began // 10) == int(time.time() // 10):
        with pytest.raises(AutumnError) as told:  # the SDK does not try again by itself
            shop.autumn.check(customer_id=customer, feature_id="messages")
        assert told.value.status_code == 429
    held = shop.api.call("customers.get", {"customer_id": customer})["balances"]["messages"]
    assert held["usage"] == len(passed), "what was refused counted nothing"

    shapes = {
        "/v1/customers/{}/entitlements": ("code", "too_many_requests"),
        "/api/metric_access?customer_id={}&metric_id=messages": ("title", "throttled"),
    }
    for path, (name, code) in shapes.items():
        _, key = _key(limited)
        mine = {"x-api-key": key}
        began = time.time()

        def ask(path: str = path, mine: dict[str, str] = mine) -> httpx.Response:
            url = limited.url + path.format(new())  # each call is about another customer: it is the key that is one
            return httpx.get(url, headers=mine, timeout=30, trust_env=False)

        passed, refused = _answers(LIMIT, ask)
        assert _windows_of(LIMIT, len(passed), began), path
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert refused.json()[name] == code, path
        assert "Too many calls of this key" in refused.text


def _key(stack: Stack) -> tuple[ApiKey, str]:
    """A new secret key of the sandbox."""
    return api_keys(stack.table).create(Environment.SANDBOX, Scope.SECRET, new("hurried"), int(time.time() * 1000))
