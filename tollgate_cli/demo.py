"""Real traffic against a running stack, and the proof that nothing was lost or counted twice.

Each row of the trace (context + generated tokens of one LLM request) is one check-and-track. Afterwards three numbers,
each from another place, must be equal: granted - remaining (the table), tokens allowed (the answers), and tokens in the
events that reached the bus.
"""

from __future__ import annotations

import csv
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tollgate_cli.api import Api
from tollgate_cli.errors import wrong

FEATURE = "llm_tokens"
PLANS = ("free", "pro", "scale")
EVENTS_WITHIN = 120.0


@dataclass(frozen=True)
class Proof:
    """Tokens by customer, as the table, the answers and the bus tell them."""

    granted_less_remaining: Counter[str]
    allowed: Counter[str]
    on_the_bus: Counter[str]

    @property
    def holds(self) -> bool:
        """Whether all three agree, for every customer."""
        return self.granted_less_remaining == self.allowed == self.on_the_bus

    def sums(self) -> dict[str, int]:
        """The three of all customers together."""
        return {name: counted.total() for name, counted in vars(self).items()}


def read_trace(path: Path, limit: int | None) -> list[int]:
    """Tokens of each request, in order of arrival. Raises CommandError where the file is no trace."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = [int(row["ContextTokens"]) + int(row["GeneratedTokens"]) for row in csv.DictReader(file)]
    except OSError as error:
        raise wrong(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise wrong(f"{path}: is no text in UTF-8") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise wrong(
            f"{path}: a CSV with whole numbers ContextTokens and GeneratedTokens is expected ({error})"
        ) from error
    if not rows or min(rows) < 1:
        raise wrong(f"{path}: no request, or one without tokens: there is nothing to replay")
    return rows[:limit]


@dataclass(frozen=True)
class Load:
    """What is replayed: the tokens of each request, spread over so many new customers, by so many workers at once."""

    tokens: Sequence[int]
    customers: int
    workers: int


def run(api: Api, bus: str, aws: Any, load: Load, console: Console) -> Proof:
    """Replays a load over new customers of the example plans and prints what became of them.

    `aws(service)` makes a client of the account or emulator that holds `bus`.
    """
    tokens, customers, workers = load.tokens, load.customers, load.workers
    run_id = f"demo-{uuid.uuid4().hex[:8]}"
    names = [f"{run_id}-{number:02d}" for number in range(1, customers + 1)]
    for number, name in enumerate(names):
        api.call("customers.get_or_create", {"customer_id": name, "name": f"Demo customer {number + 1}"})
        api.call("billing.attach", {"customer_id": name, "plan_id": PLANS[number % len(PLANS)]})
    with _listening(aws, bus, run_id) as receive:
        answers: Counter[tuple[str, bool]] = Counter()
        allowed: Counter[str] = Counter()

        def use(call: tuple[str, int]) -> tuple[str, int, bool]:
            name, amount = call
            body = {"customer_id": name, "feature_id": FEATURE, "required_balance": amount, "send_event": True}
            return name, amount, api.call("balances.check", body)["allowed"]

        calls = [(names[index % customers], amount) for index, amount in enumerate(tokens)]
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as threads:
            done = threads.map(use, calls)
            for name, amount, granted in track(done, "Replaying", total=len(calls), console=console):
                answers[name, granted] += 1
                allowed[name] += amount if granted else 0
        seconds = time.perf_counter() - start
        console.print(f"{len(calls)} check-and-track calls in {seconds:.1f} s ({len(calls) / seconds:.0f} a second)")
        events = receive(sum(allowed.values()))
    balances = {name: api.call("customers.get", {"customer_id": name})["balances"][FEATURE] for name in names}
    proof = Proof(
        Counter({name: balance["granted"] - balance["remaining"] for name, balance in balances.items()}),
        Counter({name: allowed[name] for name in names}),
        Counter({name: events[name] for name in names}),
    )
    _print(console, names, answers, balances, proof)
    return proof


@contextmanager
def _listening(aws: Any, bus: str, run_id: str) -> Iterator[Any]:
    """A queue that gets a copy of the run's events; yields a function that waits for events of so many tokens in all."""
    queues, events = aws("sqs"), aws("events")
    url = queues.create_queue(QueueName=run_id)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["tollgate"],
        "detail-type": ["usage.recorded"],
        "detail": {"customer_id": [{"prefix": run_id}]},
    }
    rule = events.put_rule(Name=run_id, EventBusName=bus, EventPattern=json.dumps(pattern))["RuleArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    queues.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_targets(Rule=run_id, EventBusName=bus, Targets=[{"Id": "demo", "Arn": arn}])

    def receive(expected: int) -> Counter[str]:
        seen: dict[str, tuple[str, int]] = {}  # by event id: delivery is at least once
        deadline = time.monotonic() + EVENTS_WITHIN
        while sum(amount for _, amount in seen.values()) < expected and time.monotonic() < deadline:
            batch = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            for message in batch:
                detail = json.loads(message["Body"])["detail"]
                seen[detail["id"]] = detail["customer_id"], detail["deducted"]
                queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        totals: Counter[str] = Counter()
        for name, amount in seen.values():
            totals[name] += amount
        return totals

    try:
        yield receive
    finally:
        events.remove_targets(Rule=run_id, EventBusName=bus, Ids=["demo"])
        events.delete_rule(Name=run_id, EventBusName=bus)
        queues.delete_queue(QueueUrl=url)


def _print(
    console: Console, names: Sequence[str], answers: Counter[tuple[str, bool]], balances: dict[str, Any], proof: Proof
) -> None:
    table = Table("customer", "plan", "allowed", "denied", "tokens", "granted", "remaining", title="What became of it")
    for column in table.columns[2:]:
        column.justify = "right"
    for name in names:
        balance = balances[name]
        table.add_row(
            name,
            balance["breakdown"][0]["plan_id"],
            str(answers[name, True]),
            str(answers[name, False]),
            f"{proof.allowed[name]:,}",
            f"{balance['granted']:,}",
            f"{balance['remaining']:,}",
        )
    console.print(table)
    sums = tuple(proof.sums().values())
    console.print(
        f"granted - remaining = {sums[0]:,} tokens\n"
        f"tokens allowed      = {sums[1]:,} tokens\n"
        f"events on the bus   = {sums[2]:,} tokens"
    )
    console.print(
        "[bold green]All three are equal, for every customer.[/]"
        if proof.holds
        else "[bold red]They differ: something was lost or counted twice.[/]"
    )
