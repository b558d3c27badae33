"""The operator's command line: `tollgate --help`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate.runtime import clock
from tollgate_cli import dead, deploy, moving, schemas, servers, shadow, stack, webhooks
from tollgate_cli import demo as demonstration
from tollgate_cli.api import Api, ApiError
from tollgate_cli.catalog import commands as catalog
from tollgate_cli.catalog.changes import ChangeError
from tollgate_cli.catalog.file import FileError
from tollgate_cli.importing import commands as importing
from tollgate_cli.importing.catalog import CatalogConflict
from tollgate_cli.importing.client import SourceError
from tollgate_cli.importing.journal import JournalError
from tollgate_cli.importing.run import WrongEnvironment

SECTIONS = {
    "Local stack": ("stack", "demo"),
    "Catalog, API keys, webhooks": ("catalog", "keys", "webhooks"),
    "A stack in AWS": ("deploy",),
    "Moving in": ("import", "shadow"),
    "Moving out, and back": ("export", "restore"),
    "Dead letters: usage and events that were given up on": ("dead-letters",),
    "Working on Tollgate": ("events", "openapi", "tools"),
}
NOTES = """\
They work on the local stack. For one in AWS set:
  TOLLGATE_URL          the API's address, for `catalog`, `webhooks`, and
                        TOLLGATE_SECRET_KEY and TOLLGATE_LIVE_SECRET_KEY
  TOLLGATE_TABLE        the output TableName, for `keys`, `export`, `restore`
  TOLLGATE_STACK        the stack's name, for letters and settings

Example:
  $ tollgate stack up
  $ tollgate keys create --scope publishable --name shop

Options of a command: `tollgate COMMAND --help`. More: docs/commands.md.
"""


class Overview(TyperGroup):
    """The command line as a whole, whose help shows every command on a line of its own."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as the framework calls it
        """Writes the usage line, the commands in their sections, and the notes below them."""
        formatter.write(f"Usage: tollgate COMMAND [OPTIONS]\n\n{self.help}\n")
        for title, names in SECTIONS.items():
            lines = (f"  {words:<20}  {help}\n" for name in names for words, help in self._lines(name))
            formatter.write(f"\n{title}:\n{''.join(lines)}")
        formatter.write(f"\n{NOTES}")

    def _lines(self, name: str) -> list[tuple[str, str]]:
        command: Any = self.commands[name]
        children = getattr(command, "commands", None)
        if children is None:
            return [(name, command.get_short_help_str(80))]
        return [(f"{name} {child}", each.get_short_help_str(80)) for child, each in children.items()]


app = typer.Typer(
    cls=Overview,
    help="Tollgate's command line: runs it on this machine, and looks after it anywhere.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _group(name: str, help: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=help, rich_markup_mode=None)
    app.add_typer(group, name=name)
    return group


stack_app = _group("stack", "The local stack: the real template on an emulator of AWS.")
app.add_typer(catalog.app, name="catalog")
app.add_typer(webhooks.app, name="webhooks")
app.command("import")(importing.import_customers)
app.command("shadow")(shadow.shadow)
keys_app = _group("keys", "API keys, straight on the table: TOLLGATE_TABLE's, or the local stack's.")
dead_app = _group("dead-letters", "What was given up on, in the stack TOLLGATE_STACK or the local one.")
events_app = _group("events", "Tollgate's events on the bus.")
tools_app = _group("tools", "What the tests need beside Python packages.")

console = Console()
progress = Console(stderr=True)

Port = Annotated[int, typer.Option(help="The emulator's port on 127.0.0.1.")]
Env = Annotated[Environment, typer.Option(help="The environment whose keys are meant.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollgate {version('tollgate')}")
        raise typer.Exit


@app.callback()
def root(_: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version)] = False) -> None:
    """Nothing by itself: what follows says what is done."""


@stack_app.command("build")
def stack_build() -> None:
    """Build functions and layer, where they changed."""
    with console.status("Building"):
        deploy.build()


