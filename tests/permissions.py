"""What a function may ask of AWS: its own role, from the transformed template, as IAM would read it.

How `dynamodb:LeadingKeys` is evaluated for a transaction is not written down: for each member by its own key, or with
the keys of all members. A call is allowed here where both readings allow it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from tests.template.transformed import Template, of_type, transformed

TABLE, USAGE, DEAD_LETTERS, BUS = "Table", "UsageQueue", "DeadLetterQueue", "Bus"
WEBHOOKS, WEBHOOK_DEAD_LETTERS = "WebhookQueue", "WebhookDeadLetterQueue"
_MEMBERS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
_BATCHED = {"PutRequest": "Item", "DeleteRequest": "Key"}


class Ask(NamedTuple):
    """One question to IAM: an action (`dynamodb:GetItem`) on a resource (its logical id), with its leading keys."""

    action: str
    resource: str
    keys: frozenset[str] = frozenset()


class Names(NamedTuple):
    """What the resources are called where the calls are made."""

    table: str
    usage_queue: str
    dead_letters: str
    bus: str
    webhooks: str = ""
    webhook_dead_letters: str = ""

    def resource(self, name: str) -> str:
        """The logical id of what is called so."""
        return dict(zip(self, (TABLE, USAGE, DEAD_LETTERS, BUS, WEBHOOKS, WEBHOOK_DEAD_LETTERS), strict=True))[name]


def asks(names: Names, service: str, operation: str, request: Mapping[str, Any]) -> Iterator[Ask]:
    """What IAM is asked of a call, under both readings."""
    if service == "sqs":
        # a batch needs the permission of its single form
        yield Ask(f"sqs:{operation.removesuffix('Batch')}", names.resource(request["QueueUrl"]))
    elif service == "events":
        for entry in request["Entries"]:
            yield Ask(f"events:{operation}", names.resource(entry["EventBusName"]))
    elif operation == "TransactWriteItems":
        yield from _of_transaction(names, request["TransactItems"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for table, asked in request["RequestItems"].items():
            yield Ask(f"dynamodb:{operation}", names.resource(table), frozenset(map(_leading, _items(asked))))
    elif operation == "Query":
        if not request["KeyConditionExpression"].startswith("pk = :pk"):
            raise AssertionError(f"whose leading key is this? {request}")
        key = request["ExpressionAttributeValues"][":pk"]["S"]
        yield Ask("dynamodb:Query", names.resource(request["TableName"]), frozenset({key}))
    else:
        key = _leading(request["Item"] if operation == "PutItem" else request["Key"])
        yield Ask(f"dynamodb:{operation}", names.resource(request["TableName"]), frozenset({key}))


def _of_transaction(names: Names, writes: Sequence[Mapping[str, Any]]) -> Iterator[Ask]:
    members = [(kind, asked) for write in writes for kind, asked in write.items()]
    keys = [_leading(asked["Item"] if kind == "Put" else asked["Key"]) for kind, asked in members]
    for (kind, asked), key in zip(members, keys, strict=True):
        action, resource = f"dynamodb:{_MEMBERS[kind]}", names.resource(asked["TableName"])
        yield Ask(action, resource, frozenset({key}))
        yield Ask(action, resource, frozenset(keys))


def _items(asked: Any) -> list[Mapping[str, Any]]:
    """The keys of a batch, of reads or of writes."""
    if isinstance(asked, Mapping):
        return list(asked["Keys"])
    return [write[_BATCHED[kind]] for one in asked for kind, write in one.items()]


def _leading(item: Mapping[str, Any]) -> str:
    return str(item["pk"]["S"])


class Grant(NamedTuple):
    """A statement that allows."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """Logical ids; `*` for any, and `Table.StreamArn` for the table's stream."""
    keys: tuple[str, ...] | None
    """Patterns that every leading key must match one of; None: any key."""

    def allows(self, ask: Ask) -> bool:
        """Whether it allows this."""
        return (
            ask.action in self.actions
            and ("*" in self.resources or ask.resource in self.resources)
            and (self.keys is None or all(any(fnmatchcase(k, p) for p in self.keys) for k in ask.keys))
        )


