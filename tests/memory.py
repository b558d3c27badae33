"""DynamoDB in this process: what the store asks of a client, without servers or HTTP.

It answers and raises as botocore's client does, is atomic under threads (one lock), refuses what DynamoDB refuses of the
requests that it knows, and charges what DynamoDB charges. The store's contract suite (tests/contract) runs on it beside the
emulators. What the store does not use raises NotImplementedError.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from tests.expressions import Given, Invalid, condition, number, update

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Request = Mapping[str, Any]

SCHEME = "memory://"
ITEM_BYTES = 400 * 1024
PAGE_BYTES = 1024 * 1024
_KEY = ("pk", "sk")
_ids = itertools.count(1)


@cache
def memory(url: str) -> DynamoDBClient:
    """The client of the table store at `url`, one for each."""
    return cast("DynamoDBClient", Memory(url))


def fresh_url() -> str:
    return f"{SCHEME}{next(_ids)}"


class Memory:
    """Tables with keys `pk` and `sk`. Items are never changed in place, so what was answered stays as it was."""

    def __init__(self, url: str = SCHEME) -> None:
        self.meta = SimpleNamespace(endpoint_url=url, events=Events())
        self._lock = threading.RLock()
        self._tables: dict[str, dict[str, dict[str, Item]]] = {}
        self._records: dict[str, list[dict[str, Any]]] = {}
        self._tokens: dict[str, Any] = {}

    # -------------------------------------------------------------- operations

    def create_table(self, **request: Any) -> dict[str, Any]:
        self._tables[request["TableName"]] = {}
        self._records[request["TableName"]] = []
        return {"TableDescription": {"TableName": request["TableName"], "TableStatus": "ACTIVE"}}

    def get_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("GetItem", request, self._get_item)

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("BatchGetItem", request, self._batch_get_item)

    def query(self, **request: Any) -> dict[str, Any]:
        return self._answer("Query", request, self._query)

    def scan(self, **request: Any) -> dict[str, Any]:
        return self._answer("Scan", request, self._scan)

    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("PutItem", request, self._write_one)

    def update_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("UpdateItem", request, self._write_one)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("DeleteItem", request, self._write_one)

    def batch_write_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("BatchWriteItem", request, self._batch_write_item)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        return self._answer("TransactWriteItems", request, self._transact_write_items)

    def records(self, table_name: str) -> list[dict[str, Any]]:
        """The table's stream, from its start: a record for each change of an item, as botocore reads them."""
        with self._lock:
            return list(self._records[table_name])

    def _answer(
        self, name: str, request: dict[str, Any], work: Callable[[str, Request], dict[str, Any]]
    ) -> dict[str, Any]:
        """One operation, alone. Tells who listens (`meta.events`) what was asked and answered, as botocore would."""
        events = self.meta.events
        events.emit(f"provide-client-params.dynamodb.{name}", params=request)
        try:
            with self._lock:
                answer = work(name, request)
        except Invalid as invalid:
            error = _error(name, "ValidationException", str(invalid))
            events.emit(f"after-call.dynamodb.{name}", model=SimpleNamespace(name=name), parsed=error.response)
            raise error from invalid
        except ClientError as error:
            events.emit(f"after-call.dynamodb.{name}", model=SimpleNamespace(name=name), parsed=error.response)
            raise
        answer["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        events.emit(f"after-call.dynamodb.{name}", model=SimpleNamespace(name=name), parsed=answer)
        return answer

    # -------------------------------------------------------------- reads

    def _get_item(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "TableName", "Key", "ConsistentRead")
        found = self._at(request["TableName"], name, *_key(request["Key"]))
        units = _read_units(found, bool(request.get("ConsistentRead")))
        return {**({"Item": dict(found)} if found else {}), **_charged(request, units)}

    def _batch_get_item(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "RequestItems")
        answers: dict[str, list[Item]] = {}
        units = 0.0
        for table_name, asked in request["RequestItems"].items():
            _only(asked, "Keys", "ConsistentRead")
            wanted = [_key(key) for key in asked["Keys"]]
            if not 1 <= len(wanted) <= 100:
                raise Invalid("Too many items requested for the BatchGetItem call")
            if len(set(wanted)) < len(wanted):
                raise Invalid("Provided list of item keys contains duplicates")
            found = [self._at(table_name, name, *key) for key in wanted]
            units += sum(_read_units(item, bool(asked.get("ConsistentRead"))) for item in found if item)
            answers[table_name] = [dict(item) for item in found if item]
        return {"Responses": answers, "UnprocessedKeys": {}, **_charged(request, units, many=True)}

    def _query(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "TableName", "KeyConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
              "ConsistentRead", "ScanIndexForward", "Limit", "ExclusiveStartKey")  # fmt: skip
        names, values = _attributes(request)
        wanted = condition(request["KeyConditionExpression"])
        wanted.check(names, values)
        if "pk" not in wanted.equal:
            raise Invalid("Query condition missed key schema element: pk")
        partition = self._table(request["TableName"], name).get(values[wanted.equal["pk"]]["S"], {})
        backwards = not request.get("ScanIndexForward", True)
        items = (partition[sk] for sk in sorted(partition, reverse=backwards))
        if "ExclusiveStartKey" in request:
            start = request["ExclusiveStartKey"]["sk"]["S"]
            items = (item for item in items if (item["sk"]["S"] < start if backwards else item["sk"]["S"] > start))
        found, size, more = [], 0, False
        for item in items:
            if wanted.holds(Given(item, names, values)):
                found.append(dict(item))
                size += _size(item)
                more = len(found) == request.get("Limit") or size > PAGE_BYTES
                if more:
                    break
        last = {"LastEvaluatedKey": {part: found[-1][part] for part in _KEY}} if more else {}
        units = _units(size, 4096, 1 if request.get("ConsistentRead") else 0.5)
        return {"Items": found, "Count": len(found), "ScannedCount": len(found), **last, **_charged(request, units)}

    def _scan(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "TableName", "ConsistentRead")
        table = self._table(request["TableName"], name)
        items = [dict(item) for partition in table.values() for item in partition.values()]
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    # -------------------------------------------------------------- writes

    def _write_one(self, name: str, request: Request) -> dict[str, Any]:
        old, new, holds = self._decided(name, request)
        if not holds:
            error = _error(name, "ConditionalCheckFailedException", "The conditional request failed")
            if old and request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                cast("dict[str, Any]", error.response)["Item"] = dict(old)
            raise error
        self._apply(request["TableName"], name, old, new)
        shown = {"ALL_NEW": new, "ALL_OLD": old}.get(request.get("ReturnValues", "NONE"))
        return {**({"Attributes": dict(shown)} if shown else {}), **_charged(request, _write_units(old, new))}

    def _batch_write_item(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "RequestItems")
        units = 0.0
        for table_name, writes in request["RequestItems"].items():
            if not 1 <= len(writes) <= 25:
                raise Invalid("Too many items requested for the BatchWriteItem call")
            decided = []
            for write in writes:
                ((kind, asked),) = write.items()
                done = {"PutRequest": "PutItem", "DeleteRequest": "DeleteItem"}[kind]
                decided.append(self._decided(done, {"TableName": table_name, **asked}))
            self._distinct([old_new[:2] for old_new in decided])
            for old, new, _ in decided:
                self._apply(table_name, name, old, new)
                units += _write_units(old, new)
        return {"UnprocessedItems": {}, **_charged(request, units, many=True)}

    def _transact_write_items(self, name: str, request: Request) -> dict[str, Any]:
        _only(request, "TransactItems", "ClientRequestToken")
        writes, token = request["TransactItems"], request.get("ClientRequestToken")
        if not 1 <= len(writes) <= 100:
            raise Invalid("Member must have length less than or equal to 100")
        if token is not None and not 1 <= len(token) <= 36:
            raise Invalid("Member must have length less than or equal to 36")
        if token in self._tokens:
            if self._tokens[token] != writes:
                raise _error(name, "IdempotentParameterMismatchException", "The token was used for other writes")
            return _charged(request, 0.0, many=True)
        decided, reasons, keys = [], [], []
        for write in writes:
            ((kind, asked),) = write.items()
            done = "ConditionCheck" if kind == "ConditionCheck" else f"{kind}Item"
            old, new, holds = self._decided(done, asked)
            keys.append((asked["TableName"], *_key(asked["Item"] if kind == "Put" else asked["Key"])))
            decided.append((asked["TableName"], old, new, kind))
            reason: dict[str, Any] = {"Code": "None"}
            if not holds:
                reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
                if old and asked.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
                    reason["Item"] = dict(old)
            reasons.append(reason)
        if len(set(keys)) < len(keys):
            raise Invalid("Transaction request cannot include multiple operations on one item")
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
            error = _error(name, "TransactionCanceledException", message)
            cast("dict[str, Any]", error.response)["CancellationReasons"] = reasons
            raise error
        for table_name, old, new, kind in decided:
            if kind != "ConditionCheck":
                self._apply(table_name, name, old, new)
        if token is not None:
            self._tokens[token] = writes
        return _charged(request, sum(2 * _write_units(old, new) for _, old, new, _ in decided), many=True)

    def _decided(self, name: str, request: Request) -> tuple[Item | None, Item | None, bool]:
        """The item before a write and after it, and whether its condition holds."""
        _only(request, "TableName", "Key", "Item", "UpdateExpression", "ConditionExpression", "ExpressionAttributeNames",
              "ExpressionAttributeValues", "ReturnValues", "ReturnValuesOnConditionCheckFailure")  # fmt: skip
        names, values = _attributes(request)
        key = _key(request["Item"]) if name == "PutItem" else _key(request["Key"])
        old = self._at(request["TableName"], name, *key)
        condition_text, update_text = request.get("ConditionExpression"), request.get("UpdateExpression")
        asked = condition(condition_text) if condition_text else None
        change = update(update_text) if update_text else None
        used = (asked.used if asked else frozenset()) | (change.used if change else frozenset())
        if unused := {*names, *values} - used:
            raise Invalid(f"Value provided in ExpressionAttributeNames or Values unused in expressions: {unused}")
        if missing := used - {*names, *values}:
            raise Invalid(f"An expression uses what is not defined: {missing}")
        given = Given(old or {}, names, values)
        if asked and not asked.holds(given):
            return old, old, False
        if name == "ConditionCheck":
            return old, old, True
        if name == "DeleteItem":
            return old, None, True
        if name == "PutItem":
            new = {attribute: _normal(value) for attribute, value in request["Item"].items()}
        else:
            new = dict(old or request["Key"])
            for attribute, value in (change.values(given) if change else {}).items():
                if attribute in _KEY:
                    raise Invalid(f"Cannot update attribute {attribute}. This attribute is part of the key")
                if value is None:
                    new.pop(attribute, None)
                else:
                    new[attribute] = _normal(value)
        if _size(new) > ITEM_BYTES:
            raise Invalid("Item size has exceeded the maximum allowed size")
        return old, new, True

    def _apply(self, table_name: str, name: str, old: Item | None, new: Item | None) -> None:
        item = new or old
        if item is None or new == old:
            return
        partition = self._table(table_name, name).setdefault(item["pk"]["S"], {})
        if new is None:
            del partition[item["sk"]["S"]]
        else:
            partition[item["sk"]["S"]] = new
        images = {"OldImage": old, "NewImage": new}
        records = self._records[table_name]
        records.append(
            {
                "eventID": str(len(records) + 1),
                "eventName": "INSERT" if old is None else "REMOVE" if new is None else "MODIFY",
                "eventSource": "aws:dynamodb",
                "dynamodb": {
                    "ApproximateCreationDateTime": time.time(),
                    "Keys": {part: item[part] for part in _KEY},
                    "SequenceNumber": f"{len(records) + 1:021d}",
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                    **{image: dict(value) for image, value in images.items() if value is not None},
                },
            }
        )

    @staticmethod
    def _distinct(changes: Iterable[tuple[Item | None, Item | None]]) -> None:
        keys = [_key({part: item[part] for part in _KEY}) for old, new in changes if (item := new or old)]
        if len(set(keys)) < len(keys):
            raise Invalid("Provided list of item keys contains duplicates")

    def _table(self, table_name: str, name: str) -> dict[str, dict[str, Item]]:
        if table_name not in self._tables:
            raise _error(name, "ResourceNotFoundException", f"Requested resource not found: Table: {table_name}")
        return self._tables[table_name]

    def _at(self, table_name: str, name: str, pk: str, sk: str) -> Item | None:
        return self._table(table_name, name).get(pk, {}).get(sk)


class Events:
    """Handlers of botocore's events, by name; a name that ends in `*` hears all that begin so."""

    def __init__(self) -> None:
        self._handlers: list[tuple[str, Callable[..., Any]]] = []

    def register(self, name: str, handler: Callable[..., Any], unique_id: str | None = None) -> None:  # noqa: ARG002
        self._handlers.append((name, handler))

    def unregister(self, name: str, handler: Callable[..., Any]) -> None:
        self._handlers.remove((name, handler))

    def emit(self, name: str, **arguments: Any) -> None:
        for wanted, handler in self._handlers:
            if name == wanted or (wanted.endswith("*") and name.startswith(wanted[:-1])):
                handler(**arguments, event_name=name)


# ------------------------------------------------------------------ requests


def _error(name: str, code: str, message: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, name)


def _only(request: Request, *known: str) -> None:
    if unknown := set(request) - {*known, "ReturnConsumedCapacity"}:
        raise NotImplementedError(f"Nothing here does {', '.join(sorted(unknown))}")


def _key(key: Mapping[str, Any]) -> tuple[str, str]:
    pk, sk = key["pk"]["S"], key["sk"]["S"]
    if not pk or not sk:
        raise Invalid("One or more parameter values are not valid: an empty string in a key")
    if len(pk.encode()) > 2048 or len(sk.encode()) > 1024:
        raise Invalid("One or more parameter values were invalid: size of a key exceeded")
    return pk, sk


def _attributes(request: Request) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    return request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}


