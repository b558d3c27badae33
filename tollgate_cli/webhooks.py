"""`tollgate webhooks`: webhooks of an environment, by the public API and a secret key. Answers are printed as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollgate.domain.environments import Environment
from tollgate.domain.webhooks import PayloadDialect
from tollgate.exact_json import dumps
from tollgate_cli.catalog.commands import connected

app = typer.Typer(no_args_is_help=True, help="Addresses that are told of events over HTTP.", rich_markup_mode=None)

Env = Annotated[Environment | None, typer.Option(help="The environment whose webhooks are meant.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="A type to be told of; may be repeated.")]


@app.command("create")
def create(
    id: str,
    url: str,
    event: Events = None,
    dialect: PayloadDialect = PayloadDialect.AUTUMN,
    description: str | None = None,
    env: Env = None,
) -> None:
    """Make a webhook and print its secret, once."""
    _call(env, "create", id=id, url=url, events=event or None, dialect=dialect.value, description=description)


@app.command("list")
def list_webhooks(env: Env = None) -> None:
    """List the environment's webhooks."""
    _call(env, "list")


@app.command("update")
def update(
    id: str,
    url: str | None = None,
    event: Events = None,
    description: str | None = None,
    disabled: Annotated[bool | None, typer.Option("--off/--on", help="Whether it is told of nothing.")] = None,
    env: Env = None,
) -> None:
    """Change what is named; --on has a paused one go on."""
    more = {"url": url, "events": event or None, "description": description, "disabled": disabled}
    _call(env, "update", id=id, **more)


@app.command("delete")
def delete(id: str, env: Env = None) -> None:
    """Delete a webhook."""
    _call(env, "delete", id=id)


@app.command("rotate")
def rotate_secret(id: str, env: Env = None) -> None:
    """Print a new secret, once; the old one signs for a day."""
    _call(env, "rotate_secret", id=id)


@app.command("test")
def send_test(id: str, env: Env = None) -> None:
    """Send a message that tells of nothing."""
    _call(env, "test", id=id)


@app.command("deliveries")
def deliveries(id: str, before: str | None = None, env: Env = None) -> None:
    """List the newest deliveries, each with every try."""
    _call(env, "deliveries", id=id, before=before)


@app.command("resend")
def resend(id: str, delivery_id: str, env: Env = None) -> None:
    """Have a delivery tried once more."""
    _call(env, "resend", id=id, delivery_id=delivery_id)


def _call(env: Environment | None, verb: str, **body: Any) -> None:
    given = {name: value for name, value in body.items() if value is not None}
    writes = verb not in ("list", "deliveries")
    typer.echo(dumps(connected(env, writes=writes).api.exact(f"webhooks.{verb}", given)))
