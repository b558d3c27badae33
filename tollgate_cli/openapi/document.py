"""One OpenAPI 3.1 document, put together from what is served and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

from pydantic import AliasChoices

from tollgate.dialects.fields import BaseParams
from tollgate.dialects.http import Answer
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate_cli.openapi.examples import Exchange
from tollgate_cli.openapi.json_schemas import ID, REFS, json_schemas, request_models
from tollgate_cli.openapi.operations import Operation, Parameter
from tollgate_cli.openapi.served import Served, described
from tollgate_cli.openapi.shapes import OWN

Schema = dict[str, Any]
JSON = "application/json"
STATUSES = {200: "It is done.", 201: "It is made.", 202: "It is taken.", 204: "It is done; the answer is empty."}


class Dialect(NamedTuple):
    """What the routes of one document share."""

    name: str  # the file's
    title: str
    text: str
    served: Callable[[], Mapping[str, Served]]
    operations: Mapping[str, Operation]
    error_answer: Callable[[TollgateError, Environment], Answer]
    error: Any  # the shape of a refusal
    code_field: str  # the field of it that names the kind of refusal
    internal: str  # the code of a failure of the code itself
    codes: Mapping[str, str]  # what each code says
    fields: Mapping[str, str]  # what each field of a request says
    refusals: tuple[TollgateError, ...]  # what any route may answer
    scheme: Mapping[str, Any]  # how a key is sent
    headers: tuple[Parameter, ...]
    write_headers: tuple[Parameter, ...]  # of calls that change something
    tags: Mapping[str, str]
    tag_of: Callable[[str], str]
    nouns: Mapping[str, str]  # what the part of a path after a noun is called
    own_fields: Mapping[str, Sequence[str]] = {}
    own: bool = False  # all of it is Tollgate's own
    reads_query: bool = False  # a GET's model reads the query
    json_in_query: bool = False  # where lists are JSON


class Gateway(NamedTuple):
    """API Gateway's own refusal, before any function is asked."""

    status: int
    text: str


GATEWAY = (
    Gateway(401, "No key was sent: the answer may be API Gateway's own."),
    Gateway(431, "The path, the query and the headers are too long together: the answer is API Gateway's own."),
)
GATEWAY_REFUSAL: Schema = {
    "type": "object",
    "description": "API Gateway's own refusal: no key was sent (401), or the path is none (404).",
    "required": ["message"],
    "properties": {"message": {"type": "string", "description": "`Unauthorized` or `Not Found`."}},
    "additionalProperties": False,
}


def document(dialect: Dialect, exchanges: Sequence[Exchange], *, strict: bool = False) -> Schema:
    """The document of a dialect. A `strict` one says that answers have no other fields than those that are named."""
    found = dialect.served()
    operations = dialect.operations
    bodies = {route: _body(found[route], operations[route]) for route in operations}
    types: list[Any] = [dialect.error]
    places: dict[tuple[str, Any], int] = {}

    def place(route: str, key: Any, of: Any) -> None:
        places[route, key] = len(types)
        types.append(of)

    for route, operation in operations.items():
        if bodies[route] is not None:
            place(route, "body", bodies[route])
        for status, shape in operation.by_status.items():
            if shape is not None:
                place(route, status, shape)
        for old, shape in operation.older.items():
            place(route, old, shape)
    schemas, components = json_schemas(types)
    _explain(components, types, dialect)
    components["GatewayRefusal"] = dict(GATEWAY_REFUSAL)
    paths: dict[str, Schema] = {}
    for route, operation in operations.items():
        of_route: dict[Any, Any] = {key: schemas[number] for (name, key), number in places.items() if name == route}
        if dialect.reads_query and found[route].method == "GET" and "body" in of_route:
            of_route["query"] = components[of_route.pop("body")["$ref"].removeprefix(REFS)]
        if "body" in of_route:  # an empty body is read as {}
            model = components.get(of_route["body"].get("$ref", "").removeprefix(REFS), {"required": True})
            of_route["required"] = bool(model.get("required"))
        own = [exchange for exchange in exchanges if exchange.route == route]
        path, method = _path(dialect, found[route]), found[route].method.lower()
        paths.setdefault(path, {})[method] = _operation(dialect, found[route], operation, of_route, own)
    tags = {dialect.tag_of(found[route].path) for route in operations}
    whole = {
        "openapi": "3.1.0",
        "info": _info(dialect),
        "servers": [{"url": "/", "description": "Where this document was served."}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": text} for name, text in dialect.tags.items() if name in tags],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": dict(dialect.scheme)},
            "parameters": {
                each.name: _parameter(each, "header") for each in (*dialect.headers, *dialect.write_headers)
            },
            "responses": _shared(dialect),
            "schemas": dict(sorted(components.items())),
        },
    }
    return whole if strict else _open(whole)


