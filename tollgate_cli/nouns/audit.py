"""`tollgate audit`: who changed what (management.md 17.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from tollgate.dialects.autumn.activity import MOST
from tollgate_cli import output
from tollgate_cli.errors import told
from tollgate_cli.options import Limit, Many, gathered
from tollgate_cli.output import add, cell, console, table, when

_EVERY = 1_000_000  # more entries than a log is read for
_WIDTH = 60  # characters of what differs

Customer = Annotated[
    str | None, typer.Option(help="What is this customer's, instead of the catalog, keys and webhooks.")
]


@gathered
def audit(customer: Customer = None, limit: Limit = 50, *, how: Many) -> None:
    """List who changed what, the newest first."""
    api = how.api()
    with told(api.url):
        if customer is None:
            found = output.pages(api, "audit.list", {}, limit, MOST)
        else:
            log = output.pages(api, "customers.list_log", {"customer_id": customer}, _EVERY, MOST)
            found = islice((entry for entry in log if entry["type"] == "api.called"), limit)
        if how.as_json:
            output.lines(found)
            return
        shown = table("when", "call", "what, and how it differs", "key")
        shown.columns[0].no_wrap = True  # a call may be a long path: it goes on in the next line
        for entry in found:
            told_of = [f"{one['type']} {cell(one['id'])}: {_differs(one)}" for one in entry["changes"]]
            told_of += [f"{entry['omitted']} more"] if entry["omitted"] else []
            for line in told_of or ["name, e-mail or metadata"]:
                add(shown, when(entry["timestamp"]), entry["call"], line, entry["key_id"] or "AWS account")
        console.print(shown)


def _differs(change: Mapping[str, Any]) -> str:
    before, after = change["before"], change["after"]
    if before is None or after is None:
        return "new" if before is None else "deleted"
    text = ", ".join(_fields(before, after))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        plain = not any(isinstance(value, (dict, list)) for value in (old, new))
        yield f"{name}: {cell(old)} → {cell(new)}" if plain else name
