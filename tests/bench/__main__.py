"""`make bench`: what a check costs, as counts and as ratios within one run.

CPU and wall time of the real handlers are set against a bare boto3 `update_item` with a condition, in alternating
rounds on the same DynamoDB Local; import time, of the folders as they are built for deployment, against a bare boto3
client. Absolute times say little: they are shown
to be read beside the ratios.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import boto3
from botocore import xform_name
from rich.console import Console
from rich.table import Table

from tests.bench.memory import sizes
from tests.bench.timing import Call, ratios
from tests.conftest import Spent, create_table, dynamodb_client
from tests.http_events import authorized, http_event
from tests.service import SANDBOX, item, service
from tollgate.domain.features import Feature, FeatureType
from tollgate.runtime import clock
from tollgate.store.dynamodb import DynamoDB
from tollgate_cli import deploy
from tollgate_cli.servers import ROOT, dynamodb_local

BUILT = ROOT / ".aws-sam" / "build"
COUNTED = "check-and-track, allowed"
DENIED = "check-and-track, denied"
ENTITLEMENTS, METRIC_ACCESS = "entitlements of 20 features", "metric_access among 20"
CPU_TARGETS = {"check": 0.6, COUNTED: 0.6, DENIED: 0.65, ENTITLEMENTS: 1.0, METRIC_ACCESS: 1.0}
WALL_TARGETS = {"check": 0.75, COUNTED: 0.75, DENIED: 0.75}
READ_FEATURES = [f"feature-{number:02}" for number in range(20)]
IMPORTS = {"check": 0.5, "authorizer": 0.45, "waiting_events": 0.5}
OTHER_IMPORTS = 0.9
FUNCTIONS = (
    "check",
    "track",
    "manage",
    "metric_access",
    "lotus",
    "entitlements",
    "authorizer",
    "usage_queue",
    "usage_events",
    "waiting_events",
)
BARE_CLIENT = "import boto3; boto3.client('dynamodb')"


def bare_update(url: str, table: str) -> Call:
    """The least that an atomic decision costs: one conditional update with boto3's defaults."""
    client = boto3.client("dynamodb", endpoint_url=url)
    key: Any = {"pk": {"S": "bare"}, "sk": {"S": "bare"}}
    client.put_item(TableName=table, Item={**key, "headroom": {"N": "1000000000"}, "spent": {"N": "0"}})

    def call() -> object:
        return client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET headroom = headroom - :v, spent = spent + :v",
            ConditionExpression="headroom >= :v",
            ExpressionAttributeValues={":v": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )

    return call


def handler_call(handler: Callable[[Any, Any], dict[str, Any]], allowed: bool, body: dict[str, Any]) -> Call:
    """A warm call of the check function, which must answer as expected."""
    event = authorized(http_event("POST /v1/balances.check", body))

    def call() -> object:
        answer = handler(event, None)
        assert answer["statusCode"] == 200, answer
        assert answer["body"].startswith(f'{{"allowed":{json.dumps(allowed)}'), answer
        return answer

    return call


def read_call(handler: Callable[[Any, Any], dict[str, Any]], route: str, query: str) -> Call:
    """A warm call of a function that reads, which must succeed."""
    event = authorized(http_event(route, None, headers={"x-api-key": "k"}, query=query))

    def call() -> object:
        answer = handler(event, None)
        assert answer["statusCode"] == 200, answer
        return answer

    return call