def _info(dialect: Dialect) -> Schema:
    return {
        "title": dialect.title,
        "version": version("tollgate"),
        "description": dialect.text,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _open(value: Any) -> Any:
    """The same, where an answer may come to have more fields: who reads it should not mind."""
    if isinstance(value, dict):
        return {k: _open(v) for k, v in value.items() if not (k == "additionalProperties" and v is False)}
    return [_open(each) for each in value] if isinstance(value, list) else value


def _body(served: Served, operation: Operation) -> Any:
    return served.model if operation.body is None else operation.body


# ------------------------------------------------------------------ one route


def _operation(
    dialect: Dialect, served: Served, operation: Operation, schemas: Mapping[Any, Schema], exchanges: Sequence[Exchange]
) -> Schema:
    text = " ".join(part for part in (described(served.handler), operation.text) if part)
    parameters = [*_path_parameters(dialect, served), *_headers(dialect, served)]
    parameters += [_parameter(each, "query") for each in operation.query]
    shown: Schema = {
        "operationId": operation_id(served.route),
        "summary": operation.summary,
        "description": text or f"{operation.summary}.",
        "tags": [dialect.tag_of(served.path)],
    }
    if dialect.own:
        shown[OWN] = True
    if "query" in schemas:
        parameters += _of_query(dialect, schemas["query"])
    shown["parameters"] = _with_examples(parameters, exchanges)
    if "body" in schemas:
        shown["requestBody"] = {
            "description": f"{operation.summary}.",
            "required": schemas["required"],
            "content": {JSON: {"schema": schemas["body"], **_examples(exchanges, lambda each: each.body)}},
        }
    shown["responses"] = _responses(dialect, operation, schemas, exchanges)
    return shown


def operation_id(route: str) -> str:
    """A name for a route, such as `balances_check` or `get_customers_by_id`."""
    method, _, path = route.partition(" ")
    parts = path.strip("/").split("/")[1:]
    if len(parts) == 1 and "." in parts[0]:
        return parts[0].replace(".", "_")
    words = [method.lower(), *("by_id" if part == "{}" else part for part in parts)]
    return "_".join(words)


def _path(dialect: Dialect, served: Served) -> str:
    names = iter(_names(dialect, served.path))
    return re.sub(r"\{\}", lambda _: f"{{{next(names)}}}", served.path)


def _names(dialect: Dialect, path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return [dialect.nouns[parts[at - 1]] for at, part in enumerate(parts) if part == "{}"]


def _path_parameters(dialect: Dialect, served: Served) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"{dialect.fields[name]} Percent-encoded where it has other characters than a path may have.",
            "schema": dict(ID),
        }
        for name in _names(dialect, served.path)
    ]


def _headers(dialect: Dialect, served: Served) -> list[Schema]:
    writes = () if served.method == "GET" else dialect.write_headers
    return [{"$ref": f"#/components/parameters/{each.name}"} for each in (*dialect.headers, *writes)]


def _of_query(dialect: Dialect, model: Schema) -> list[Schema]:
    """The fields of a model as parameters of the query. What has fields of its own is JSON, or cannot be asked for."""
    return [
        {
            "name": name,
            "in": "query",
            "required": name in model.get("required", ()),
            "description": field["description"],
            **({"content": {JSON: {"schema": schema}}} if as_json else {"schema": schema}),
        }
        for name, field in model["properties"].items()
        for schema in [_in_query(dialect, {key: value for key, value in field.items() if key != "description"})]
        for as_json in [dialect.json_in_query and schema.get("type") == "array"]
        if schema
    ]


def _in_query(dialect: Dialect, schema: Schema) -> Schema:
    """The same as a query can say it: without null, and what is no text, number, boolean or list of such but as JSON."""
    of = schema.get("items", schema)
    if not dialect.json_in_query and ("$ref" in of or of.get("type") == "object"):
        return {}
    kept = [said for each in schema.get("anyOf", ()) if each != {"type": "null"} if (said := _in_query(dialect, each))]
    if len(kept) > 1:
        return {**schema, "anyOf": kept}
    return kept[0] if kept else {} if "anyOf" in schema else schema


def _parameter(parameter: Parameter, place: str) -> Schema:
    return {
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.text,
        "schema": dict(parameter.schema),
    }


def _with_examples(parameters: list[Schema], exchanges: Sequence[Exchange]) -> list[Schema]:
    sent = next((each for each in exchanges if each.succeeds), None)
    for parameter in parameters:
        value: Any = None
        if sent is not None and parameter.get("in") == "path":
            value = sent.path_values.get(parameter["name"])
        elif sent is not None and parameter.get("in") == "query":
            value = _typed(sent.query.get(parameter["name"]), parameter.get("schema", {}).get("type"))
        if value:
            parameter["example"] = value
    return parameters


def _typed(value: Any, kind: str | None) -> Any:
    """A value of a query as one of its parameter's type."""
    if value is not None and kind == "array" and not isinstance(value, list):
        return [value]
    return int(value) if value is not None and kind == "integer" else value


def _examples(exchanges: Iterable[Exchange], part: Callable[[Exchange], Any]) -> Schema:
    found = {each.name: {"summary": each.summary, "value": part(each)} for each in exchanges if part(each) is not None}
    return {"examples": found} if found else {}


