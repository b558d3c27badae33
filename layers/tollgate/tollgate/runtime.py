"""The composition root: settings, clients, clock, logger, and the use cases wired to them.

There is one client for each service, made when it is first needed: Tollgate's own (docs/decisions/0009). They give up early:
connect 1 s, read 1.5 s. DynamoDB's never retries by itself: `store.table` decides what is safe to repeat.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from tollgate.domain.errors import OutcomeUnknown, Unavailable
from tollgate.settings import NotSet, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger
    from mypy_boto3_dynamodb import DynamoDBClient

    from tollgate.aws.client import Client, Protocol
    from tollgate.aws.credentials import Source
    from tollgate.dialects.http import Answer as HttpAnswer
    from tollgate.dialects.http import Request
    from tollgate.domain.environments import Environment
    from tollgate.domain.token_prices import ModelPrices
    from tollgate.store.activity import ActivityStore
    from tollgate.store.alert_states import AlertStateStore
    from tollgate.store.history import HistoryStore
    from tollgate.store.idempotency import IdempotencyStore
    from tollgate.store.log import LogStore
    from tollgate.store.table import Table
    from tollgate.store.top_up_states import TopUpStateStore
    from tollgate.usecases.access import Access
    from tollgate.usecases.activity import Activity, QueueCounts, StreamActivity
    from tollgate.usecases.api_keys import ApiKeys
    from tollgate.usecases.audit import Audit
    from tollgate.usecases.call_limits import CallLimits
    from tollgate.usecases.catalog import Catalogs
    from tollgate.usecases.checks import Checks
    from tollgate.usecases.customers import Customers
    from tollgate.usecases.denials import Counts, Denials, Denied
    from tollgate.usecases.due_times import Delayed, DueTimes
    from tollgate.usecases.entitlements import Entitlements
    from tollgate.usecases.history import Usage
    from tollgate.usecases.idempotency import Idempotency
    from tollgate.usecases.ledger import Ledger
    from tollgate.usecases.passing_time import PassingTime
    from tollgate.usecases.reservations import Reservations
    from tollgate.usecases.track import Tracking
    from tollgate.usecases.usage_events import UsageEvents
    from tollgate.usecases.usage_queue import UsageQueue
    from tollgate.usecases.waiting_events import WaitingEvents
    from tollgate.usecases.webhooks import Answer, Deliveries, GivenUp, Webhooks

T = TypeVar("T")
_SPECIAL = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
)
"""Where one of these is set, clients are botocore's, which knows what they ask for."""
_SERVICE_NAMES = {"dynamodb": "DYNAMODB", "sqs": "SQS", "events": "EVENTBRIDGE"}  # in AWS_ENDPOINT_URL_...
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
    """A client of `dynamodb`, `sqs` or `events`. DynamoDB's never repeats a request; others send one up to three times."""
    from tollgate.store.dynamodb import PROTOCOL, DynamoDB

    if any(os.environ.get(name) for name in _SPECIAL):
        return _botocores(service)
    if service == "dynamodb":
        return DynamoDB(_client(PROTOCOL))
    from tollgate.aws.services import EVENTS, SQS, Bus, Queues

    return Queues(_client(SQS)) if service == "sqs" else Bus(_client(EVENTS))


def _client(protocol: Protocol) -> Client:
    from tollgate.aws.client import Client, endpoint_of
    from tollgate.aws.connections import Connections

    told = os.environ.get
    region = told("AWS_REGION") or told("AWS_DEFAULT_REGION")
    if not region:
        raise NotSet("AWS_REGION is not set")
    endpoint = (
        settings().endpoint_url or told(f"AWS_ENDPOINT_URL_{_SERVICE_NAMES[protocol.name]}") or told("AWS_ENDPOINT_URL")
    )
    made = Client(protocol, region, _credentials(), Connections(endpoint or endpoint_of(protocol.name, region)))
    before_snapshot(made.forget)  # a start from the snapshot shares nothing with it
    return made


