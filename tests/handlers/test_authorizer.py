"""Whose key is it.

Rules: autumn.md 1.1.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.http_events import http_event
from tests.service import NOW
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.exact_json import loads


def ask(here: Here, headers: dict[str, str]) -> dict[str, Any]:
    """As an authorizer whose identity source is the first of the headers."""
    source = next(iter(headers.values()), "")
    return here.handlers["authorizer"]({"headers": headers, "identitySource": [source]}, None)


@pytest.mark.parametrize("environment", Environment)
@pytest.mark.parametrize("scope", Scope)
def test_a_key_tells_its_environment_and_scope(here: Here, environment: Environment, scope: Scope) -> None:
    key, text = here.service.api_keys.create(environment, scope, "", NOW)
    expected = {
        "isAuthorized": True,
        "context": {"environment": environment.value, "scope": scope.value, "key_id": key.id},
    }
    refused = (
        {"authorization": "Basic abc", "x-api-key": text},
        {"x-api-key": "abc", "authorization": f"Bearer {text}"},
    )
    for headers in refused:  # the answer is cached under the first: the second may have no say in it
        assert "environment" not in ask(here, headers)["context"]
    for headers in (
        {"Authorization": f"Bearer {text}"},
        {"X-Api-Key": text},
        {"authorization": f"Bearer {text}"},
        {"authorization": f"bearer {text}"},
        {"x-api-key": text},
    ):
        assert ask(here, headers) == expected
    here.service.api_keys.revoke(environment, key.id)
    assert ask(here, {"x-api-key": text}) == refused_as("unknown")


def refused_as(reason: str) -> dict[str, Any]:
    """Nobody: the function refuses, in its dialect's words."""
    return {"isAuthorized": True, "context": {"refused": reason}}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing"),
        ({"authorization": ""}, "missing"),
        ({"authorization": "Bearer "}, "malformed"),
        ({"authorization": "Bearer am_sk_test_nope"}, "unknown"),
        ({"authorization": "Basic am_sk_test_nope"}, "malformed"),
        ({"x-api-key": "x" * 9000}, "unknown"),
        ({"x-api-key": "caf\u00e9"}, "unknown"),
    ],
    ids=str,
)
def test_anything_else_is_nobody(here: Here, headers: dict[str, str], reason: str) -> None:
    assert ask(here, headers) == refused_as(reason)


@pytest.mark.parametrize(
    ("function", "route", "headers", "answers"),
    [
        (
            "manage",
            "POST /v1/features.list",
            {},
            [{"code": code, "env": None} for code in ("no_secret_key", "invalid_request", "invalid_secret_key")],
        ),
        ("check", "POST /v1/check", {}, [{"code": "no_secret_key"}, {"code": "invalid_request"}, {"env": None}]),
        ("track", "POST /v1/track", {}, [{"code": "no_secret_key"}, {"code": "invalid_request"}, {"env": None}]),
        (
            "metric_access",
            "GET /api/metric_access/",
            {},
            [{"title": title} for title in ("not_authenticated", "authentication_failed", "authentication_failed")],
        ),
        (
            "entitlements",
            "GET /v1/features/x",
            {"x-api-key": "x"},
            [{"code": "unauthenticated", "http_status_code": 401}] * 3,
        ),
    ],
)
def test_nobody_is_refused_in_the_dialects_words(
    here: Here, function: str, route: str, headers: dict[str, str], answers: list[dict[str, Any]]
) -> None:
    for reason, expected in zip(("missing", "malformed", "unknown"), answers, strict=True):
        event = http_event(route, {}, headers=headers)
        event["requestContext"]["authorizer"] = {"lambda": {"refused": reason}}
        answer = here.handlers[function](event, None)
        assert answer["statusCode"] == 401
        assert expected.items() <= loads(answer["body"]).items()