@stack_app.command("run")
def stack_run(port: Port = 4566) -> None:
    """Build, start, deploy and fill it; stay until Ctrl-C."""
    with console.status("Building and deploying the stack"):
        running, server = stack.start(port, detached=False)
    _greet(running)
    console.print("Ctrl-C stops it; its state stays in .local/" if server else "It was running already and goes on.")
    if server:
        stack.stay(server)


@stack_app.command("up")
def stack_up(port: Port = 4566) -> None:
    """The same, in the background."""
    with console.status("Building and deploying the stack"):
        running, _ = stack.start(port, detached=True)
    _greet(running)


@stack_app.command("down")
def stack_down() -> None:
    """Stop what `stack up` left running; state stays."""
    console.print("Stopped." if stack.stop() else "Nothing was running.")


@stack_app.command("settings")
def stack_settings() -> None:
    """List its parameters, of TOLLGATE_STACK or the local one."""
    table = Table("parameter", "value", "says")
    for name, value, says in stack.settings():
        table.add_row(name, value, says)
    console.print(table)


@app.command("deploy")
def deploy_to_account(
    arguments: Annotated[list[str] | None, typer.Argument(help="More options of `sam deploy`, after a `--`.")] = None,
    name: Annotated[str, typer.Option("--stack", help="The stack's name.")] = "tollgate",
    parameter: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; one that is not named stays.")] = None,
) -> None:
    """Build, and deploy to the account of your credentials."""
    named = [text.partition("=") for text in parameter or ()]
    if wrong := [text for text, equals, _ in named if not equals]:
        raise typer.BadParameter(f"{wrong[0]}: NAME=VALUE is expected", param_hint="--parameter")
    deploy.deploy_to_account(name, {key: value for key, _, value in named}, arguments or ())


@app.command("demo")
def demo(
    trace: Annotated[Path, typer.Option(help="CSV with ContextTokens and GeneratedTokens.", exists=True)] = (
        servers.ROOT / "events" / "azure_llm_2023_code_2000.csv"
    ),
    customers: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    workers: Annotated[int, typer.Option(min=1, max=32)] = 4,
    limit: Annotated[int | None, typer.Option(min=1, help="Replay only so many rows.")] = None,
) -> None:
    """Replay real LLM traffic, and prove that each is counted.

    Each row of the trace is one check-and-track call. Afterwards three numbers must be equal, or the exit code is 1:
    granted - remaining, the tokens that were allowed, and the tokens in the events on the bus.
    """
    running = stack.current()
    tokens = demonstration.read_trace(trace, limit)
    api = Api(running.url, running.secret_key, workers)
    bus = running.outputs["BusName"]
    proof = demonstration.run(api, bus, running.client, demonstration.Load(tokens, customers, workers), console)
    raise typer.Exit(0 if proof.holds else 1)


@keys_app.command("create")
def keys_create(env: Env = Environment.SANDBOX, scope: Scope = Scope.SECRET, name: str = "") -> None:
    """Create a key and print it, which is done only once."""
    key, text = stack.api_keys(stack.environment_table()).create(env, scope, name, clock())
    console.print(f"{key.id}  {key.environment.value}  {key.scope.value}")
    console.print(text, soft_wrap=True)


@keys_app.command("list")
def keys_list(env: Env = Environment.SANDBOX) -> None:
    """List the environment's keys, oldest first."""
    table = Table("id", "scope", "name", "key")
    for key in stack.api_keys(stack.environment_table()).list(env):
        table.add_row(key.id, key.scope.value, key.name, key.hint)
    console.print(table)


@keys_app.command("revoke")
def keys_revoke(key_id: str, env: Env = Environment.SANDBOX) -> None:
    """Revoke a key for good.

    API Gateway may remember it for a minute.
    """
    try:
        stack.api_keys(stack.environment_table()).revoke(env, key_id)
    except TollgateError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"Revoked {key_id}.")


Folder = Annotated[Path, typer.Argument(help="The folder of the export.")]