def before_snapshot(*calls: Callable[[], object]) -> None:
    """Has Lambda make these calls before it takes a snapshot of this process; elsewhere nothing does."""
    if importlib.util.find_spec("snapshot_restore_py"):  # Lambda's own
        snapshots = importlib.import_module("snapshot_restore_py")
        for call in calls:
            snapshots.register_before_snapshot(call)


@cache
def _credentials() -> Source:
    from tollgate.aws.credentials import source_of

    return source_of(os.environ)


def _botocores(service: str) -> Any:
    """botocore's client of a service, which does what proxies and special endpoints need."""
    import botocore.session
    from botocore.config import Config

    config = Config(
        connect_timeout=1,
        read_timeout=1.5,
        retries={"total_max_attempts": 1 if service == "dynamodb" else 3},
        max_pool_connections=4,
        parameter_validation=False,
        tcp_keepalive=True,
    )
    endpoint = settings().endpoint_url or None
    return botocore.session.get_session().create_client(service, endpoint_url=endpoint, config=config)


def aside(run: Callable[[], None]) -> None:
    """Has a thread make this call, for which nobody waits. Where Lambda stops the container meanwhile, it goes on with
    the container's next invocation."""
    import threading

    threading.Thread(target=run, daemon=True).start()


def told_as_done(call: Callable[[], T]) -> T:
    """Makes a call that changes something. Where the table fails after it was written to, that is OutcomeUnknown and not
    Unavailable: nobody is told of what is done that it may be tried again."""
    before = table().writes
    try:
        return call()
    except OutcomeUnknown:
        raise
    except Unavailable as error:
        if table().writes == before:
            raise
        raise OutcomeUnknown(
            "Something was changed, and then the database did not answer: look whether it was done before trying again"
        ) from error


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

    return ledger_of(BalanceStore(table()), FeatureCache(FeatureStore(table()), warn=defect), _idempotency_store())


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
    _put_on_queue("usage_queue_url", ({"MessageBody": body} for body in bodies))


def to_webhook_queue_later(messages: Sequence[Delayed]) -> None:
    """Puts messages on the webhook queue, to be delivered after their seconds (at most 900). Raises Unavailable where the
    queue did not accept all of them."""
    from tollgate.usecases.webhooks import group_of

    later = ({**_later(one), "MessageGroupId": group_of(one.body)} for one in messages)
    _put_on_queue("webhook_queue_url", later)


def to_queues_later(messages: Sequence[Delayed]) -> None:
    """The same, each message on the queue that it is for."""
    from tollgate.usecases.webhooks import is_message

    to_webhook_queue_later([one for one in messages if is_message(one.body)])
    _put_on_queue("usage_queue_url", (_later(one) for one in messages if not is_message(one.body)))


def _later(message: Delayed) -> dict[str, Any]:
    return {"MessageBody": message.body, "DelaySeconds": message.seconds}


def _put_on_queue(queue: str, messages: Iterable[dict[str, Any]]) -> None:
    from tollgate.packing import packed

    for part in packed(messages, _QUEUE_MOST, lambda one: len(one["MessageBody"].encode()), _QUEUE_MOST_BYTES):
        _send(queue, part)


def _send(queue: str, messages: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(number), **message} for number, message in enumerate(messages)]
    for _ in range(_QUEUE_TRIES):
        answer = _queued("send_message_batch", QueueUrl=settings().required(queue), Entries=entries)
        failed = {entry["Id"] for entry in answer.get("Failed", ())}
        if not failed:
            return
        entries = [entry for entry in entries if entry["Id"] in failed]
    raise Unavailable(f"The queue did not take {len(entries)} of {len(messages)} parts: try again")