def same_requests(own: DynamoDB, call: Call, client: Any) -> Call:
    """One `call`'s requests alone, sent by `client`: nothing is made of an event, and nothing of their answers."""
    asked: list[tuple[str, dict[str, Any]]] = []
    send = own._call

    def seen(operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        asked.append((operation, dict(request)))
        return send(operation, request)

    own._call = seen  # type: ignore[method-assign]
    try:
        call()
    finally:
        own._call = send  # type: ignore[method-assign]
    methods = [(getattr(client, xform_name(operation)), request) for operation, request in asked]

    def bare() -> object:
        return [method(**request) for method, request in methods]

    return bare


def import_ratio(function: str, pairs: int) -> tuple[float, float]:
    """(ratio, seconds): the CPU time in which a function's built folder is imported in a fresh interpreter, with the built
    layer, without the interpreter's own start, to that of a bare boto3 client; each the median over pairs that take
    turns."""
    for warm in (None, function):
        import_seconds(warm)  # the disk's cache
    measured = [(import_seconds(None), import_seconds(function)) for _ in range(pairs)]
    return (
        statistics.median(seconds / bare for bare, seconds in measured),
        statistics.median(seconds for _, seconds in measured),
    )


def import_seconds(function: str | None) -> float:
    """The CPU time of one import: of a function as it is deployed (boto3 comes last, as Lambda's own), or of a bare boto3
    client (None)."""
    built = [] if function is None else [folder_of(function), BUILT / "TollgateLayer" / "python"]
    statement = BARE_CLIENT if function is None else "import app"
    paths = [str(path) for path in built]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; sys.path.append({sysconfig.get_path('purelib')!r});"
        f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    )
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "PYDANTIC_DISABLE_PLUGINS": "1",  # as in template.yaml
        "TOLLGATE_TABLE": "t",
        "TOLLGATE_BUS": "b",
        "TOLLGATE_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/q",
        "TOLLGATE_USAGE_QUEUE_URL": "http://127.0.0.1/q",
    }
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def folder_of(function: str) -> Path:
    """The built folder of a function."""
    return BUILT / f"{function.title().replace('_', '')}Function"


