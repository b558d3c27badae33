"""`make costs`: what a stack costs that nobody calls, and what a million checks that count cost, from the template and a file of
prices. docs/costs.md has these tables; a test holds them to what this works out."""

from __future__ import annotations

import tomllib
from typing import Any, NamedTuple

from tests.conftest import ROOT
from tests.template.transformed import Template, of_type, transformed

PRICES = ROOT / "tests" / "bench" / "prices.toml"
IDLE_HEAD = "| a month, without calls | dollars | left out by |"
CALLS_HEAD = "| a million checks that count | dollars | left out by |"


class Part(NamedTuple):
    """Something that is paid for; the parameter that leaves it out, where one does."""

    what: str
    dollars: float
    without: str = ""


def prices() -> dict[str, Any]:
    """The file of prices."""
    return tomllib.loads(PRICES.read_text())


def idle(template: Template, price: dict[str, Any]) -> list[Part]:
    """What is paid for a month in which nothing happens, but for what is stored."""
    month, taken, million = price["month"], price["taken"], price["million"]
    seconds = price["hours"] * 3600
    functions = of_type(template, "AWS::Lambda::Function").values()
    snapshots = sum(f["Properties"]["MemorySize"] / 1024 for f in functions if "SnapStart" in f["Properties"])
    queues = {
        str(source["Properties"]["EventSourceArn"])
        for source in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if "Queue" in str(source["Properties"]["EventSourceArn"])
    }
    polls = len(queues) * taken["pollers"] * seconds / taken["poll_s"]
    alarms, dashboards = (len(of_type(template, f"AWS::CloudWatch::{kind}")) for kind in ("Alarm", "Dashboard"))
    runs = sum(seconds / _every(rule) for rule in of_type(template, "AWS::Events::Rule").values() if _every(rule))
    run = million["lambda_requests"] / 1e6 + taken["schedule_ms"] / 1000 * 0.5 * price["lambda_gb_second"]["arm64"]
    return [
        Part(
            f"SnapStart: {snapshots:g} GB of snapshots kept",
            snapshots * seconds * price["snapstart"]["cache_gb_second"],
            "`SnapStart=false`",
        ),
        Part(f"{dashboards} dashboard", dashboards * month["dashboard"], "`Dashboard=false`"),
        Part(f"{alarms} alarms", alarms * month["alarm"]),
        Part(f"Lambda asks {len(queues)} empty queues", polls * million["queue_requests"] / 1e6),
        Part(f"{runs:,.0f} runs of the schedule", runs * run),
    ]


def calls(price: dict[str, Any]) -> list[Part]:
    """What a million checks that count cost: on arm64 at 512 MB."""
    million, taken, gb = price["million"], price["taken"], price["logs"]["gb"] / 1e9
    restored = 1e6 * taken["cold_starts"] * 0.5 * price["snapstart"]["restored_gb"]
    milliseconds = -(-taken["call_ms"] // 1)
    return [
        Part("HTTP API", million["http_api_calls"]),
        Part("one write unit each", million["write_units"]),
        Part("Lambda: requests", million["lambda_requests"]),
        Part("Lambda: compute", milliseconds / 1000 * 0.5 * price["lambda_gb_second"]["arm64"] * 1e6),
        Part("history: two writes of each use", 2 * million["write_units"]),
        Part("sums, at most", 2 * million["write_units"]),
        Part("events on the bus", million["bus_events"]),
        Part("Lambda's lines in the log", 1e6 * taken["function_log_bytes"] * gb, "`LogLevel=WARN`"),
        Part("access log", 1e6 * taken["access_log_bytes"] * gb),
        Part("SnapStart: restored for one call in a thousand", restored, "`SnapStart=false`"),
        Part(
            "X-Ray, with `Tracing=Active`: one call in twenty",
            1e6 * taken["traced"] * million["traces"] / 1e6,
            "the default",
        ),
    ]


def _every(rule: dict[str, Any]) -> int:
    """How many seconds lie between two runs of a rule; 0 where it has no schedule."""
    text = rule["Properties"].get("ScheduleExpression", "")
    if not text:
        return 0
    count, unit = text.removeprefix("rate(").removesuffix(")").split()
    return int(count) * {"minute": 60, "hour": 3600}[unit.removesuffix("s")]


def table(head: str, parts: list[Part]) -> str:
    """The parts as a table of Markdown, with their sum with all that is on by default, and without what can be left out."""
    usual = sum(part.dollars for part in parts if part.without != "the default")
    least = sum(part.dollars for part in parts if not part.without)
    return "\n".join(
        [
            head,
            "|---|---|---|",
            *(f"| {part.what} | {_dollars(part.dollars)} | {part.without} |" for part in parts),
            f"| **as deployed by default** | **{usual:.2f}** | |",
            f"| **without what can be left out** | **{least:.2f}** | |",
        ]
    )


def _dollars(amount: float) -> str:
    return "under 0.01" if amount < 0.01 else f"{amount:.2f}"


def tables() -> list[str]:
    """Both tables, of the template as it is deployed by default in AWS."""
    price = prices()
    return [table(IDLE_HEAD, idle(transformed(), price)), table(CALLS_HEAD, calls(price))]


if __name__ == "__main__":
    print("\n\n".join(tables()))
