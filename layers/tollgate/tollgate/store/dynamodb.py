"""DynamoDB's operations in the shapes of boto3's client: the same requests, the same answers, the same fields of errors.

Binary values are bytes, numbers are the text that DynamoDB sends. A request is sent once, and raises what `aws.client`
raises; the `response` of an `Answered` also has the `Item` and the `CancellationReasons` that DynamoDB gave.
`boto` puts botocore's client under the store in place of this one.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tollgate.aws.client import Answer, Answered, Client, Protocol, parsed
from tollgate.aws.connections import NoAnswer

PROTOCOL = Protocol("dynamodb", "DynamoDB_20120810", "1.0")


class DynamoDB:
    """A client of DynamoDB. It may be used by several threads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get_item(self, **request: Any) -> Answer:
        """GetItem: `Item`, where there is one."""
        return self._call("GetItem", request)

    def put_item(self, **request: Any) -> Answer:
        """PutItem."""
        return self._call("PutItem", request)

    def update_item(self, **request: Any) -> Answer:
        """UpdateItem: `Attributes`, as `ReturnValues` asks for."""
        return self._call("UpdateItem", request)

    def delete_item(self, **request: Any) -> Answer:
        """DeleteItem."""
        return self._call("DeleteItem", request)

    def query(self, **request: Any) -> Answer:
        """Query: `Items`, and `LastEvaluatedKey` where there are more."""
        return self._call("Query", request)

    def batch_get_item(self, **request: Any) -> Answer:
        """BatchGetItem: `Responses` by table, and `UnprocessedKeys`."""
        return self._call("BatchGetItem", request)

    def batch_write_item(self, **request: Any) -> Answer:
        """BatchWriteItem: `UnprocessedItems` by table."""
        return self._call("BatchWriteItem", request)

    def transact_write_items(self, **request: Any) -> Answer:
        """TransactWriteItems."""
        return self._call("TransactWriteItems", request)

    def _call(self, operation: str, request: Mapping[str, Any]) -> Answer:
        body = json.dumps(request, default=_base64, separators=(",", ":")).encode()
        try:
            found = parsed(self._client.call(operation, body))
        except Answered as refused:
            _add_items(refused.response)
            raise
        items_of = _ANSWERS.get(operation)
        if items_of is not None:
            try:
                for item in items_of(found):
                    _with_bytes(item)
            except ValueError as error:
                raise NoAnswer("the answer holds what is no binary value") from error
        return found


def _base64(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no value of DynamoDB's")


def _add_items(response: Answer) -> None:
    """Adds the item and the reasons of a refusal where botocore has them."""
    body = response.pop("Body")
    if "Item" in body:
        _with_bytes(body["Item"])
        response["Item"] = body["Item"]
    if "CancellationReasons" in body:
        for reason in body["CancellationReasons"]:
            _with_bytes(reason.get("Item", _NONE))
        response["CancellationReasons"] = body["CancellationReasons"]


# ------------------------------------------------------------------ binary values

_NONE: Answer = {}
_ANSWERS: dict[str, Callable[[Answer], Iterable[Any]]] = {
    "GetItem": lambda found: (found.get("Item", _NONE),),
    "PutItem": lambda found: (found.get("Attributes", _NONE),),
    "UpdateItem": lambda found: (found.get("Attributes", _NONE),),
    "DeleteItem": lambda found: (found.get("Attributes", _NONE),),
    "Query": lambda found: (*found.get("Items", ()), found.get("LastEvaluatedKey", _NONE)),
    "BatchGetItem": lambda found: (
        *(item for items in found.get("Responses", _NONE).values() for item in items),
        *(key for keys in found.get("UnprocessedKeys", _NONE).values() for key in keys.get("Keys", ())),
    ),
    "BatchWriteItem": lambda found: (
        part
        for writes in found.get("UnprocessedItems", _NONE).values()
        for write in writes
        for part in (
            write.get("PutRequest", _NONE).get("Item", _NONE),
            write.get("DeleteRequest", _NONE).get("Key", _NONE),
        )
    ),
}
"""Where an operation's answer has items."""


def _with_bytes(item: Answer) -> None:
    """Turns the binary values of an item into bytes, in place."""
    for value in item.values():
        if "B" in value:
            value["B"] = b64decode(value["B"], validate=True)
        elif "BS" in value:
            value["BS"] = [b64decode(one, validate=True) for one in value["BS"]]
        elif "M" in value:
            _with_bytes(value["M"])
        elif "L" in value:
            for one in value["L"]:
                _with_bytes({"": one})
