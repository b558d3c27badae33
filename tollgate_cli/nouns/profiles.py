"""`tollgate profiles`: the stacks and environments that commands can be told to call."""

from __future__ import annotations

from typing import Annotated

import typer

from tollgate.domain.environments import Environment
from tollgate_cli import output, profiles
from tollgate_cli.errors import wrong
from tollgate_cli.options import AsJson, AsLines
from tollgate_cli.output import console, errors, say, table

app = typer.Typer(
    no_args_is_help=True, help="Stacks and environments by name, and where their keys are.", rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="The profile's name, such as sandbox or live.", show_default=False)]


@app.command("list")
def list_profiles(as_json: AsLines = False) -> None:
    """List profiles; no key is shown."""
    found = profiles.read()
    listed = [_told(name, each) for name, each in found.items()]
    if as_json:
        output.lines(listed)
        return
    shown = table("name", "environment", "address", "key")
    output.add(shown, profiles.LOCAL, "both", "the local stack's", ".local/env")
    for each in listed:
        output.add(shown, *each.values())
    console.print(shown)
    errors.print(f"They are in {profiles.path()}", soft_wrap=True, markup=False, highlight=False)


@app.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Option(help="The API's address, as the stack's output ApiUrl has it.")],
    env: Annotated[Environment, typer.Option(help="The environment of its key.")],
    key_variable: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="The variable that holds the key.")
    ] = None,
    keyring: Annotated[
        str | None, typer.Option(metavar="SERVICE/USER", help="The system keyring's entry that holds it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a profile, or change it. Its key stays where it is."""
    if name == profiles.LOCAL:
        raise wrong("local is the local stack")
    found = profiles.read()
    given = {"url": url.rstrip("/"), "environment": env, "key_variable": key_variable, "keyring": keyring}
    added = profiles.entry(given)
    profiles.write(found | {name: added})
    if as_json:
        output.document(_told(name, added))
    else:
        say(f"{name} is in {profiles.path()}")


@app.command("remove")
def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove a profile; its key stays where it is."""
    found = profiles.read()
    if name not in found:
        raise wrong(f"no profile {name}")
    del found[name]
    profiles.write(found)
    if as_json:
        output.document({"name": name, "removed": True})
    else:
        say(f"Removed {name}.")


@app.command("login")
def login(name: Name) -> None:
    """Ask for a profile's key and put it into the keyring."""
    try:
        key = typer.prompt("Key", hide_input=True, err=True)
    except typer.Abort as error:
        raise wrong("no key was typed") from error
    profiles.store_key(name, key.strip())
    say(f"The key of {name} is in the keyring.")


def _told(name: str, profile: profiles.Entry) -> dict[str, str]:
    return {"name": name, "environment": profile.environment.value, "url": profile.url, "key": profile.key_is_in}
