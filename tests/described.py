"""Answers held against the documents under docs/openapi, read strictly: no status, field or code that they do not name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any

from jsonschema import Draft202012Validator

from tollgate.dialects.autumn.versions import NEWEST, UnknownVersion, version_of
from tollgate.dialects.paths import path_of
from tollgate.dialects.routing import match, wide_match
from tollgate_cli import json_output
from tollgate_cli.openapi import DIALECTS
from tollgate_cli.openapi.document import JSON, Dialect, document

Handler = Callable[[dict[str, Any], object], dict[str, Any]]

LOTUS = ("metric_access", "lotus")
AUTUMN = ("check", "track", "manage")


def watched(function: str, handler: Handler) -> Handler:
    """The handler of a function, whose every answer over HTTP is held against the document of its dialect."""

    @wraps(handler)
    def answered(event: dict[str, Any], context: object) -> dict[str, Any]:
        answer = handler(event, context)
        if "statusCode" in answer and "rawPath" in event:
            assert not (problem := found_wrong(function, event, answer)), problem
        return answer

    return answered if function in (*AUTUMN, *LOTUS, "entitlements") else handler


def found_wrong(function: str, event: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    """What of an answer its document does not say; empty where it says it all."""
    headers = {name.lower(): value for name, value in event["headers"].items()}
    names: tuple[str, ...] = ("autumn", "tollgate")
    if function in LOTUS:
        names = ("lotus",)
    elif _is_flexprices(function, path_of(event), headers):
        names = ("flexprice",)
    documents = [dialect for dialect in DIALECTS if dialect.name in names]
    method = event["requestContext"]["http"]["method"]
    if method == "OPTIONS":  # a browser's question before a call of the API, and no call
        return ""
    path = path_of(event).rstrip("/") + ("/" if function in LOTUS else "")
    for dialect in documents:
        templates = [*dialect.operations]
        found = match(templates, f"{method} {path}") or wide_match(templates, f"{method} {path}")
        status = answer["statusCode"]
        missing = status == 501 or (status == 404 and match(templates, f"{method} {path}") is None)
        if found is not None and not missing:  # a path that is longer may be no id with a slash, but no route at all
            return _against(dialect, found.template, headers, answer)
    if documents and answer["statusCode"] < 400:
        return f"{method} {path} is in no document, and was answered with {answer['statusCode']}"
    return ""


def _is_flexprices(function: str, path: str, headers: Mapping[str, str]) -> bool:
    if function == "entitlements":
        return "x-api-key" in headers or "authorization" not in headers
    return function == "manage" and f"{path}/".startswith("/v1/events/") and "x-api-key" in headers


def _against(dialect: Dialect, route: str, headers: Mapping[str, str], answer: Mapping[str, Any]) -> str:
    status = answer["statusCode"]
    said = _responses(dialect, route).get(str(status))
    if said is None:
        return f"{route}: status {status} is not described: {answer.get('body')}"
    if "content" not in said:
        return "" if "body" not in answer else f"{route}: {status} is described without a body"
    schema = _of_version(said["content"][JSON], headers, status)
    body = json.loads(answer["body"])
    errors = list(_validator(dialect.name, json.dumps(schema)).iter_errors(body))
    told = "; ".join(f"{error.json_path}: {error.message[:300]}" for error in _deep(errors))
    return f"{route} {status}: {told}: {answer['body'][:1000]}" if errors else ""


def _deep(errors: list[Any]) -> list[Any]:
    """The errors that say most: behind `anyOf`."""
    return [deep for error in errors for deep in (_deep(list(error.context)) if error.context else [error])]


def _of_version(media: Mapping[str, Any], headers: Mapping[str, str], status: int) -> Any:
    """The schema of the version that was asked for: each key of `x-older-versions` is the newest that has its shape."""
    try:
        asked = version_of(headers.get("x-api-version")) if status < 400 else NEWEST
    except UnknownVersion:
        return media["schema"]
    older = {version_of(name): schema for name, schema in media.get("x-older-versions", {}).items()}
    return next((older[version] for version in sorted(older) if asked <= version), media["schema"])


def printed_wrong(words: str, value: Any) -> str:
    """What of a line or document that a command printed with --json its schema does not say; empty where it says it all."""
    errors = _deep(list(_printed(words).iter_errors(value)))
    return "; ".join(f"{error.json_path}: {error.message[:300]}" for error in errors)


@cache
def _printed(words: str) -> Draft202012Validator:
    return Draft202012Validator({**_commands(), "$ref": f"#/$defs/{words.replace(' ', '%20')}"})


@cache
def _commands() -> dict[str, Any]:
    return json_output.schema([documents()["autumn"], documents()["tollgate"]], strict=True)


@cache
def documents() -> dict[str, Any]:
    """The documents by their names, read strictly."""
    return {dialect.name: document(dialect, (), strict=True) for dialect in DIALECTS}


def _responses(dialect: Dialect, route: str) -> dict[str, Any]:
    whole = documents()[dialect.name]
    method, _, path = route.partition(" ")
    for template, operations in whole["paths"].items():
        if _plain(template) == path and method.lower() in operations:
            shared = whole["components"]["responses"]
            return {
                status: shared[said["$ref"].rpartition("/")[2]] if "$ref" in said else said
                for status, said in operations[method.lower()]["responses"].items()
            }
    raise AssertionError(f"{route} is in no document")


def _plain(template: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in template.split("/"))


@cache
def _validator(name: str, schema: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(schema), "components": documents()[name]["components"]})
