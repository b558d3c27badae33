"""The use cases over a table in memory, and what may go wrong on the way to it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.service import FIXTURE, Service, service

LOST = ReadTimeoutError(endpoint_url="memory")


def here() -> Service:
    """The use cases over an empty table that has the features of the fixture."""
    client = dynamodb_client(fresh_url())
    return service(client, create_table(client), FIXTURE)


def throttled(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "Slow down"}}, operation)


def breaking(
    here: Service, patch: pytest.MonkeyPatch, operation: str, error: Exception, *, times: int, applied: bool = False
) -> list[dict[str, Any]]:
    """Makes the next answers of an operation an error, whether or not they were applied; returns where all its requests
    are."""
    real: Any = getattr(here.table.client, operation)
    sent: list[dict[str, Any]] = []

    def broken(**request: Any) -> Any:
        sent.append(request)
        if len(sent) > times:
            return real(**request)
        if applied:
            real(**request)
        raise error

    patch.setattr(here.table.client, operation, broken)
    return sent
