"""Changes as people read them, and as JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tollgate_cli.catalog.changes import Action, Change, Changes, Difference
from tollgate_cli.catalog.yaml_text import number_text

_DEEP, _DEEPER = 4, 8
"""How far values are indented, and the rest of a long one."""
_BARE = re.compile(r"[A-Za-z_][\w.-]*( [\w.-]+)*", re.ASCII).fullmatch
_SIGNS = {Action.CREATE: ("+", "green"), Action.UPDATE: ("~", "yellow"), Action.REMOVE: ("-", "red")}


def show(console: Console, changes: Changes, environment: str) -> None:
    """Every change with all its values; what stays though it is not named; how many there are."""
    for change in changes.each:
        sign, color = _SIGNS[change.action]
        console.print(
            Text.assemble((f"{sign} {change.kind} {change.id}", f"bold {color}"), f"  {_outcome(change)}".rstrip())
        )
        for line in _lines(change):
            first, *rest = line.wrap(console, console.width - _DEEPER)
            console.print(Padding(first, (0, 0, 0, _DEEP), expand=False))
            for each in rest:
                console.print(Padding(each, (0, 0, 0, _DEEPER), expand=False))
        console.print()
    if changes.left_alone:
        names = ", ".join(f"{kind} {id}" for kind, id in changes.left_alone)
        console.print(Text(f"Not named, and left alone: {names}. To remove one: --prune ID"))
    for id in changes.gone:
        console.print(Text(f"Nothing to remove: there is no {id}, or it is archived."))
    if changes.each:
        console.print(Text(f"Changes {changes.fingerprint(environment)}: {counts(changes)}."))
    else:
        console.print("No changes.")


def counts(changes: Changes) -> str:
    """How many changes of each kind there are."""
    numbers = Counter(change.action for change in changes.each)
    return ", ".join(f"{action} {numbers[action]}" for action in Action if numbers[action])


def said(changes: Changes, environment: str) -> dict[str, Any]:
    """The same for programs."""
    return {
        "environment": environment,
        "changes": changes.fingerprint(environment) if changes.each else None,
        "each": [_said(change) for change in changes.each],
        "left_alone": [{"kind": kind, "id": id} for kind, id in changes.left_alone],
        "nothing_to_remove": changes.gone,
    }


def _said(change: Change) -> dict[str, Any]:
    return {
        "action": change.action.value,
        "kind": change.kind,
        "id": change.id,
        "differences": [each._asdict() for each in change.differences] if change.new else [],
        "new_version": change.new_version,
        "customers_who_stay": [
            {"version": version, "customers": number} for version, number in (change.stay or {}).items()
        ],
        "archives": change.archives,
    }


def _outcome(change: Change) -> str:
    if change.new_version:
        return f"makes version {change.new_version}"
    if change.action is Action.REMOVE:
        return "is archived: it is in use" if change.archives else "is deleted"
    return ""


def _lines(change: Change) -> Iterator[Text]:
    for version, number in (change.stay or {}).items():
        who = "1 customer stays" if number == 1 else f"{number} customers stay"
        yield Text(f"{who} on version {version}", "bold")
    if change.new_version and not change.stay:
        yield Text("no customer has it now", "bold")
    if change.new is not None:
        signed = change.action is Action.UPDATE
        yield from (_line(each, signed=signed) for each in change.differences)


def _line(each: Difference, *, signed: bool) -> Text:
    """A value that is new, goes or changes. What is created is new as a whole and needs no signs."""
    if each.old is None:
        return Text(f"{'+ ' if signed else ''}{each.path}{_said_of(each.path, each.new)}", "green" if signed else "")
    if each.new is None:
        return Text(f"- {each.path}{_said_of(each.path, each.old)}", "red")
    return Text.assemble(f"{each.path}: ", (_value(each.old), "red"), " → ", (_value(each.new), "green"))


def _said_of(path: str, value: Any) -> str:
    """The value behind its path; of an entry of a list without the feature, which the path names."""
    if path.endswith("]") and isinstance(value, dict):
        value = {name: each for name, each in value.items() if name not in ("feature_id", "metered_feature_id")}
        if not value:
            return ""
    return f": {_value(value)}"


def _value(value: Any) -> str:
    """A value on one line, as YAML in flow style; what a terminal would act on is escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(name)}: {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str) and _BARE(value) and value not in ("true", "false", "null"):
        return value
    if isinstance(value, Decimal):
        return number_text(value)
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