def to_webhook_dead_letters(body: str) -> None:
    """Puts a delivery that was given up on on the dead-letter queue of webhooks."""
    _queued("send_message", QueueUrl=settings().required("webhook_dead_letter_queue_url"), MessageBody=body)


def to_dead_letters(body: str) -> None:
    """Puts a message that could not be processed on the dead-letter queue."""
    _queued("send_message", QueueUrl=settings().required("dead_letter_queue_url"), MessageBody=body)


def _queued(operation: str, **request: Any) -> Any:
    """The queue's answer. Raises OutcomeUnknown where it gave none, Unavailable where it was busy or broken."""
    from tollgate.aws.client import Answered
    from tollgate.aws.connections import NoAnswer, NotSent
    from tollgate.aws.services import passes

    try:
        return getattr(client("sqs"), operation)(**request)
    except NotSent as error:
        raise Unavailable("The queue cannot be reached: try again") from error
    except NoAnswer as error:
        raise OutcomeUnknown("The queue's answer was lost: what was sent may be counted") from error
    except Answered as refused:
        if not passes(refused):
            raise
        raise Unavailable("The queue is busy: try again") from refused


@cache
def due_times() -> DueTimes:
    """The use cases of what is to be done later."""
    from tollgate.store.due_times import DueTimeStore
    from tollgate.usecases.due_times import DueTimes

    return DueTimes(DueTimeStore(table()), to_queues_later)


@cache
def model_prices() -> ModelPrices:
    """What tokens of AI models cost: read from the file beside this one, when first needed."""
    import json
    from pathlib import Path

    from tollgate.domain.token_prices import ModelPrices

    return ModelPrices(json.loads(Path(__file__).with_name("model_prices.json").read_bytes()))


@cache
def passing_time() -> PassingTime:
    """The use cases of time that passes by itself."""
    from tollgate.store.customers import CustomerStore
    from tollgate.usecases.passing_time import PassingTime

    return PassingTime(CustomerStore(table()), ledger().store)


@cache
def webhooks() -> Webhooks:
    """The use cases of whoever sets webhooks up."""
    from tollgate.store.webhooks import WebhookStore
    from tollgate.usecases.webhooks import Webhooks

    loopback = settings().loopback_webhooks
    return Webhooks(WebhookStore(table()), due_times().keep, loopback=loopback, audit=audit())


def webhook_deliveries(given_up: GivenUp) -> Deliveries:
    """The use cases of telling webhooks of events."""
    from tollgate.store.webhooks import WebhookStore
    from tollgate.usecases.webhooks import Deliveries

    loopback = settings().loopback_webhooks
    return Deliveries(WebhookStore(table()), due_times().keep, _call, given_up, lambda: clock(), loopback=loopback)


def _call(url: str, body: bytes, headers: Mapping[str, str], loopback: bool) -> Answer:
    from tollgate.usecases.webhooks import Answer
    from tollgate.webhook_calls import call

    return Answer(*call(url, body, headers, loopback=loopback))


@cache
def catalogs() -> Catalogs:
    """The use cases of features and plans."""
    from tollgate.store.features import FeatureStore
    from tollgate.store.plans import PlanStore
    from tollgate.usecases.catalog import Catalogs

    return Catalogs(FeatureStore(table()), PlanStore(table()), audit())


@cache
def customers() -> Customers:
    """The use cases of customers."""
    from tollgate.domain.plan_grants import ALL_USAGES, FRESH
    from tollgate.store.customers import CustomerStore
    from tollgate.usecases.customers import Customers, PlanDefaults

    known = settings()
    defaults = PlanDefaults(known.persists_free_overage, ALL_USAGES if known.carries_usages else FRESH)
    return Customers(CustomerStore(table()), catalogs(), defaults, passing_time, audit())


