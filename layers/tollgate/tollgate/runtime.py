"""The composition root: settings, clients, clock, logger, and the use cases wired to them.

There is one client for each service, made when it is first needed. DynamoDB's never retries by itself (`store.table`
decides what is safe to repeat) and gives up early: connect 1 s, read 1.5 s. It is botocore's own client, the one that
boto3 wraps: importing boto3 as well would add 7 % to a client's start and nothing else (docs/decisions/0002).
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from tollgate.domain.errors import Unavailable
from tollgate.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_dynamodb import DynamoDBClient

    from tollgate.store.alert_states import AlertStateStore
    from tollgate.store.history import HistoryStore
    from tollgate.store.idempotency import IdempotencyStore
    from tollgate.store.table import Table
    from tollgate.usecases.access import Access
    from tollgate.usecases.api_keys import ApiKeys
    from tollgate.usecases.catalog import Catalogs
    from tollgate.usecases.checks import Checks
    from tollgate.usecases.customers import Customers
    from tollgate.usecases.entitlements import Entitlements
    from tollgate.usecases.history import Usage
    from tollgate.usecases.idempotency import Idempotency
    from tollgate.usecases.ledger import Ledger
    from tollgate.usecases.reservations import Reservations
    from tollgate.usecases.track import Tracking
    from tollgate.usecases.usage_events import UsageEvents
    from tollgate.usecases.usage_queue import UsageQueue
    from tollgate.usecases.waiting_events import WaitingEvents

_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"total_max_attempts": 1},
    max_pool_connections=4,
    parameter_validation=False,
    tcp_keepalive=True,
    user_agent="tollgate",  # botocore builds its own twice for each request, which takes a tenth of a check's CPU
)
_QUEUE_TRIES = 3
_QUEUE_MOST = 10  # messages in one request
_QUEUE_MOST_BYTES = 250_000  # of all messages in one request


def clock() -> int:
    """The time in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@cache
def settings() -> Settings:
    """The function's settings, read from the environment once, when first needed."""
    return Settings.from_environment(os.environ)


@cache
def client(service: str) -> Any:
    """A client of an AWS service. DynamoDB's never repeats a request; others send one up to three times."""
    config = _CONFIG if service == "dynamodb" else _CONFIG.merge(Config(retries={"total_max_attempts": 3}))
    endpoint = settings().endpoint_url or None
    return botocore.session.get_session().create_client(service, endpoint_url=endpoint, config=config)


@cache
def logger() -> Logger:
    """The logger, made when first needed: a check that succeeds logs nothing."""
    from aws_lambda_powertools import Logger

    return Logger()


def defect(message: str) -> None:
    """Logs the exception that is being handled, with its traceback."""
    logger().exception(message)


@cache
def table() -> Table:
    """The DynamoDB table. Raises NotSet where its name is not set."""
    from tollgate.store.table import Table

    dynamodb: DynamoDBClient = client("dynamodb")
    return Table(dynamodb, settings().required("table"))


@cache
def ledger() -> Ledger:
    """What checks, tracking and reservations share: the balances, the catalog's cache and the idempotency keys."""
    from tollgate.store.balances import BalanceStore
    from tollgate.store.features import FeatureStore
    from tollgate.usecases.features import FeatureCache
    from tollgate.usecases.ledger import ledger_of

    return ledger_of(BalanceStore(table()), FeatureCache(FeatureStore(table())), _idempotency_store())


@cache
def checks() -> Checks:
    """The use cases of checks."""
    from tollgate.usecases.checks import Checks

    return Checks(ledger())


@cache
def tracking() -> Tracking:
    """The use cases of tracking."""
    from tollgate.usecases.track import Tracking

    return Tracking(ledger())


@cache
def reservations() -> Reservations:
    """The use cases of reservations."""
    from tollgate.store.locks import LockStore
    from tollgate.usecases.reservations import Reservations

    return Reservations(ledger(), tracking(), LockStore(table()))


@cache
def _idempotency_store() -> IdempotencyStore:
    from tollgate.store.idempotency import IdempotencyStore

    return IdempotencyStore(table())


@cache
def idempotency() -> Idempotency:
    """The use cases of idempotency keys."""
    from tollgate.usecases.idempotency import Idempotency

    return Idempotency(_idempotency_store())


