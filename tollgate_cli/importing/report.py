"""What an import did: as JSON for programs, and to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import simplejson
from rich.console import Console
from rich.text import Text

from tollgate_cli.importing.journal import Journal, Told

MOST_SHOWN = 20
FORMAT = "tollgate-import-report/1"


def write(stem: Path, about: Mapping[str, Any], journal: Journal) -> tuple[Path, Path]:
    """Writes `<stem>.json` and `<stem>.txt`, and returns the two. What differs is written as it is read: there may be
    more than memory holds. Raises OSError."""
    as_json, as_text = stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.txt")
    for path, fill in ((as_json, _json), (as_text, _text)):
        with path.open("w", encoding="utf-8") as out:
            path.chmod(0o600)
            fill(out, about, journal)
    return as_json, as_text


def _json(out: TextIO, about: Mapping[str, Any], journal: Journal) -> None:
    head = simplejson.dumps({"format": FORMAT, **about}, use_decimal=True, indent=2)
    out.write(head[: head.rindex("\n}")] + ',\n  "told": [')
    separator = "\n    "
    for told in journal.told():
        out.write(separator + simplejson.dumps(told._asdict(), use_decimal=True))
        separator = ",\n    "
    out.write("\n  ]\n}\n")


def _text(out: TextIO, about: Mapping[str, Any], journal: Journal) -> None:
    for line in summary(about):
        out.write(f"{line}\n")
    for told in journal.told():
        out.write(f"{line_of(told)}\n")


def summary(about: Mapping[str, Any]) -> Iterator[str]:
    """What was done, in a few lines."""
    states = about["customers"]
    yield f"{about['vendor']} at {about['from']} → {about['environment']} at {about['to']}"
    yield f"{about['features']} features, {about['plans']} versions of plans" + (" (tried)" if about["dry_run"] else "")
    words = {
        "written": "customers are here",
        "there": "customers were here before, and were left as they were",
        "unfit": "customers cannot be held",
        "failed": "customers could not be read",
        "read": "customers would be brought over" if about["dry_run"] else "customers are to be brought over",
    }
    for state, said in words.items():
        if states.get(state):
            yield f"{states[state]} {said}"
    if not about["dry_run"]:
        yield f"{states.get('compared', 0)} customers were compared on both sides"
    calls = about["calls"]
    yield (
        f"{calls['source']['calls']} calls there ({calls['source']['repeated']} of them again, "
        f"{calls['source']['told_to_wait']} told to wait), {calls['target']['calls']} calls here, "
        f"{about['seconds']} s, {about['customers_per_second']} customers a second"
    )
    yield "Nothing differs." if not about["differences"] else f"{about['differences']} things are not as they were:"


def line_of(told: Told) -> str:
    """One of them, on a line."""
    who = " ".join(
        part
        for part in (
            f"customer {told.customer}" if told.customer else "catalog",
            f"feature {told.feature}" if told.feature else "",
            f"entity {told.entity}" if told.entity else "",
        )
        if part
    )
    values = "" if told.source is None and told.here is None else f" {_value(told.source)} → {_value(told.here)}"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in f"{who}: {told.what}{values}: {told.reason}")


def _value(text: str | None) -> str:
    return "nothing" if text is None else text


def show(console: Console, about: Mapping[str, Any], journal: Journal) -> None:
    """The same on a terminal: the first of what differs, and how often each reason holds."""
    for line in summary(about):
        console.print(Text(line))
    reasons: Counter[str] = Counter()
    for number, told in enumerate(journal.told()):
        reasons[told.reason] += 1
        if number < MOST_SHOWN:
            console.print(Text(f"  {line_of(told)}", "yellow"))
    if reasons.total() > MOST_SHOWN:
        console.print(Text(f"  and {reasons.total() - MOST_SHOWN} more, in the report. By reason:"))
        for reason, number in reasons.most_common(10):
            console.print(Text(f"  {number:>6}  {reason}"))
