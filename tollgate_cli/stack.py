"""The local stack: the real template, built and deployed by the SAM CLI to an emulator on this machine.

All state lives in `.local/`: what was deployed and stored survives `down`, and a second start reuses it.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import httpx

from tollgate.dialects.autumn.audit import describe
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.runtime import clock
from tollgate.settings import RETENTION_DAYS
from tollgate.store.api_keys import ApiKeyStore
from tollgate.store.log import LogStore
from tollgate.store.table import Table
from tollgate.usecases.api_keys import ApiKeys
from tollgate.usecases.audit import Audit, Author, acting
from tollgate_cli import deploy
from tollgate_cli.api import Api, ApiError
from tollgate_cli.catalog import file
from tollgate_cli.catalog.changes import changes_to, creating
from tollgate_cli.catalog.target import Target
from tollgate_cli.servers import HOST, REGION, ROOT, Server, ministack, stop_detached

LOCAL = ROOT / ".local"
ENV = "env"
RECORD = "stack.json"
LOG = "ministack.log"
SAM_ENV = ROOT / "events" / "env.json"
CATALOG = ROOT / "events" / "tollgate.yaml"
NAME = "tollgate"
CUSTOMER = "customer-1"  # on the example plan `pro`: something to ask about


@dataclass(frozen=True)
class Stack:
    """A deployed local stack. `url` is the API's base, before `/v1` and `/api`."""

    endpoint: str
    url: str
    outputs: dict[str, str]
    secret_key: str
    publishable_key: str
    live_secret_key: str
    state: Path = LOCAL

    def client(self, service: str) -> Any:
        """An AWS client of the emulator."""
        return aws(self.endpoint, service)

    @property
    def table(self) -> Table:
        return Table(self.client("dynamodb"), self.outputs["TableName"])


@cache
def aws(endpoint: str, service: str) -> Any:
    return botocore.session.get_session().create_client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
    )


def api_keys(table: Table) -> ApiKeys:
    """The API keys of a table, without an API: how the first key comes to be. The audit log tells of nobody's API key."""
    return ApiKeys(ApiKeyStore(table), Audit(LogStore(table, RETENTION_DAYS), describe))


def settings() -> list[tuple[str, str, str]]:
    """Each parameter of the stack that TOLLGATE_STACK names in the account of your credentials, else of the local one:
    its name, its value there and what it says."""
    if name := os.environ.get("TOLLGATE_STACK"):
        client: Any = botocore.session.get_session().create_client("cloudformation")
    else:
        name, client = NAME, current().client("cloudformation")
    values = client.describe_stacks(StackName=name)["Stacks"][0].get("Parameters", [])
    summary = client.get_template_summary(StackName=name)["Parameters"]
    said = {parameter["ParameterKey"]: parameter.get("Description", "") for parameter in summary}
    return [(p["ParameterKey"], p["ParameterValue"], said.get(p["ParameterKey"], "")) for p in values]


def start(port: int, state: Path = LOCAL, *, detached: bool, **env: str) -> tuple[Stack, Server | None]:
    """Starts the emulator unless it runs already, deploys what has changed, and makes the stack ready for use. `env` sets
    further variables of the emulator and of the functions in it.

    Returns the stack, and the server if this call started it.
    """
    state.mkdir(parents=True, exist_ok=True)
    endpoint = f"http://localhost:{port}"
    server = None
    with ThreadPoolExecutor(1) as thread:  # the build needs no emulator
        build = thread.submit(deploy.build)
        if not _answers(endpoint):
            scratch = state / "tmp"
            scratch.mkdir(exist_ok=True)
            kept = state / f"ministack-{port}"  # what it keeps holds addresses with its port
            env |= {"TMPDIR": str(scratch), "AWS_ENDPOINT_URL": endpoint}
            server = ministack(port, kept, state / LOG, detached=detached, **env)
            (state / RECORD).write_text(json.dumps({"pid": server.pid, "endpoint": endpoint}))
    try:
        build.result()
        return _ready(endpoint, state), server
    except BaseException:
        if server:
            server.stop()
        raise


def stop(state: Path = LOCAL) -> bool:
    """Stops the emulator that a start in the background left running; False where none runs."""
    record = state / RECORD
    if not record.exists():
        return False
    running = stop_detached(json.loads(record.read_text())["pid"], "ministack")
    record.unlink()
    return running


def current(state: Path = LOCAL) -> Stack:
    """The stack that runs; raises ConnectionError where none does."""
    path = state / RECORD
    record = json.loads(path.read_text()) if path.exists() else {}
    if not (record and _answers(record["endpoint"])):
        raise ConnectionError("no local stack runs: start one with `tollgate stack up`")
    keys = _read_env(state / ENV)
    return Stack(
        record["endpoint"],
        keys["TOLLGATE_URL"],
        record["outputs"],
        keys["TOLLGATE_SECRET_KEY"],
        keys["TOLLGATE_PUBLISHABLE_KEY"],
        keys["TOLLGATE_LIVE_SECRET_KEY"],
    )