# ------------------------------------------------------------------ answers


def _responses(
    dialect: Dialect, operation: Operation, schemas: Mapping[Any, Schema], exchanges: Sequence[Exchange]
) -> Schema:
    shown: Schema = {}
    for status, shape in operation.by_status.items():
        answered = [each for each in exchanges if each.status == status]
        shown[str(status)] = {"description": STATUSES.get(status, "")}
        if shape is not None:
            media = {"schema": schemas[status], **_examples(answered, lambda each: each.answer)}
            if operation.older:
                media["x-older-versions"] = {old: schemas[old] for old in operation.older}
            shown[str(status)]["content"] = {JSON: media}
    common = _codes(dialect, dialect.refusals)
    for status, codes in refused(dialect, operation).items():
        answered = [each for each in exchanges if each.status == status]
        schema = _refusal(dialect, status, codes)
        if status in operation.by_status:
            media = shown[str(status)]["content"][JSON]
            media["schema"] = {"anyOf": [media["schema"], schema]}
            shown[str(status)]["description"] = _code_words(dialect, codes)
        elif codes == common.get(status) and not answered:
            shown[str(status)] = {"$ref": f"#/components/responses/{status}"}
        else:
            media = {"schema": schema, **_examples(answered, lambda each: each.answer)}
            shown[str(status)] = {"description": _code_words(dialect, codes), "content": {JSON: media}}
    for gateway in GATEWAY:
        shown.setdefault(str(gateway.status), {"$ref": f"#/components/responses/{gateway.status}"})
    shown["500"] = {"$ref": "#/components/responses/500"}
    return dict(sorted(shown.items()))


def refused(dialect: Dialect, operation: Operation) -> dict[int, tuple[str, ...]]:
    """The codes that a route may refuse with, by status."""
    return _codes(dialect, (*dialect.refusals, *operation.refusals))


def _codes(dialect: Dialect, errors: Iterable[TollgateError]) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for error in errors:
        answer = dialect.error_answer(error, Environment.SANDBOX)
        found.setdefault(answer.status, []).append(answer.body[dialect.code_field])
    return {status: tuple(dict.fromkeys(codes)) for status, codes in sorted(found.items())}


def _refusal(dialect: Dialect, status: int, codes: Sequence[str]) -> Schema:
    error = {"$ref": REFS + dialect.error.__name__}
    narrowed = {"allOf": [error, {"properties": {dialect.code_field: {"enum": list(codes)}}}]}
    by_gateway = {"anyOf": [narrowed, {"$ref": f"{REFS}GatewayRefusal"}]}
    return by_gateway if status in (401, 404) else narrowed


def _code_words(dialect: Dialect, codes: Sequence[str]) -> str:
    return "\n".join(f"- `{code}`: {dialect.codes[code]}" for code in codes)


def _shared(dialect: Dialect) -> Schema:
    """The answers that every route may give."""
    codes = _codes(dialect, dialect.refusals) | {500: (dialect.internal,)}
    retry = {"retry-after": {"description": "Seconds after which to try again.", "schema": {"type": "string"}}}
    shown: Schema = {}
    for status, known in codes.items():
        schema = _refusal(dialect, status, known)
        shown[str(status)] = {"description": _code_words(dialect, known), "content": {JSON: {"schema": schema}}}
    for gateway in GATEWAY:
        said = shown.setdefault(str(gateway.status), {"description": ""})
        said["description"] = "\n\n".join(text for text in (said["description"], gateway.text) if text)
    for busy in ("429", "503"):
        shown[busy]["headers"] = retry
    return dict(sorted(shown.items()))


# ------------------------------------------------------------------ words of requests


def _explain(components: dict[str, Schema], types: Iterable[Any], dialect: Dialect) -> None:
    """Says of each field of a request what it is, and of each model what it refuses."""
    for name, model in request_models(types).items():
        schema = components[name]
        for later in model.later:  # a field of a kin's
            schema.get("properties", {}).pop(later, None)
        for field, shown in schema.get("properties", {}).items():
            shown["description"] = _words(model, field, dialect.fields)
            if _is_own(model, field, dialect):
                shown[OWN] = True
        refused = ", ".join(f"`{later}`" for later in model.later)
        if refused:
            schema["description"] += f" Refused, unless they ask for nothing (null, false or empty): {refused}."


def _words(model: type[BaseParams], field: str, fields: Mapping[str, str]) -> str:
    named = (f"{each.__name__}.{field}" for each in model.__mro__)
    text = next((fields[key] for key in named if key in fields), None) or fields[field]
    for info in model.model_fields.values():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices) and alias.choices[0] == field:
            text += f" Also taken as `{alias.choices[1]}`."
    return text


def _is_own(model: type[BaseParams], field: str, dialect: Dialect) -> bool:
    return any(field in dialect.own_fields.get(each.__name__, ()) for each in model.__mro__)