def peers(console: Console, url: str, rounds: int, calls: int) -> None:
    """Runs the peers' ways in an environment of their own, and shows what they cost."""
    command = [ROOT / ".venv-peers" / "bin" / "python", ROOT / "tests" / "bench" / "peers.py", url]
    done = subprocess.run(
        [*map(str, command), str(rounds), str(calls)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    report = Table("other ways", "requests", "write units", "CPU", "wall", title="Against the same bare update")
    for found in map(json.loads, done.stdout.splitlines()):
        columns = (f"{found['cpu_ratio']:.2f}x", f"{found['wall_ratio']:.2f}x")
        report.add_row(found["name"], str(found["requests"]), f"{found['units']:g}", *columns)
    console.print(report)


def folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def shown(ratio: float, target: float | None) -> str:
    """A ratio beside its target, if it has one."""
    return f"{ratio:.2f}" if target is None else f"[{'green' if ratio <= target else 'red'}]{ratio:.2f}[/] / {target:g}"


@contextmanager
def quiet() -> Iterator[None]:
    """What functions print goes nowhere, as a line of metrics that would stand between the tables: they print it all the
    same, as it costs."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


def main() -> None:
    arguments = argparse.ArgumentParser(prog="make bench", description=__doc__)
    arguments.add_argument("rounds", nargs="?", type=int, default=15)
    arguments.add_argument("calls", nargs="?", type=int, default=300, help="of each operation in a round")
    arguments.add_argument("--peers", action="store_true", help="measure other ways and libraries beside it")
    asked = arguments.parse_args()
    console = Console(file=sys.stdout)
    with quiet():
        measure(console, asked.rounds, asked.calls, others=asked.peers)


def measure(console: Console, rounds: int, calls: int, *, others: bool) -> None:
    """Measures everything, and shows it table by table; other ways and libraries too where it is asked for."""
    os.environ |= {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_SERVICE_NAME": "tollgate",
        "TOLLGATE_DENIAL_SECONDS": "10",  # as in template.yaml
        "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
    }
    with tempfile.TemporaryDirectory() as scratch, dynamodb_local(Path(scratch) / "dynamodb.log") as server:
        client = dynamodb_client(server.url)
        table = create_table(client)
        os.environ |= {"TOLLGATE_TABLE": table, "AWS_ENDPOINT_URL_DYNAMODB": server.url}
        handler = importlib.import_module("functions.check.app").handler
        here = service(client, table)
        here.customer("rich", [item(10**9)], clock())
        here.customer("poor", [item(0)], clock())
        from tollgate import runtime

        spent = Spent(runtime.client("dynamodb"))
        use = {"feature_id": "messages", "send_event": True}
        operations = {
            "check": handler_call(handler, True, {"customer_id": "rich", "feature_id": "messages"}),
            COUNTED: handler_call(handler, True, {**use, "customer_id": "rich"}),
            DENIED: handler_call(handler, False, {**use, "customer_id": "poor"}),
        }
        report = Table(
            "operation",
            *("calls", "units", "CPU", "wall", "CPU ms", "wall ms"),
            title="Warm, one at a time: multiples of a bare boto3 update / their targets",
        )
        counted = {}
        for name, call in operations.items():
            call()
            requests = spent.of(call)
            units = sum(unit for _, unit in requests)
            # DynamoDB charges a refused write its unit, but says so to nobody: that is the star.
            counted[name] = str(len(requests)), f"{units:g}" if units else "1*"
        spent.stop()
        boto: Any = boto3.client("dynamodb", endpoint_url=server.url)
        own = runtime.client("dynamodb")
        for sender, sends in (("Tollgate", own), ("boto3", boto)):
            operations[f"its request alone, by {sender}"] = same_requests(own, operations[COUNTED], sends)
        bares = dict.fromkeys(operations, bare_update(server.url, table))
        for id in READ_FEATURES:
            here.catalogs.create_feature(SANDBOX, Feature(id, id, FeatureType.METERED))
        here.customer("reader", [item(1000, feature=id) for id in READ_FEATURES], clock())
        reads = {
            ENTITLEMENTS: ("entitlements", "GET /v1/customers/reader/entitlements", ""),
            METRIC_ACCESS: (
                "metric_access",
                "GET /api/metric_access",
                f"customer_id=reader&metric_id={READ_FEATURES[0]}",
            ),
        }
        for name, (function, path, query) in reads.items():
            read = read_call(importlib.import_module(f"functions.{function}.app").handler, path, query)
            read()  # the catalog is remembered from here on
            operations[name], bares[name] = read, same_requests(own, read, boto)
            counted[name] = str(len(Spent(own).of(read))), ""
        call_cpu_ms = 0.0
        for name, call in operations.items():
            bare = bares[name]
            cpu, wall, cpu_ms, wall_ms = ratios(bare, call, rounds, calls)
            call_cpu_ms = cpu_ms if name == COUNTED else call_cpu_ms
            report.add_row(
                name,
                *counted.get(name, ("1", "1")),
                shown(cpu, CPU_TARGETS.get(name)),
                shown(wall, WALL_TARGETS.get(name)),
                f"{cpu_ms:.2f}",
                f"{wall_ms:.2f}",
            )
        console.print(report)
        if others:
            peers(console, server.url, rounds, calls)
    deploy.build()
    check_import_ms = 0.0
    imports = Table("function", "import", "CPU ms", title="Import: multiples of a bare boto3 client / targets")
    for function in FUNCTIONS:
        ratio, seconds = import_ratio(function, 25 if function == "check" else 5)
        imports.add_row(function, shown(ratio, IMPORTS.get(function, OTHER_IMPORTS)), f"{seconds * 1000:.0f}")
        check_import_ms = seconds * 1000 if function == "check" else check_import_ms
    console.print(imports)
    by_memory = Table("MB", "ms a call", "$ per million", "ms to import", title="The check at each memory size")
    for size in sizes(call_cpu_ms, check_import_ms):
        by_memory.add_row(
            str(size.mb), f"{size.call_ms:.1f}", f"{size.dollars_per_million:.3f}", f"{size.import_ms:.0f}"
        )
    console.print(by_memory)
    console.print(f"Layer: {folder_size(BUILT / 'TollgateLayer') / 2**20:.1f} MiB unpacked")


if __name__ == "__main__":
    main()
