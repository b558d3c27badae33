"""One request to one of AWS's services that speak JSON, sent once. What can happen to it:

- an answer;
- `Answered`: the service refused it, and says why;
- `NotSent`: it did not leave;
- `NoAnswer`: it may have been done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from tollgate.aws.connections import Connections, HttpAnswer, NoAnswer
from tollgate.aws.credentials import Source
from tollgate.aws.signing import Signer

_SKEWED = ("InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired", "SignatureDoesNotMatch")
_LEAST_SKEW_SECONDS = 60.0  # a clock that is less wrong is not why a signature was refused
_PARTITIONS = {"cn": "amazonaws.com.cn"}  # by the region's first part; the others: amazonaws.com

Answer = dict[str, Any]


class Answered(Exception):
    """The service refused the request. `response` has `Error` with `Code` and `Message`, `ResponseMetadata` with
    `HTTPStatusCode`, and in `Body` all that it said."""

    def __init__(self, operation: str, response: Answer) -> None:
        error = response["Error"]
        super().__init__(f"{operation}: {error['Code']}: {error['Message']}")
        self.response = response


class Protocol(NamedTuple):
    """How a service is spoken to: its name in signatures and addresses, the prefix of its operations, and the version of
    AWS's JSON."""

    name: str
    prefix: str
    version: str


def endpoint_of(service: str, region: str) -> str:
    """The address of a service in a region, of the partitions aws, aws-us-gov and aws-cn."""
    return f"https://{service}.{region}.{_PARTITIONS.get(region.partition('-')[0], 'amazonaws.com')}"


class Client:
    """A client of one service at one endpoint. It may be used by several threads."""

    def __init__(
        self,
        protocol: Protocol,
        region: str,
        credentials: Source,
        connections: Connections,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._protocol = protocol
        self._signer = Signer(protocol.name, region)
        self._credentials = credentials
        self._connections = connections
        self._clock = clock
        self._ahead = 0.0  # by how many seconds the service's clock is ahead of this machine's

    def call(self, operation: str, body: bytes) -> bytes:
        """The body of the answer to one request. Raises Answered, NotSent or NoAnswer."""
        answer = self._sent(operation, body)
        if answer.status == 200:
            return answer.body
        refused = _refused(operation, answer)
        if refused.response["Error"]["Code"] in _SKEWED and self._set_clock(answer):
            answer = self._sent(operation, body)  # nothing was done: the signature was not accepted
            if answer.status == 200:
                return answer.body
            refused = _refused(operation, answer)
        raise refused

    def forget(self) -> None:
        """Forgets connections and credentials: a copy of this process must not share them."""
        self._connections.close()
        forget = getattr(self._credentials, "forget", None)
        if forget is not None:
            forget()

    def _sent(self, operation: str, body: bytes) -> HttpAnswer:
        headers = {
            "content-type": f"application/x-amz-json-{self._protocol.version}",
            "host": self._connections.host,
            "x-amz-target": f"{self._protocol.prefix}.{operation}",
        }
        signed = self._signer.sign(headers, body, self._credentials(), self._clock() + self._ahead)
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        head = (
            f"POST / HTTP/1.1\r\n{lines}accept-encoding: identity\r\nuser-agent: tollgate\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return self._connections.post(head.encode("latin-1"), body)

    def _set_clock(self, answer: HttpAnswer) -> bool:
        """Takes the server's time over; whether it was so far from ours that a signature can have failed by it."""
        if answer.date is None:
            return False
        try:
            ahead = parsedate_to_datetime(answer.date).timestamp() - self._clock()
        except ValueError:
            return False
        if abs(ahead - self._ahead) < _LEAST_SKEW_SECONDS:
            return False
        self._ahead = ahead
        return True


def parsed(body: bytes) -> Answer:
    """The object that an answer holds. Raises NoAnswer where it is none."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise NoAnswer("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise NoAnswer("the answer is no object")
    return found


def _refused(operation: str, answer: HttpAnswer) -> Answered:
    """The error of an answer that is none of success; a body that says nothing leaves the status to tell."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    code = str(body.get("__type", answer.status)).rpartition("#")[2]
    return Answered(
        operation,
        {
            "Error": {"Code": code, "Message": body.get("message") or body.get("Message") or ""},
            "ResponseMetadata": {"HTTPStatusCode": answer.status},
            "Body": body,
        },
    )
