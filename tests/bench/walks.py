"""`python -m tests.bench.walks`: what one request, and one record of the table's stream, walk through.

Each walk runs the real handlers, warm, over moto in this process. Three things are said of it:

- how many files of ours it enters, and how many calls go from one of our files into another;
- how often it calls the functions in COUNTED, whichever module they are in;
- its CPU time in ms, without what was spent in AWS calls (botocore and what stands for AWS): the least of some rounds.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import io
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAYER = ROOT / "layers" / "tollgate"
for _folder in (str(ROOT), str(LAYER)):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)

import botocore.client  # noqa: E402 - the folders above come first
import botocore.session  # noqa: E402
from moto import mock_aws  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

OURS = (f"{LAYER}{os.sep}", f"{ROOT / 'functions'}{os.sep}")
COUNTED = ("as_of", "apply_spent")
ROUNDS = 15
RECORDS = 100  # in the consumer's batch
CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:us-east-1:0:f", aws_request_id="r"
)

Call = Callable[[], object]


@dataclass
class Trace:
    """What was called while it was watched."""

    files: set[str] = field(default_factory=set)
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # from file, to file, function
    named: Counter[str] = field(default_factory=Counter)

    @property
    def crossings(self) -> int:
        """Calls from one of our files into another."""
        return sum(self.calls.values())

    def see(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(OURS):
            return
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        self.files.add(file)
        if name in COUNTED:
            self.named[name] += 1
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(OURS):
            caller = caller.f_back
        if caller is not None and caller.f_code.co_filename != file:
            self.calls[_short(caller.f_code.co_filename), _short(file), name] += 1


def _short(file: str) -> str:
    return str(Path(file).relative_to(LAYER if file.startswith(str(LAYER)) else ROOT))


def traced(call: Call) -> Trace:
    trace = Trace()
    threading.setprofile(trace.see)
    sys.setprofile(trace.see)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return trace


class Aws:
    """Stands before every AWS call: adds up the CPU time spent there, and answers writes itself while `answers` is set."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.answers = False
        self._lock = threading.Lock()

    @contextmanager
    def watched(self) -> Iterator[Aws]:
        real = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: Any, operation: str, request: Any) -> Any:
            if self.answers:
                return {"Entries": [{} for _ in request.get("Entries", ())]}
            start = time.thread_time()
            try:
                return real(client, operation, request)
            finally:
                with self._lock:
                    self.seconds += time.thread_time() - start

        botocore.client.BaseClient._make_api_call = call  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            botocore.client.BaseClient._make_api_call = real  # type: ignore[attr-defined]


def cpu_ms(call: Call, aws: Aws, rounds: int = ROUNDS) -> float:
    """The least CPU time of one call, in ms, without its AWS calls."""
    found = []
    for _ in range(rounds):
        aws.seconds, start = 0.0, time.process_time()
        call()
        found.append(time.process_time() - start - aws.seconds)
    return min(found) * 1000


@dataclass(frozen=True)
class Walk:
    """`prepare` makes what a call needs, unseen; each call is made anew. `per`: how many records one call takes."""

    name: str
    prepare: Callable[[], Call]
    per: int = 1