def _normal(value: Any) -> Any:
    """A value as DynamoDB keeps it: numbers without zeros at their end, bytes as bytes, sets in order."""
    ((kind, content),) = value.items()
    if kind == "N":
        return {"N": number(Decimal(content))}
    if kind == "B":
        return {"B": bytes(content)}
    if kind == "SS":
        if not content:
            raise Invalid("One or more parameter values were invalid: An string set may not be empty")
        return {"SS": sorted(content)}
    if kind in ("S", "BOOL", "NULL"):
        return value
    if kind == "M":
        return {"M": {name: _normal(part) for name, part in content.items()}}
    raise NotImplementedError(f"Nothing here keeps values of the type {kind}")


# ------------------------------------------------------------------ charges


def _size(item: Item) -> int:
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Any) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(content.strip("-0").replace(".", "")) + 1) // 2 + 1
    if kind == "SS":
        return sum(len(text.encode()) for text in content)
    if kind == "M":
        return 3 + _size(content) + len(content)
    return len(content) if kind == "B" else 1


def _units(size: int, each: int, factor: float) -> float:
    return factor * max(1, -(-size // each))


def _read_units(item: Item | None, consistent: bool) -> float:
    return _units(_size(item) if item else 0, 4096, 1 if consistent else 0.5)


def _write_units(old: Item | None, new: Item | None) -> float:
    return _units(max(_size(item) if item else 0 for item in (old, new)), 1024, 1)


def _charged(request: Request, units: float, *, many: bool = False) -> dict[str, Any]:
    if request.get("ReturnConsumedCapacity", "NONE") == "NONE":
        return {}
    charge = {"CapacityUnits": units}
    return {"ConsumedCapacity": [charge] if many else charge}