@cache
def api_keys() -> ApiKeys:
    """The use cases of API keys."""
    from tollgate.store.api_keys import ApiKeyStore
    from tollgate.usecases.api_keys import ApiKeys

    return ApiKeys(ApiKeyStore(table()), audit())


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
def top_up_states() -> TopUpStateStore:
    """What has been asked for of features that are topped up."""
    from tollgate.store.top_up_states import TopUpStateStore

    return TopUpStateStore(table())


@cache
def usage() -> Usage:
    """The use cases that read the history of usage."""
    from tollgate.usecases.history import Usage

    return Usage(history(), catalogs(), customers())


@cache
def _minutes() -> ActivityStore:
    from tollgate.store.activity import ActivityStore

    return ActivityStore(table())


@cache
def _log() -> LogStore:
    from tollgate.store.log import LogStore

    return LogStore(table(), settings().retention_days)


@cache
def audit() -> Audit:
    """What makes the entries of the audit log."""
    from tollgate.usecases.audit import Audit

    def describe(env: Environment, type: str, thing: object) -> object:
        from tollgate.dialects.autumn.audit import describe  # most calls change nothing

        return describe(env, type, thing)

    return Audit(_log(), describe)


@cache
def activity() -> Activity:
    """The use cases that read what happens in an environment."""
    from tollgate.usecases.activity import Activity

    return Activity(_minutes(), _log(), history(), _queue_counts)


@cache
def stream_activity() -> StreamActivity:
    """What the stream's consumer leaves for those who look."""
    from tollgate.usecases.activity import StreamActivity

    return StreamActivity(_minutes(), _log())


def limited(route: Callable[[Request], HttpAnswer]) -> Callable[[Request], HttpAnswer]:
    """The route behind the limits of calls, where the stack has any; else the route itself."""
    known = settings()
    if not known.calls_per_key and not known.calls_per_customer:
        return route
    from tollgate.dialects.call_limits import limited_route

    return limited_route(_call_limits(), route)


@cache
def _call_limits() -> CallLimits:
    """One for the container. It has a table of its own: what it writes is no change that a call has made."""
    from tollgate.domain.call_limits import WINDOW_MS
    from tollgate.store.call_counts import CallCountStore
    from tollgate.store.table import Table
    from tollgate.usecases.call_limits import CallLimits

    known = settings()
    seconds = WINDOW_MS // 1000
    store = CallCountStore(Table(client("dynamodb"), known.required("table")))
    return CallLimits(known.calls_per_key * seconds, known.calls_per_customer * seconds, store.tell, aside, defect)


@cache
def denials() -> Denials:
    """The container's count of denials."""
    from tollgate.usecases.denials import Denials

    return Denials(_write_denials, lambda: clock(), settings().denial_seconds)


def _write_denials(counts: Counts) -> Counts:
    """Runs beside the calls: the table first, whose client is there; the metrics' library is read the first time."""
    from tollgate.usecases.activity import write_denials

    left = write_denials(_minutes(), counts)
    for environment in {denied.environment for denied in counts}:
        own = {denied: count for denied, count in counts.items() if denied.environment is environment}
        _denials_line(environment.value, own)
    return left


def _denials_line(environment: str, counts: Mapping[Denied, int]) -> None:
    """One line of metrics: how many, and by feature and reason for whoever searches the logs."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    by_feature: dict[str, dict[str, int]] = {}
    for denied, count in counts.items():
        reasons = by_feature.setdefault(denied.feature_id, {})
        reasons[denied.reason] = reasons.get(denied.reason, 0) + count
    with single_metric("Denials", MetricUnit.Count, sum(counts.values())) as line:
        line.add_dimension("environment", environment)
        line.add_metadata("denials", by_feature)


def _queue_counts() -> QueueCounts:
    from tollgate.usecases.activity import QueueCounts

    names = ("usage_queue_url", "dead_letter_queue_url", "webhook_dead_letter_queue_url")
    return QueueCounts(*(_waiting(settings().required(name)) for name in names))


def _waiting(url: str) -> int:
    answer = _queued("get_queue_attributes", QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
