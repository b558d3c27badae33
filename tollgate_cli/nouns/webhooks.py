"""`tollgate webhooks`: webhooks of an environment, by the public API and a secret key."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from tollgate.domain.webhooks import PayloadDialect
from tollgate_cli import output
from tollgate_cli.errors import told
from tollgate_cli.options import Many, One, gathered
from tollgate_cli.output import add, console, say, table, when

app = typer.Typer(no_args_is_help=True, help="Addresses that are told of events over HTTP.", rich_markup_mode=None)

Events = Annotated[list[str] | None, typer.Option("--event", help="A type to be told of, all unless told; repeatable.")]
Description = Annotated[str | None, typer.Option(help="Words about it.")]


@app.command("create")
@gathered
def create(
    id: str,
    url: str,
    event: Events = None,
    dialect: Annotated[PayloadDialect, typer.Option(help="Whose payloads it gets.")] = PayloadDialect.AUTUMN,
    description: Description = None,
    *,
    how: One,
) -> None:
    """Make a webhook and print its secret, once."""
    body = {"id": id, "url": url, "events": event or None, "dialect": dialect.value, "description": description}
    _print_secret(_called(how, "create", body), how)


@app.command("list")
@gathered
def list_webhooks(how: Many) -> None:
    """List the environment's webhooks."""
    api = how.api()
    with told(api.url):
        found = api.exact("webhooks.list", {})["list"]
        if how.as_json:
            output.lines(found)
            return
        shown = table("id", "url", "told of", "payloads", "state", "failing since")
        for each in found:
            events = ", ".join(each["events"]) or "all"
            add(shown, each["id"], each["url"], events, each["dialect"], _state(each), when(each["failing_since"]))
        console.print(shown)


@app.command("update")
@gathered
def update(
    id: str,
    url: Annotated[str | None, typer.Option(help="Its new address.")] = None,
    event: Events = None,
    description: Description = None,
    disabled: Annotated[bool | None, typer.Option("--off/--on", help="Whether it is told of nothing.")] = None,
    *,
    how: One,
) -> None:
    """Change what is named; --on has a paused one go on."""
    body = {"id": id, "url": url, "events": event or None, "description": description, "disabled": disabled}
    changed = _called(how, "update", body)
    if how.as_json:
        output.document(changed)
        return
    with told("the answer"):
        say(f"{changed['id']} {changed['url']} is {_state(changed)}")


@app.command("delete")
@gathered
def delete(id: str, how: One) -> None:
    """Delete a webhook."""
    answer = _called(how, "delete", {"id": id})
    if how.as_json:
        output.document(answer)
    else:
        say(f"{id} is deleted")


@app.command("rotate")
@gathered
def rotate_secret(id: str, how: One) -> None:
    """Print a new secret, once; the old one signs for a day."""
    _print_secret(_called(how, "rotate_secret", {"id": id}), how)


@app.command("test")
@gathered
def send_test(id: str, how: One) -> None:
    """Send a message that tells of nothing."""
    _print_state(_called(how, "test", {"id": id}), how)


@app.command("deliveries")
@gathered
def deliveries(
    id: str,
    before: Annotated[str | None, typer.Option(help="Only those older than this delivery.")] = None,
    *,
    how: Many,
) -> None:
    """List the newest deliveries, each with every try."""
    api = how.api()
    body = {"id": id} | ({"before": before} if before else {})
    with told(api.url):
        found = api.exact("webhooks.deliveries", body)["list"]
        if how.as_json:
            output.lines(found)
            return
        shown = table("delivery", "type", "made", "state", "tries", "the last", right=("tries",))
        for each in found:
            tries = each["attempts"]
            last = (tries[-1]["error"] or tries[-1]["status"]) if tries else None
            add(shown, each["id"], each["type"], when(each["created_at"]), each["state"], len(tries), last)
        console.print(shown)


@app.command("resend")
@gathered
def resend(id: str, delivery_id: str, how: One) -> None:
    """Have a delivery tried once more."""
    _print_state(_called(how, "resend", {"id": id, "delivery_id": delivery_id}), how)


def _called(how: One, verb: str, body: dict[str, Any]) -> Any:
    api = how.api(writes=True)
    with told(api.url):
        return api.exact(f"webhooks.{verb}", {name: value for name, value in body.items() if value is not None})


def _print_secret(made: Any, how: One) -> None:
    if how.as_json:
        output.document(made)
        return
    with told("the answer"):
        console.print(Text(f"{made['id']}  {made['url']}  {made['dialect']}"))
        typer.echo(made["secret"])


def _print_state(sent: Any, how: One) -> None:
    if how.as_json:
        output.document(sent)
        return
    with told("the answer"):
        say(f"{sent['id']} is {sent['state']}")


def _state(webhook: Any) -> str:
    if webhook["paused_at"] is not None:
        return "paused"
    return "off" if webhook["disabled"] else "on"
