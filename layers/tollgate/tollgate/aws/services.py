"""SQS and EventBridge in the shapes of boto3's clients: what Tollgate sends to a queue and to the bus.

A request is sent up to three times: both services take what was sent twice as two messages, and whoever reads them counts
each message's content once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

from tollgate.aws.client import Answer, Answered, Client, Protocol, parsed
from tollgate.aws.connections import NoAnswer, NotSent

SQS = Protocol("sqs", "AmazonSQS", "1.0")
EVENTS = Protocol("events", "AWSEvents", "1.1")
TRIES = 3
_BUSY = ("ThrottlingException", "RequestThrottled", "ThrottledException", "TooManyRequestsException", "KmsThrottled")

_random = random.SystemRandom()


def passes(refused: Answered) -> bool:
    """Whether a refusal says that the service is busy or broken, and may take the same request later."""
    status = refused.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or refused.response["Error"]["Code"] in _BUSY


class Service:
    """A client of SQS or EventBridge. It may be used by several threads."""

    def __init__(self, client: Client, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep

    def _call(self, operation: str, request: Answer) -> Answer:
        """The answer to a request, sent again where it was not answered, or the service was busy."""
        body = json.dumps(request, separators=(",", ":")).encode()
        for number in range(TRIES):
            last = number + 1 == TRIES
            try:
                return parsed(self._client.call(operation, body))
            except (NotSent, NoAnswer):
                if last:
                    raise
            except Answered as refused:
                if last or not passes(refused):
                    raise
            self._sleep(_random.uniform(0, 0.1 * 2**number))
        raise AssertionError("the last try answers or raises")


class Queues(Service):
    """SQS. The queue's URL names it; where it is, the client knows."""

    def send_message(self, **request: Any) -> Answer:
        """SendMessage: `MessageId`."""
        return self._call("SendMessage", request)

    def send_message_batch(self, **request: Any) -> Answer:
        """SendMessageBatch: `Successful` and `Failed`."""
        return self._call("SendMessageBatch", request)

    def get_queue_attributes(self, **request: Any) -> Answer:
        """GetQueueAttributes: `Attributes`."""
        return self._call("GetQueueAttributes", request)


class Bus(Service):
    """EventBridge."""

    def put_events(self, **request: Any) -> Answer:
        """PutEvents: `Entries`, and of how many `FailedEntryCount` says that they were not taken."""
        return self._call("PutEvents", request)
