"""One runaway key or customer does not use up what is there for all: it is told to wait, in its dialect's own words.

Rules: management.md 19.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Spent
from tests.handlers.conftest import Here, a_place
from tests.http_events import authorized, http_event
from tests.service import NOW
from tests.template.transformed import of_type, transformed
from tollgate import runtime
from tollgate.dialects.http import Answer, Request
from tollgate.domain.environments import Environment
from tollgate.exact_json import loads
from tollgate.store.call_counts import CallCountStore

CHECK = {"customer_id": "ann", "feature_id": "messages", "send_event": True}


_windows = itertools.count(1)


class Hurried:
    """Functions of a stack that answers twenty calls of a key and ten about a customer in ten seconds."""

    def __init__(self, here: Here, patch: pytest.MonkeyPatch) -> None:
        self.here, self._patch = here, patch
        self.next_window()

    def next_window(self) -> None:
        self.windows = next(_windows)
        now = NOW + 10_000 * self.windows + 3_500
        self._patch.setattr(runtime, "clock", lambda: now)

    def __call__(self, function: str, route: str, body: Any = None, **more: Any) -> dict[str, Any]:
        query = more.pop("query", "")
        event = authorized(http_event(route, body, headers=more.pop("headers", {})), **more)
        return self.here.handlers[function]({**event, "rawQueryString": query}, None)

    def used_up(self, key_id: str) -> None:
        """A key makes all its calls of this window; that they are refused for what they ask is none of the limit's concern."""
        for _ in range(20):
            self("check", "POST /v1/check", {}, key_id=key_id)


@pytest.fixture(scope="module")
def place() -> Iterator[Here]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "aside", lambda run: run())
        with a_place(TOLLGATE_CALLS_PER_KEY="2", TOLLGATE_CALLS_PER_CUSTOMER="1") as here:
            yield here


@pytest.fixture
def hurried(place: Here, monkeypatch: pytest.MonkeyPatch) -> Hurried:
    return Hurried(place, monkeypatch)


def test_a_customer_that_calls_too_much_is_told_to_wait_and_nothing_is_counted(hurried: Hurried) -> None:
    for route, body in (
        ("customers.get_or_create", {"customer_id": "ann"}),
        ("balances.create", {"customer_id": "ann", "feature_id": "messages", "included_grant": 50}),
    ):
        assert hurried("manage", f"POST /v1/{route}", body)["statusCode"] == 200
    hurried.next_window()
    answers = [hurried("check", "POST /v1/check", CHECK) for _ in range(13)]
    assert [answer["statusCode"] for answer in answers] == [200] * 10 + [429] * 3
    refused = answers[-1]
    assert refused["headers"]["retry-after"] == "7"
    assert loads(refused["body"]) == {
        "message": "Too many calls of this customer: try again in 7 s",
        "code": "rate_limit_exceeded",
        "env": "sandbox",
    }
    assert hurried("check", "POST /v1/check", {**CHECK, "customer_id": "bob"})["statusCode"] != 429
    hurried.next_window()
    after = hurried("check", "POST /v1/check", {**CHECK, "send_event": False})
    assert loads(after["body"])["balance"]["remaining"] == 40


SERVED = [
    ("check", "POST /v1/check", {}, CHECK, ""),
    ("track", "POST /v1/track", {}, {"customer_id": "ann", "feature_id": "messages"}, ""),
    ("manage", "POST /v1/plans.list", {}, {}, ""),
    ("entitlements", "GET /v1/features", {"authorization": "Bearer k"}, None, ""),
    ("entitlements", "GET /v1/features", {"x-api-key": "k"}, None, ""),
    ("manage", "POST /v1/events/query", {"x-api-key": "k"}, {}, ""),
    ("metric_access", "GET /api/metric_access/", {"x-api-key": "k"}, None, "customer_id=ann&metric_id=m"),
    ("lotus", "POST /api/track/", {"x-api-key": "k"}, {"batch": []}, ""),
]


@pytest.mark.parametrize(("function", "route", "headers", "body", "query"), SERVED)
def test_every_function_behind_a_key_keeps_its_limit(
    hurried: Hurried, function: str, route: str, headers: dict[str, str], body: Any, query: str
) -> None:
    key = f"key_{uuid.uuid4().hex}"
    first = hurried(function, route, body, headers=headers, query=query, key_id=key)
    assert first["statusCode"] != 429
    hurried.used_up(key)
    spent = Spent(hurried.here.service.table.client)
    try:
        refused: list[dict[str, Any]] = []
        requests = spent.of(
            lambda: refused.append(hurried(function, route, body, headers=headers, query=query, key_id=key))
        )
    finally:
        spent.stop()
    (answer,) = refused
    assert not requests, "a refusal asks the table nothing"
    assert answer["statusCode"] == 429
    assert answer["headers"]["retry-after"] == "7"
    said = loads(answer["body"])
    words = "Too many calls of this key: try again in 7 s"
    if route.startswith("POST /api") or route.startswith("GET /api"):
        assert said == {
            "type": "https://docs.uselotus.io/errors/error-responses#client-error",
            "detail": words,
            "title": "throttled",
        }
    elif "x-api-key" in headers:
        assert (said["code"], said["message"], said["http_status_code"]) == ("too_many_requests", words, 429)
    else:
        assert said == {"message": words, "code": "rate_limit_exceeded", "env": "sandbox"}


def test_every_function_that_asks_for_a_key_was_tried() -> None:
    behind = {each[0] for each in SERVED}
    routes = of_type(transformed(), "AWS::ApiGatewayV2::Route")
    named = {
        function
        for route in routes.values()
        if route["Properties"].get("AuthorizationType") == "CUSTOM"
        for function in ("check", "track", "manage", "entitlements", "metric_access", "lotus")
        if function.replace("_", "") in str(route["Properties"]["Target"]).lower().replace("integration", "")
    }
    assert named == behind


def test_what_a_container_tells_lies_in_the_table_for_ten_minutes(hurried: Hurried) -> None:
    for _ in range(3):
        hurried("check", "POST /v1/check", {"customer_id": "cy", "feature_id": "messages"}, key_id="key_told")
    store = CallCountStore(hurried.here.service.table)
    window = NOW + 10_000 * hurried.windows
    assert store.tell(Environment.SANDBOX, "customer#cy", window, 1) == 4
    assert store.tell(Environment.LIVE, "customer#cy", window, 1) == 1
    table = hurried.here.service.table
    item = table.get({"pk": {"S": "sandbox#calls#customer#cy"}, "sk": {"S": f"{window:014d}"}})
    assert item == {
        "pk": {"S": "sandbox#calls#customer#cy"},
        "sk": {"S": f"{window:014d}"},
        "calls": {"N": "4"},
        "ttl": {"N": str(window // 1000 + 600)},
        "v": {"N": "0"},
    }


def test_a_stack_without_limits_counts_nothing() -> None:
    with a_place(TOLLGATE_CALLS_PER_KEY="0", TOLLGATE_CALLS_PER_CUSTOMER="") as here:
        for _ in range(40):
            assert here.call("check", "POST /v1/check", {"customer_id": "free", "feature_id": "messages"})[0] != 429
        assert "#calls#" not in here.contents()
        assert runtime.limited(_anything) is _anything, "a route that has no limit is itself: nothing runs before it"


def _anything(_: Request) -> Answer:
    raise NotImplementedError