def stay(server: Server | None) -> None:
    """Blocks until Ctrl-C or SIGTERM, then stops the server, if it is ours."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    done.wait()
    if server:
        server.stop()


def _ready(endpoint: str, state: Path) -> Stack:
    outputs = deploy.deploy(endpoint, NAME)
    record = state / RECORD
    known = json.loads(record.read_text()) if record.exists() else {"endpoint": endpoint}
    record.write_text(json.dumps({**known, "outputs": outputs}, indent=2))
    url = deploy.base_url(endpoint, outputs)
    table = Table(aws(endpoint, "dynamodb"), outputs["TableName"])
    keys = _demo_keys(url, table, state / ENV)
    stack = Stack(endpoint, url, outputs, *keys, state)
    api = Api(url, stack.secret_key)
    _stock(Target(api, Environment.SANDBOX))
    if not api.call("customers.get_or_create", {"customer_id": CUSTOMER})["subscriptions"]:
        api.call("billing.attach", {"customer_id": CUSTOMER, "plan_id": "pro"})
    _write_env(stack, state)
    if state == LOCAL:
        variables = function_variables(stack, "host.docker.internal")
        SAM_ENV.write_text(json.dumps({"Parameters": variables}, indent=2) + "\n")
    return stack


def _stock(target: Target) -> None:
    """Creates what the example catalog has and the stack has not; what is there stays as it is."""
    for change in creating(changes_to(target.catalog(), file.load(CATALOG))).each:
        target.apply(change)


def _demo_keys(url: str, table: Table, env: Path) -> tuple[str, str, str]:
    """The keys of the last start if the stack still knows them, else new ones."""
    names = ("TOLLGATE_SECRET_KEY", "TOLLGATE_PUBLISHABLE_KEY", "TOLLGATE_LIVE_SECRET_KEY")
    if env.exists():
        known = _read_env(env)
        try:
            Api(url, known["TOLLGATE_SECRET_KEY"]).call("features.list", {})
            return known[names[0]], known[names[1]], known[names[2]]
        except (ApiError, KeyError):
            pass  # another stack's keys
    wanted = (
        (Environment.SANDBOX, Scope.SECRET),
        (Environment.SANDBOX, Scope.PUBLISHABLE),
        (Environment.LIVE, Scope.SECRET),
    )
    keys = api_keys(table)
    with acting(Author("", "make run", clock())):
        first, second, third = (keys.create(env, scope, "demo", clock())[1] for env, scope in wanted)
    return first, second, third


def _write_env(stack: Stack, state: Path) -> None:
    lines = {
        "TOLLGATE_URL": stack.url,
        "TOLLGATE_SECRET_KEY": stack.secret_key,
        "TOLLGATE_PUBLISHABLE_KEY": stack.publishable_key,
        "TOLLGATE_LIVE_SECRET_KEY": stack.live_secret_key,
    }
    path = state / ENV
    path.touch()
    path.chmod(0o600)
    path.write_text("".join(f"export {name}={value}\n" for name, value in lines.items()))


def function_variables(stack: Stack, host: str) -> dict[str, str]:
    """What a function that runs outside the stack must be told to reach it: names that CloudFormation chose, and where
    they are, seen from a place where this machine is called `host`."""
    inside = {
        "TOLLGATE_TABLE": stack.outputs["TableName"],
        "TOLLGATE_BUS": stack.outputs["BusName"],
        "TOLLGATE_USAGE_QUEUE_URL": stack.outputs["QueueUrl"],
        "TOLLGATE_DEAD_LETTER_QUEUE_URL": stack.outputs["DeadLetterQueueUrl"],
        "TOLLGATE_WEBHOOK_QUEUE_URL": stack.outputs["WebhookQueueUrl"],
        "TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL": stack.outputs["WebhookDeadLetterQueueUrl"],
        "TOLLGATE_ENDPOINT_URL": stack.endpoint,
    }
    return {
        name: value.replace("//localhost", f"//{host}").replace(f"//{HOST}", f"//{host}")
        for name, value in inside.items()
    }


def _read_env(path: Path) -> dict[str, str]:
    lines = (line.removeprefix("export ") for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _answers(endpoint: str) -> bool:
    try:
        return httpx.get(f"{endpoint}/_ministack/health", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def environment_table() -> Table:
    """The table that the command line works on: the one named by TOLLGATE_TABLE, else the local stack's."""
    if name := os.environ.get("TOLLGATE_TABLE"):
        client: Any = botocore.session.get_session().create_client("dynamodb")
        return Table(client, name)
    return current().table