def walks(aws: Aws) -> list[Walk]:
    """The walks, over a table of their own."""
    from tests.conftest import create_table, dynamodb_client
    from tests.http_events import authorized, http_event
    from tests.records import MESSAGES, held, monthly, uses
    from tests.service import SANDBOX, service
    from tollgate.domain.environments import CustomerRef
    from tollgate.store import keys

    client = dynamodb_client("https://dynamodb.us-east-1.amazonaws.com")
    name = create_table(client)
    queues: Any = botocore.session.get_session().create_client("sqs", region_name="us-east-1")
    os.environ |= {
        "TOLLGATE_TABLE": name,
        "TOLLGATE_BUS": "default",
        "TOLLGATE_USAGE_QUEUE_URL": queues.create_queue(QueueName="usage")["QueueUrl"],
        "TOLLGATE_DEAD_LETTER_QUEUE_URL": queues.create_queue(QueueName="dead")["QueueUrl"],
    }
    for module in ("tollgate.store.history", "tollgate.usecases.usage_queue"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module).THREADS = 1  # type: ignore[attr-defined] # moto can do one thing at a time
    service(client, name)
    functions = ("manage", "check", "usage_queue", "metric_access", "usage_events")
    handlers = {one: importlib.import_module(f"functions.{one}.app").handler for one in functions}

    def http(function: str, route: str, body: Any = None, **more: Any) -> Any:
        answer = handlers[function](authorized(http_event(route, body, **more)), None)
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    plan = [{"feature_id": "messages", "included": 1_000_000, "reset": {"interval": "month"}}]
    http("manage", "POST /v1/plans.create", {"plan_id": "pro", "name": "Pro", "items": plan})
    http("manage", "POST /v1/customers.get_or_create", {"customer_id": "c1"})
    http("manage", "POST /v1/billing.attach", {"customer_id": "c1", "plan_id": "pro"})

    def check() -> Call:
        use = {"customer_id": "c1", "feature_id": "messages", "send_event": True}

        def call() -> None:
            assert http("check", "POST /v1/balances.check", use)["allowed"]

        return call

    def metric_access() -> Call:
        query = "customer_id=c1&metric_id=messages"

        def call() -> None:
            assert http("metric_access", "GET /api/metric_access/", query=query)["access"]

        return call

    reported = iter(range(10**6))

    def usage_event() -> Call:
        detail = {"environment": "sandbox", "customer_id": "c1", "feature_id": "messages", "value": 2}
        envelope = {**json.loads((ROOT / "events" / "usage_reported.json").read_text()), "detail": detail}

        def call() -> None:
            before = balance_image()
            body = json.dumps({**envelope, "id": f"bench-{next(reported)}"})
            message = {"messageId": "m", "body": body, "eventSource": "aws:sqs", "attributes": {}}
            assert handlers["usage_queue"]({"Records": [message]}, CONTEXT) == {"batchItemFailures": []}
            handlers["usage_events"]({"Records": [stream_record(before, balance_image())]}, CONTEXT)

        return call

    def balance_image() -> Any:
        return client.get_item(TableName=name, Key=keys.balance(CustomerRef(SANDBOX, "c1"), MESSAGES))["Item"]

    def consumer(batch: Sequence[dict[str, Any]]) -> Call:
        def call() -> None:
            aws.answers = True
            try:
                handlers["usage_events"]({"Records": batch}, CONTEXT)
            finally:
                aws.answers = False

        return call

    one_each = [uses(held(monthly(1000)), [7], f"customer-{number}")[0] for number in range(RECORDS)]
    one_customers = uses(held(monthly(10**6)), [3] * RECORDS, "one")
    with contextlib.redirect_stdout(io.StringIO()):
        handlers["usage_events"]({"Records": one_each[:1]}, CONTEXT)  # warm: the catalog is in its cache
    return [
        Walk("check-and-track, fast path", check),
        Walk("Lotus metric_access", metric_access),
        Walk("usage event: bus, queue, balance, stream, bus", usage_event),
        Walk("consumer: one record of one use", lambda: consumer(one_each[:1])),
        Walk(f"consumer: {RECORDS} records, a customer each", lambda: consumer(one_each), RECORDS),
        Walk(f"consumer: {RECORDS} records of one customer", lambda: consumer(one_customers), RECORDS),
    ]


def stream_record(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The stream's record of a write, from the item before and after it."""
    old, new = (
        {name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for name, value in item.items()}
        for item in (before, after)
    )
    images = {"Keys": {name: new[name] for name in ("pk", "sk")}, "OldImage": old, "NewImage": new}
    change = {**images, "SequenceNumber": "1", "ApproximateCreationDateTime": time.time()}
    return {"eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change}


def main() -> None:
    os.environ |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_SERVICE_NAME": "tollgate",
        "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
    }
    report = Table(
        "walk", "files", "cross-file calls", *COUNTED, "CPU ms", title="Warm; where there are many, per record"
    )
    details = []
    aws = Aws()
    with mock_aws(), aws.watched():
        for walk in walks(aws):
            with contextlib.redirect_stdout(io.StringIO()):  # the metrics
                call = walk.prepare()
                for _ in range(3):
                    call()
                trace = traced(call)
                cpu = cpu_ms(call, aws)
            figures = [trace.crossings, *(trace.named[name] for name in COUNTED)]
            shown = [f"{figure / walk.per:.4g}" for figure in figures]
            report.add_row(walk.name, str(len(trace.files)), *shown, f"{cpu / walk.per:.3f}")
            details.append((walk.name, trace))
    console = Console()
    console.print(report)
    if "--calls" in sys.argv[1:]:
        for name, trace in details:
            console.print(f"\n{name}")
            for (start, end, function), count in trace.calls.most_common(40):
                console.print(f"  {count:5}  {start} -> {end} {function}")


if __name__ == "__main__":
    main()
