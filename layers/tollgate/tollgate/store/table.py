"""One DynamoDB table, and what became of each request to it.

The client never retries by itself: a request was refused (its condition failed), `Busy` (certainly not applied) or
`Lost` (its answer never came, so it may have been applied). Callers choose what is safe after each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.parsers import ResponseParserError

from tollgate.domain.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

    from tollgate.store.keys import Key

Item = dict[str, "AttributeValueTypeDef"]
Answer = TypeVar("Answer")

TRIES = 6
_BUSY = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "Throttling",
    "TransactionConflictException",
    "TransactionInProgressException",
    "LimitExceededException",
}
_BUSY_REASONS = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}


class Refused(Exception):
    """A condition failed: nothing was written. `item` is what stood there (of a transaction: of `index`'s item)."""

    def __init__(self, item: Item | None, index: int = 0) -> None:
        super().__init__("condition failed")
        self.item = item
        self.index = index


class Busy(Exception):
    """The request was certainly not applied (throttled, in conflict, not sent): it may be tried again as it is."""


class Lost(Exception):
    """The request's answer is unknown: it may have been applied."""


class Table:
    """A DynamoDB table with keys `pk` and `sk`."""

    def __init__(self, client: DynamoDBClient, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.client = client
        self.name = name
        self._sleep = sleep

    def once(self, operation: Callable[..., Answer], **request: Any) -> Answer:
        """Sends one request, once. Raises Refused, Busy or Lost; any other failure is a defect and is passed on."""
        try:
            return operation(**request)
        except ClientError as error:
            raise _outcome(error) or error from error
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise Busy(str(error)) from error
        except (HTTPClientError, IncompleteReadError, ResponseParserError) as error:
            raise Lost(str(error)) from error

    def tries(self) -> Iterator[int]:
        """Counts the tries of one operation, with a growing, jittered pause before each but the first."""
        for number in range(TRIES):
            if number:
                self._sleep(random.uniform(0, min(0.2, 0.01 * 2**number)))
            yield number

    def repeated(self, operation: Callable[..., Answer], **request: Any) -> Answer:
        """Sends a request that is safe to repeat until it is answered. Raises Refused, or Unavailable in the end."""
        for _ in self.tries():
            try:
                return self.once(operation, **request)
            except (Busy, Lost) as error:
                last = error
        raise Unavailable("The database did not answer in time: try again") from last

    def get(self, key: Key) -> Item | None:
        """One item, read consistently."""
        return self.repeated(self.client.get_item, TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def query(self, partition: str, prefix: str = "") -> list[Item]:
        """All items of a partition whose sort key starts with `prefix`, in order, read consistently."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            "ExpressionAttributeValues": {":pk": {"S": partition}} | ({":prefix": {"S": prefix}} if prefix else {}),
            "ConsistentRead": True,
        }
        items: list[Item] = []
        while True:
            page = self.repeated(self.client.query, **request)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def transact(self, writes: Sequence[TransactWriteItemTypeDef], token: str) -> None:
        """Applies all writes or none, exactly once per `token` (1 to 36 characters, remembered for ten minutes).

        Raises Refused with the index of the first write whose condition failed, or Unavailable.
        """
        self.repeated(self.client.transact_write_items, TransactItems=writes, ClientRequestToken=token)


def put_new(table_name: str, item: Item) -> TransactWriteItemTypeDef:
    """A write, for a transaction, of an item that must not exist yet."""
    return {"Put": {"TableName": table_name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def _outcome(error: ClientError) -> Exception | None:
    response: Mapping[str, Any] = error.response
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Refused(response.get("Item"))
    if code == "TransactionCanceledException":
        reasons = response.get("CancellationReasons", [])
        for index, reason in enumerate(reasons):
            if reason.get("Code") == "ConditionalCheckFailed":
                return Refused(reason.get("Item"), index)
        if any(reason.get("Code") in _BUSY_REASONS for reason in reasons):
            return Busy(str(error))
        return None
    if code in _BUSY:
        return Busy(str(error))
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return Lost(str(error))
    return None
