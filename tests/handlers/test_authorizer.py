"""Whose key is it.

Rules: autumn.md 1.1.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.conftest import Here
from tests.service import NOW
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment


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
        assert ask(here, headers) == {"isAuthorized": False}
    for headers in (
        {"Authorization": f"Bearer {text}"},
        {"X-Api-Key": text},
        {"authorization": f"Bearer {text}"},
        {"authorization": f"bearer {text}"},
        {"x-api-key": text},
    ):
        assert ask(here, headers) == expected
    here.service.api_keys.revoke(environment, key.id)
    assert ask(here, {"x-api-key": text}) == {"isAuthorized": False}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": "Bearer am_sk_test_nope"},
        {"authorization": "Basic am_sk_test_nope"},
        {"x-api-key": "x" * 9000},
        {"x-api-key": "caf\u00e9"},
    ],
    ids=str,
)
def test_anything_else_is_refused(here: Here, headers: dict[str, str]) -> None:
    assert ask(here, headers) == {"isAuthorized": False}