class Role(NamedTuple):
    """A function's role."""

    grants: tuple[Grant, ...]
    managed: tuple[str, ...]

    def allows(self, ask: Ask) -> bool:
        """Whether one of its statements allows this."""
        return any(grant.allows(ask) for grant in self.grants)


@cache
def roles() -> dict[str, Role]:
    """The role of each function, by the name of its directory."""
    template = transformed()
    functions = of_type(template, "AWS::Lambda::Function")
    return {directory_of(name): _role(template, one["Properties"]["Role"]) for name, one in functions.items()}


def directory_of(function: str) -> str:
    """The name of a function's directory, by its logical id."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in function)
    return words.strip("_").removesuffix("_function")


def _role(template: Template, reference: Any) -> Role:
    role = template["Resources"][reference["Fn::GetAtt"][0]]["Properties"]
    statements = [one for policy in role.get("Policies", ()) for one in policy["PolicyDocument"]["Statement"]]
    return Role(tuple(map(_grant, statements)), tuple(map(_text, role["ManagedPolicyArns"])))


def _grant(statement: Mapping[str, Any]) -> Grant:
    """A statement; one of a kind that is not known here fails, so that nothing is taken for what it is not."""
    condition = statement.get("Condition", {})
    if statement["Effect"] != "Allow" or set(statement) - {"Effect", "Action", "Resource", "Condition"}:
        raise AssertionError(f"not understood: {statement}")
    keys = None
    if condition:
        ((operator, ((name, patterns),)),) = ((k, tuple(v.items())) for k, v in condition.items())
        if (operator, name) != ("ForAllValues:StringLike", "dynamodb:LeadingKeys"):
            raise AssertionError(f"not understood: {condition}")
        keys = tuple(patterns)
    return Grant(tuple(_many(statement["Action"])), tuple(map(_text, _many(statement["Resource"]))), keys)


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case {"Fn::GetAtt": [name, "Arn"]}:
            return str(name)
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
    return json.dumps(value)


ASKED: set[tuple[str, Ask]] = set()
"""What functions have asked for in this process: function and question."""


class Fence:
    """Stands between functions and AWS: refuses what the role of the function that runs does not allow."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._running: list[str] = []

    def watch(self, client: Any, service: str) -> None:
        """Has a client of botocore's, or of its kind, ask here first."""

        def ask(params: Mapping[str, Any], **more: Any) -> None:
            self._ask(service, str(more["event_name"]).rpartition(".")[2], params)

        client.meta.events.register(f"provide-client-params.{service}.*", ask)

    def guarded(self, function: str, handler: Any) -> Guarded:
        """The handler of a function, whose calls are held against its role."""
        return Guarded(self, function, handler)

    def _ask(self, service: str, operation: str, request: Mapping[str, Any]) -> None:
        if not self._running:  # the test itself
            return
        function = self._running[-1]
        for ask in asks(self._names, service, operation, request):
            ASKED.add((function, ask))
            if not roles()[function].allows(ask):
                denied: Any = {"Error": {"Code": "AccessDeniedException", "Message": f"{function}: {ask}"}}
                raise ClientError(denied | {"ResponseMetadata": {"HTTPStatusCode": 400}}, operation)


class Guarded:
    """A function's handler behind a fence."""

    def __init__(self, fence: Fence, function: str, handler: Any) -> None:
        self._fence, self._function, self._handler = fence, function, handler
        self.__globals__ = inspect.unwrap(handler).__globals__

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """What the handler answers."""
        self._fence._running.append(self._function)
        try:
            answer: dict[str, Any] = self._handler(event, context)
            return answer
        finally:
            self._fence._running.pop()