@app.command("export")
def export(folder: Folder, env: Env = Environment.SANDBOX) -> None:
    """Write everything of an environment to a folder."""
    table = stack.environment_table()
    with progress.status("Exporting") as status:
        manifest = moving.export(table, env, folder, lambda done: status.update(f"Exporting: {done} items"))
    shown = Table("items", "of kind")
    for kind, number in manifest.kinds.most_common():
        shown.add_row(str(number), kind)
    console.print(shown)
    console.print(f"{manifest.items} items of {env.value} are in {folder}/{moving.ITEMS}", soft_wrap=True, markup=False)


@app.command("restore")
def restore(
    folder: Folder,
    env: Env = Environment.SANDBOX,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a restore that was interrupted.")] = False,
) -> None:
    """Write an export into an environment that is empty."""
    table = stack.environment_table()
    with progress.status("Restoring") as status:
        items = moving.restore(table, env, folder, resume=resume, told=lambda done: status.update(f"{done} items"))
    console.print(f"{items} items are in {env.value}.")


@dead_app.command("list")
def dead_list(as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False) -> None:
    """List them with their reasons; all stay."""
    table = Table("sent", "kind", "reason", "what")
    for letter in dead.of_environment(stack.current).all():
        sent = datetime.fromtimestamp(letter.sent / 1000, UTC).isoformat(timespec="seconds")
        if as_json:
            typer.echo(json.dumps({"sent": sent, "kind": letter.kind, "reason": letter.reason, "what": letter.body}))
        else:
            table.add_row(sent, letter.kind.value, letter.reason, letter.body[:300])
    if not as_json:
        console.print(table)


@dead_app.command("redrive")
def dead_redrive() -> None:
    """Send each where it came from.

    One that cannot be sent stays, and the exit code is 1. What was counted before is not counted again.
    """
    done = dead.of_environment(stack.current).redrive()
    for letter, problem in done.failed:
        console.print(f"{letter.kind.value}: {problem}", soft_wrap=True, markup=False)
    console.print(f"Sent {len(done.sent)} of {len(done.sent) + len(done.failed)} again.")
    for letter in done.newer:
        console.print(f"{letter.kind.value}: {letter.reason}", soft_wrap=True, markup=False)
    if done.newer:
        console.print(f"Came meanwhile, given up on again or new, and not sent: {len(done.newer)}.")
    raise typer.Exit(1 if done.failed or done.newer else 0)


@events_app.command("schemas")
def events_schemas(path: Path = schemas.FOLDER) -> None:
    """Write the JSON Schema of each event to docs/events/."""
    for name in schemas.write(path):
        console.print(name)


@app.command("openapi")
def openapi_documents(path: Annotated[Path | None, typer.Argument()] = None) -> None:
    """Write the OpenAPI documents to docs/openapi/."""
    from tollgate_cli import openapi  # its models take a second to load

    for name in openapi.write(path or openapi.FOLDER):
        console.print(name)


@tools_app.command("dynamodb-local")
def tools_dynamodb_local() -> None:
    """Fetch AWS's DynamoDB Local into .local/."""
    servers.install_dynamodb_local()


def _greet(running: stack.Stack) -> None:
    console.print(f"[bold green]Tollgate is up:[/] {running.url}")
    console.print(f"[bold green]Its console:[/]    {running.url}/console")
    console.print("It asks for a key: TOLLGATE_SECRET_KEY of .local/env, where the address is too. Or try a call:\n")
    console.print(
        f"""curl -s {running.url}/v1/check \\
  -H "Authorization: Bearer {running.secret_key}" \\
  -d '{{"customer_id": "{stack.CUSTOMER}", "feature_id": "messages", "send_event": true}}'
""",
        soft_wrap=True,
        highlight=False,
    )


def main() -> None:
    """Runs the command line; what went wrong outside of it is told in a line, without a traceback."""
    try:
        app(prog_name="tollgate")
    except FileError as error:
        sys.exit(str(error))  # each line begins with the file's name and place, as editors and CI read it
    except (
        ApiError,
        CatalogConflict,
        ChangeError,
        JournalError,
        SourceError,
        WrongEnvironment,
        moving.MovingError,
        TollgateError,
        ConnectionError,
        deploy.SamError,
        servers.ServerError,
        BotoCoreError,
        ClientError,
    ) as error:
        sys.exit(f"tollgate: {error}")


if __name__ == "__main__":
    main()
