"""One DynamoDB table, and what became of each request to it.

The client never retries by itself. A request that failed was refused (its condition did not hold), `Busy` (certainly
not applied) or `Lost` (no answer came, so it may have been applied). The caller chooses what is safe in each case.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tollgate.aws.client import Answered
from tollgate.aws.connections import NoAnswer, NotSent
from tollgate.domain.errors import InvalidRequest, OutcomeUnknown, Unavailable
from tollgate.store.dynamodb import DynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

    from tollgate.store.keys import Key

Item = dict[str, "AttributeValueTypeDef"]
Entries = Sequence["TransactWriteItemTypeDef"]
"""Entries of logs, as the writes of the transaction that makes the change which they tell of."""
Answer = TypeVar("Answer")

TRIES = 6
MAX_BATCH = 100
DEADLINE_SECONDS = 4.0  # a function may run for ten; one more try and its fence take up to 4.5

_random = random.SystemRandom()  # functions restored from one snapshot must not pause in step
_BUSY = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "Throttling",
    "TransactionConflictException",
    "TransactionInProgressException",
    "ReplicatedWriteConflictException",
    "LimitExceededException",
}
_TOO_LARGE = "maximum allowed size"  # in what DynamoDB says of an item of more than 400 KB
_BUSY_REASONS = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}


class Refused(Exception):
    """A condition did not hold: nothing was written.

    `item` is the item that was found; None where there was none, and of a transaction. `failed`: of a transaction, the
    numbers of the writes whose conditions did not hold.
    """

    def __init__(self, item: Item | None, failed: tuple[int, ...] = ()) -> None:
        super().__init__("condition failed")
        self.item = item
        self.failed = failed


class Busy(Exception):
    """The request was certainly not applied (throttled, in conflict, not sent): it may be sent again unchanged."""


class Lost(Exception):
    """No answer came: the request may have been applied."""


class _Failures(NamedTuple):
    """The exceptions of a client, by what they say of the request."""

    answered: tuple[type[Exception], ...]  # DynamoDB refused it: `response` says why
    not_sent: tuple[type[Exception], ...]
    no_answer: tuple[type[Exception], ...]

    @classmethod
    def of(cls, client: DynamoDBClient | DynamoDB) -> _Failures:
        """Those of Tollgate's own client, or of botocore's, which is made to refuse answers that were cut short."""
        if isinstance(client, DynamoDB):
            return cls((Answered,), (NotSent,), (NoAnswer,))
        from tollgate.store import boto

        boto.checking_answers(client)
        return cls(boto.ANSWERED, boto.NOT_SENT, boto.NO_ANSWER)


_READS = frozenset({"get_item", "batch_get_item", "query", "scan"})


class Table:
    """A DynamoDB table with keys `pk` and `sk`, through Tollgate's own client or botocore's."""

    def __init__(self, client: DynamoDBClient, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.client = client
        self.name = name
        self.writes = 0  # requests that changed something, since this was made
        self._sleep = sleep
        self._failures = _Failures.of(client)

    def send_once(self, operation: Callable[..., Answer], **request: Any) -> Answer:
        """Sends one request, once. Raises Refused, Busy or Lost, or InvalidRequest where an item would be larger than
        DynamoDB takes; any other error is a defect and is raised as it is."""
        try:
            answer = operation(**request)
        except self._failures.answered as error:
            outcome = _outcome(error.response, str(error))  # type: ignore[attr-defined]
            if outcome is None:
                raise
            raise outcome from error
        except self._failures.not_sent as error:
            raise Busy(str(error)) from error
        except self._failures.no_answer as error:
            raise Lost(str(error)) from error
        self.writes += operation.__name__ not in _READS
        return answer

    def tries(self, most: int = TRIES) -> Iterator[int]:
        """Counts the tries of one operation, with a growing, jittered pause before each but the first.

        Stops early DEADLINE_SECONDS after this call, because a later answer might not reach the caller in time.
        """
        return self._tries(most, time.monotonic() + DEADLINE_SECONDS)

    def _tries(self, most: int, deadline: float) -> Iterator[int]:
        for number in range(most):
            if number:
                if time.monotonic() > deadline:
                    return
                self._sleep(_random.uniform(0, min(0.4, 0.01 * 2**number)))
            yield number

    def repeated(
        self,
        operation: Callable[..., Answer],
        *,
        most: int = TRIES,
        writes: bool = False,
        blind: bool = False,
        **request: Any,
    ) -> Answer:
        """Sends a request that is safe to repeat, up to `most` times, until it is answered.

        - `writes`: it changes something in a way that the caller must know of.
        - `blind`: a refusal after a lost answer proves nothing (see `transact`).

        Raises Refused; after the last try Unavailable, or OutcomeUnknown where it `writes` and may have been applied.
        """
        lost = False
        for _ in self.tries(most):
            try:
                return self.send_once(operation, **request)
            except (Busy, Lost) as error:
                lost = lost or isinstance(error, Lost)
                last: Exception = error
            except Refused as refused:
                if lost and blind:
                    last = refused
                    break
                raise
        if lost and writes:
            raise OutcomeUnknown(
                "The database's answer was lost: look whether it was done before trying again"
            ) from last
        raise Unavailable("The database did not answer in time: try again") from last

    def get(self, key: Key) -> Item | None:
        """The item with this key, read consistently; None where there is none. Raises Unavailable."""
        return self.repeated(self.client.get_item, TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def get_all(self, wanted: Sequence[Key]) -> list[Item]:
        """The items that exist among these keys, each read consistently: one request for each 100 keys. Raises
        Unavailable.
        """
        found: list[Item] = []
        for start in range(0, len(wanted), MAX_BATCH):
            found += self._batch(wanted[start : start + MAX_BATCH])
        return found

    def _batch(self, left: Sequence[Key]) -> list[Item]:
        found: list[Item] = []
        for _ in self.tries():
            answer = self.repeated(
                self.client.batch_get_item, RequestItems={self.name: {"Keys": left, "ConsistentRead": True}}
            )
            found += answer["Responses"].get(self.name, [])
            unread = answer.get("UnprocessedKeys", {})
            if self.name not in unread:
                return found
            left = unread[self.name]["Keys"]
        raise Unavailable("The database did not answer in time: try again")

    def page(self, partition: str, after: str, limit: int, *, newest_first: bool = False) -> list[Item]:
        """Up to `limit` items of a partition whose sort keys follow `after` (empty: from the start)."""
        beyond = "<" if newest_first else ">"
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk" + (f" AND sk {beyond} :after" if after else ""),
            "ExpressionAttributeValues": {":pk": {"S": partition}} | ({":after": {"S": after}} if after else {}),
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
            "Limit": limit,
        }
        items: list[Item] = self.repeated(self.client.query, **request)["Items"]
        return items

    def query(self, partition: str, prefix: str = "") -> list[Item]:
        """All items of a partition whose sort key starts with `prefix`, in order, read consistently."""
        return [item for page in self.pages(partition, prefix) for item in page]

    def pages(self, partition: str, prefix: str = "") -> Iterator[list[Item]]:
        """All items of a partition whose sort key starts with `prefix`, in order, as pages of up to 1 MB, read
        consistently.
        """
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "pk = :pk" + (" AND begins_with(sk, :prefix)" if prefix else ""),
            "ExpressionAttributeValues": {":pk": {"S": partition}} | ({":prefix": {"S": prefix}} if prefix else {}),
            "ConsistentRead": True,
        }
        while True:
            page = self.repeated(self.client.query, **request)
            yield page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def transact(self, writes: Sequence[TransactWriteItemTypeDef], token: str, *, blind: bool = False) -> None:
        """Applies all writes or none, exactly once for each `token` (1 to 36 characters; DynamoDB remembers it for ten
        minutes).

        `blind`: the conditions may hold again later, so a refusal after a lost answer does not prove that the lost try
        cannot still be applied. Raises Refused, Unavailable or OutcomeUnknown.
        """
        self.repeated(
            self.client.transact_write_items, writes=True, blind=blind, TransactItems=writes, ClientRequestToken=token
        )


def put_new(table_name: str, item: Item) -> TransactWriteItemTypeDef:
    """A write, for a transaction, of an item that must not exist yet."""
    return {"Put": {"TableName": table_name, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}


def put_existing(table_name: str, item: Item) -> TransactWriteItemTypeDef:
    """A write, for a transaction, that overwrites an item that must exist."""
    return {"Put": {"TableName": table_name, "Item": item, "ConditionExpression": "attribute_exists(pk)"}}


def delete_existing(table_name: str, key: Key) -> TransactWriteItemTypeDef:
    """A deletion, for a transaction, of an item that must exist."""
    return {"Delete": {"TableName": table_name, "Key": key, "ConditionExpression": "attribute_exists(pk)"}}


def put_in_place(table_name: str, item: Item, old: Item) -> TransactWriteItemTypeDef:
    """A write, for a transaction, of an item in place of the one that was read as `old`: whose `data` has not changed."""
    put: Any = {"TableName": table_name, "Item": item, **_unchanged(old)}
    return {"Put": put}


def delete_unchanged(table_name: str, key: Key, old: Item) -> TransactWriteItemTypeDef:
    """A deletion, for a transaction, of the item that was read as `old`: whose `data` has not changed."""
    delete: Any = {"TableName": table_name, "Key": key, **_unchanged(old)}
    return {"Delete": delete}


def _unchanged(old: Item) -> Any:
    return {
        "ConditionExpression": "#data = :data",
        "ExpressionAttributeNames": {"#data": "data"},
        "ExpressionAttributeValues": {":data": old["data"]},
    }


def _outcome(response: Mapping[str, Any], message: str) -> Exception | None:
    """The exception that says what became of a request that was refused so; None where it is a defect of Tollgate."""
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Refused(response.get("Item"))
    if code == "ValidationException" and _TOO_LARGE in message:
        return _too_large()
    if code == "TransactionCanceledException":
        reasons = [reason.get("Code") for reason in response.get("CancellationReasons", [])]
        failed = tuple(number for number, reason in enumerate(reasons) if reason == "ConditionalCheckFailed")
        if failed:
            return Refused(None, failed)
        if any(_TOO_LARGE in (reason.get("Message") or "") for reason in response.get("CancellationReasons", [])):
            return _too_large()
        return Busy(message) if _BUSY_REASONS.intersection(reasons) else None
    if code in _BUSY:
        return Busy(message)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Lost(message) if status >= 500 or status == 408 else None


def _too_large() -> InvalidRequest:
    return InvalidRequest("This is more than one balance, plan or customer can hold (400 KB): nothing was changed")
