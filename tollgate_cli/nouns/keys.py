"""`tollgate keys`: API keys, by the API; the first one of a stack, which no API call can make, straight on its table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer
from rich.text import Text

from tollgate.dialects.autumn.keys import key_json, listed_json
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate.runtime import clock
from tollgate.usecases.api_keys import ApiKeys
from tollgate.usecases.audit import Author, acting
from tollgate_cli import output, stack
from tollgate_cli.errors import told, wrong
from tollgate_cli.options import Many, One, gathered
from tollgate_cli.output import add, console, table, when

app = typer.Typer(
    no_args_is_help=True,
    help="API keys. With TOLLGATE_TABLE set, straight on that table: so a stack's first key is made.",
    rich_markup_mode=None,
)


@app.command("create")
@gathered
def create(
    scope: Annotated[Scope, typer.Option(help="A publishable key may read checks alone.")] = Scope.SECRET,
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    *,
    how: One,
) -> None:
    """Create a key and print it, which is done only once."""
    made: Mapping[str, Any]
    if _on_the_table(how.profile):
        with _acting("create"):
            key, text = _keys().create(how.env or Environment.SANDBOX, scope, name, clock())
        made = key_json(key) | {"key": text}
    else:
        api = how.api(writes=True)
        with told(api.url):
            made = api.exact("keys.create", {"scope": scope.value} | ({"name": name} if name else {}))
    if how.as_json:
        output.document(made)
        return
    with told("the answer"):
        console.print(Text(f"{made['id']}  {made['env']}  {made['scope']}"))
        typer.echo(made["key"])


@app.command("list")
@gathered
def list_keys(how: Many) -> None:
    """List the environment's keys, oldest first."""
    if _on_the_table(how.profile):
        found = listed_json(_keys(), how.env or Environment.SANDBOX)
        url = "the table"
    else:
        api = how.api()
        url = api.url
        with told(url):
            found = api.exact("keys.list", {})["list"]
    if how.as_json:
        output.lines(found)
        return
    with told(url):
        shown = table("id", "scope", "name", "key", "created", "used", "expires")
        for key in found:
            days = (when(key[name])[:10] for name in ("created_at", "last_used_at", "expires_at"))
            add(shown, key["id"], key["scope"], key["name"], key["hint"], *days)
        console.print(shown)


@app.command("revoke")
@gathered
def revoke(key_id: str, how: One) -> None:
    """Revoke a key for good.

    API Gateway may remember it for a minute.
    """
    if _on_the_table(how.profile):
        try:
            with _acting("revoke"):
                _keys().revoke(how.env or Environment.SANDBOX, key_id)
        except TollgateError as error:
            raise wrong(str(error)) from error
    else:
        api = how.api(writes=True)
        with told(api.url):
            api.exact("keys.revoke", {"key_id": key_id})
    if how.as_json:
        output.document({"id": key_id, "revoked": True})
    else:
        output.say(f"Revoked {key_id}.")


def _on_the_table(profile: str | None) -> bool:
    if "TOLLGATE_TABLE" not in os.environ:
        return False
    if profile is not None:
        raise wrong("TOLLGATE_TABLE names a table, --profile a stack's API: one of them")
    return True


def _acting(verb: str) -> AbstractContextManager[None]:
    return acting(Author("", f"tollgate keys {verb}", clock()))


def _keys() -> ApiKeys:
    return stack.api_keys(stack.environment_table())
