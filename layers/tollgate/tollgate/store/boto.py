"""botocore's client under the store: where a request goes through a proxy or to a special endpoint, and in tests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ProxyConnectionError,
)
from botocore.parsers import ResponseParserError

from tollgate.aws.connections import NoAnswer

ANSWERED = (ClientError,)
NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
NO_ANSWER = (HTTPClientError, ConnectionError, IncompleteReadError, ResponseParserError, NoAnswer)


def checking_answers(client: Any) -> None:
    """Has a client of botocore's refuse answers that were cut short; it would read them as empty ones."""
    client.meta.events.register("before-parse.dynamodb", _must_be_whole, unique_id="tollgate-whole")


def _must_be_whole(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Raises NoAnswer where an answer's body is not the one that DynamoDB sent."""
    headers, body = response_dict["headers"], response_dict["body"]
    length, checksum = headers.get("content-length"), headers.get("x-amz-crc32")
    if (length and "content-encoding" not in headers and int(length) != len(body)) or (
        checksum and int(checksum) != zlib.crc32(body)
    ):
        raise NoAnswer("the answer was cut short on its way")