@cache
def entitlements() -> Entitlements:
    """The use cases that read a customer's entitlements."""
    from tollgate.store.customers import CustomerStore
    from tollgate.store.plans import PlanStore
    from tollgate.usecases.entitlements import Entitlements
    from tollgate.usecases.plans import PlanCache

    return Entitlements(CustomerStore(table()), ledger().features, PlanCache(PlanStore(table())))


@cache
def usage_events() -> UsageEvents:
    """The use cases of usage events."""
    from tollgate.store.usage_events import UsageEventStore
    from tollgate.usecases.usage_events import UsageEvents

    return UsageEvents(ledger(), _idempotency_store(), UsageEventStore(table()))


@cache
def waiting_events() -> WaitingEvents:
    """The use cases of events that wait for their customer."""
    from tollgate.usecases.waiting_events import WaitingEvents

    return WaitingEvents(usage_events())


@cache
def access() -> Access:
    """The use cases of access checks."""
    from tollgate.store.customers import CustomerStore
    from tollgate.store.plans import PlanStore
    from tollgate.usecases.access import Access

    return Access(CustomerStore(table()), ledger().store, ledger().features, PlanStore(table()))


def to_usage_queue(bodies: list[str]) -> None:
    """Puts messages on the usage queue. Raises Unavailable where the queue did not accept all of them."""
    from tollgate.packing import packed

    for part in packed(bodies, _QUEUE_MOST, lambda body: len(body.encode()), _QUEUE_MOST_BYTES):
        _send(part)


def _send(bodies: list[str]) -> None:
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    for _ in range(_QUEUE_TRIES):
        answer = client("sqs").send_message_batch(QueueUrl=settings().required("usage_queue_url"), Entries=entries)
        failed = {entry["Id"] for entry in answer.get("Failed", ())}
        if not failed:
            return
        entries = [entry for entry in entries if entry["Id"] in failed]
    raise Unavailable(f"The usage queue did not take {len(entries)} of {len(bodies)} parts: try again")


def to_usage_queue_later(body: str, seconds: int) -> None:
    """Puts a message on the usage queue that is delivered after so many seconds (at most 900)."""
    url = settings().required("usage_queue_url")
    client("sqs").send_message(QueueUrl=url, MessageBody=body, DelaySeconds=seconds)


def to_dead_letters(body: str) -> None:
    """Puts a message that could not be processed on the dead-letter queue."""
    client("sqs").send_message(QueueUrl=settings().required("dead_letter_queue_url"), MessageBody=body)


@cache
def catalogs() -> Catalogs:
    """The use cases of features and plans."""
    from tollgate.store.features import FeatureStore
    from tollgate.store.plans import PlanStore
    from tollgate.usecases.catalog import Catalogs

    return Catalogs(FeatureStore(table()), PlanStore(table()))


@cache
def customers() -> Customers:
    """The use cases of customers."""
    from tollgate.domain.plan_grants import ALL_USAGES, FRESH
    from tollgate.store.customers import CustomerStore
    from tollgate.usecases.customers import Customers, PlanDefaults

    known = settings()
    defaults = PlanDefaults(known.persists_free_overage, ALL_USAGES if known.carries_usages else FRESH)
    return Customers(CustomerStore(table()), catalogs(), defaults)


@cache
def api_keys() -> ApiKeys:
    """The use cases of API keys."""
    from tollgate.store.api_keys import ApiKeyStore
    from tollgate.usecases.api_keys import ApiKeys

    return ApiKeys(ApiKeyStore(table()))


@cache
def usage_queue() -> UsageQueue:
    """The use cases of the usage queue."""
    from tollgate.usecases.usage_queue import UsageQueue

    return UsageQueue(ledger(), usage_events(), _idempotency_store(), defect)


@cache
def history() -> HistoryStore:
    """The history of usage in the table."""
    from tollgate.store.history import HistoryStore

    return HistoryStore(table(), settings().retention_days)


@cache
def alert_states() -> AlertStateStore:
    """The alert states in the table."""
    from tollgate.store.alert_states import AlertStateStore

    return AlertStateStore(table())


@cache
def usage() -> Usage:
    """The use cases that read the history of usage."""
    from tollgate.usecases.history import Usage

    return Usage(history(), catalogs(), customers())
