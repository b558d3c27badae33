"""Flexprice's API in tests: its SDK straight on the handlers, and the schema that every answer must satisfy."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from flexprice import Flexprice, models
from jsonschema import Draft4Validator, Draft202012Validator

from tests.http_events import authorized, http_event

SCHEMA = Path(__file__).parent / "contract" / "flexprice_openapi.json"
ANSWERS = Path(__file__).parent / "contract" / "flexprice_answers.json"
Handler = Callable[[dict[str, Any], object], dict[str, Any]]


def api_event(route: str, body: Any = None, query: str = "", **more: Any) -> dict[str, Any]:
    """A call with an API key in `x-api-key`, behind the authorizer."""
    event = authorized(http_event(route, body, headers={"x-api-key": "k"}), **more)
    return {**event, "rawQueryString": query}


def call(handler: Handler, route: str, body: Any = None, query: str = "", **more: Any) -> tuple[int, Any]:
    """The status and the parsed body, None where there is none."""
    answer = handler(api_event(route, body, query, **more), None)
    return answer["statusCode"], json.loads(answer["body"]) if "body" in answer else None


def sdk(handler: Handler, **more: Any) -> Flexprice:
    """The official SDK, its requests answered by the handler."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        query = request.url.query.decode()
        found = handler(api_event(f"{request.method} {path}", request.content.decode() or None, query, **more), None)
        return httpx.Response(found["statusCode"], headers=found["headers"], text=found.get("body", ""))

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Flexprice(api_key_auth="k", server_url="http://tollgate/v1", client=client)


@cache
def validator(name: str, *, strict: bool = True) -> Draft4Validator:
    """Validates against one of the document's schemas.

    With one difference from the document: it says that an alert's threshold is a number, and the SDK (2.1.43) parses
    text alone. `strict` also refuses fields that the schema does not name.
    """
    document = json.loads(SCHEMA.read_text())
    schemas = document["components"]["schemas"]
    schemas["types.AlertThreshold"]["properties"]["threshold"] = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
    if strict:
        for schema in schemas.values():
            if "properties" in schema:
                schema["additionalProperties"] = False
    return Draft4Validator({**document, "$ref": f"#/components/schemas/{name}"})


def assert_entitlements(body: Any) -> None:
    """The answer is what the document says (flexprice.md 1.1); beyond it come `subscriptions` (since June 2026) and `aggregation_mode`."""
    body = without_nulls(body)
    assert isinstance(body.pop("subscriptions"), list)
    for feature in body["features"]:
        mode = feature["entitlement"].pop("aggregation_mode", "additive")
        assert mode == "additive"
    validator("CustomerEntitlementsResponse").validate(body)


def without_nulls(body: Any) -> Any:
    """The answer without what is null in it: the document's types know no null, and the SDKs take it for absent."""
    if isinstance(body, dict):
        return {name: without_nulls(value) for name, value in body.items() if value is not None}
    return [without_nulls(value) for value in body] if isinstance(body, list) else body


def assert_error(status: int, body: Any, expected: tuple[int, str]) -> None:
    assert (status, body["code"]) == expected, body
    assert (body["http_status_code"], body["details"]) == (status, {})
    assert body["message"]
    assert (body["success"], body["error"]) == (False, {"message": body["message"], "internal_error": body["code"]})
    if body["code"] not in ("not_implemented", "unauthenticated"):  # which the document does not name
        validator("errors.ErrorResponse", strict=False).validate(body)


@cache
def answers() -> Any:
    """What each served route answers (`tests/contract/flexprice_answers.json`)."""
    return json.loads(ANSWERS.read_text())


def assert_answer(route: str, status: int, body: Any) -> None:
    """The answer of a route (flexprice.md 1.5): its status, every key that the TypeScript SDK reads, no others than the
    SDKs know, and what the Python SDK parses."""
    expected = answers()["routes"][route]
    assert status == expected["status"], body
    name = expected["schema"]
    if name is None:
        assert body is None
        return
    Draft202012Validator({**answers(), "$ref": f"#/schemas/{name}"}).validate(body)
    model = getattr(models, name, None)
    if model is not None:
        model.model_validate(body)
