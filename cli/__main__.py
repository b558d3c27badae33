"""The operator's command line: `python -m cli --help`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli import dead, deploy, schemas, servers, stack
from cli import demo as demonstration
from cli.api import Api, apply_catalog
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate.domain.errors import TollgateError
from tollgate.runtime import clock

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
stack_app = typer.Typer(no_args_is_help=True, help="The local stack.")
keys_app = typer.Typer(
    no_args_is_help=True, help="API keys, straight on the table (TOLLGATE_TABLE, or the local stack)."
)
catalog_app = typer.Typer(no_args_is_help=True, help="Features and plans, through the API.")
dead_app = typer.Typer(
    no_args_is_help=True, help="What was given up on (TOLLGATE_STACK names the stack, or the local one is asked)."
)
events_app = typer.Typer(no_args_is_help=True, help="Tollgate's events on the bus.")
tools_app = typer.Typer(no_args_is_help=True, help="What the tests need beside Python packages.")
app.add_typer(stack_app, name="stack")
app.add_typer(keys_app, name="keys")
app.add_typer(catalog_app, name="catalog")
app.add_typer(dead_app, name="dead-letters")
app.add_typer(events_app, name="events")
app.add_typer(tools_app, name="tools")

console = Console()

Port = Annotated[int, typer.Option(help="The emulator's port on 127.0.0.1.")]
Env = Annotated[Environment, typer.Option(help="Which world.")]


@stack_app.command("build")
def stack_build() -> None:
    """Only build functions and layer, where they changed."""
    with console.status("Building"):
        deploy.build()


@stack_app.command("run")
def stack_run(port: Port = 4566) -> None:
    """Build, start, deploy, fill; stay until Ctrl-C."""
    with console.status("Building and deploying the stack"):
        running, server = stack.start(port, detached=False)
    _greet(running)
    console.print("Ctrl-C stops it; its state stays in .local/" if server else "It was running already and goes on.")
    if server:
        stack.stay(server)


@stack_app.command("up")
def stack_up(port: Port = 4566) -> None:
    """The same in the background."""
    with console.status("Building and deploying the stack"):
        running, _ = stack.start(port, detached=True)
    _greet(running)


@stack_app.command("down")
def stack_down() -> None:
    """Stop what `up` left running."""
    console.print("Stopped." if stack.stop() else "Nothing was running.")


@app.command("demo")
def demo(
    trace: Annotated[Path, typer.Option(help="CSV with ContextTokens and GeneratedTokens.", exists=True)] = (
        servers.ROOT / "events" / "azure_llm_2023_code_2000.csv"
    ),
    customers: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    workers: Annotated[int, typer.Option(min=1, max=32)] = 4,
    limit: Annotated[int | None, typer.Option(min=1, help="Replay only so many rows.")] = None,
) -> None:
    """Replay real LLM traffic as check-and-track calls, and prove that nothing was lost or counted twice."""
    running = stack.current()
    tokens = demonstration.read_trace(trace, limit)
    api = Api(running.url, running.secret_key, workers)
    bus = running.outputs["BusName"]
    proof = demonstration.run(api, bus, running.client, tokens, customers, workers, console)
    raise typer.Exit(0 if proof.holds else 1)


@keys_app.command("create")
def keys_create(env: Env = Environment.SANDBOX, scope: Scope = Scope.SECRET, name: str = "") -> None:
    """Create a key and print it: the only time it can be seen."""
    key, text = stack.api_keys(stack.environment_table()).create(env, scope, name, clock())
    console.print(f"{key.id}  {key.environment.value}  {key.scope.value}")
    console.print(text, soft_wrap=True)


@keys_app.command("list")
def keys_list(env: Env = Environment.SANDBOX) -> None:
    """The environment's keys, oldest first."""
    table = Table("id", "scope", "name", "key")
    for key in stack.api_keys(stack.environment_table()).list(env):
        table.add_row(key.id, key.scope.value, key.name, key.hint)
    console.print(table)


@keys_app.command("revoke")
def keys_revoke(key_id: str, env: Env = Environment.SANDBOX) -> None:
    """Revoke a key for good. API Gateway may remember it for a minute."""
    try:
        stack.api_keys(stack.environment_table()).revoke(env, key_id)
    except TollgateError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"Revoked {key_id}.")


@dead_app.command("list")
def dead_list(as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False) -> None:
    """The letters, each with its reason; all stay where they are."""
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
    """Send each letter where it came from; one that cannot be sent stays. What was counted before is not counted again."""
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
    """Write the JSON Schema of each event's detail."""
    for name in schemas.write(path):
        console.print(name)


@catalog_app.command("apply")
def catalog_apply(path: Annotated[Path, typer.Argument(exists=True)] = stack.CATALOG) -> None:
    """Create the features and plans of a JSON file that the local stack has not."""
    running = stack.current()
    created, kept = apply_catalog(Api(running.url, running.secret_key), path)
    console.print(f"{created} created, {kept} there already.")


@tools_app.command("dynamodb-local")
def tools_dynamodb_local() -> None:
    """Fetch AWS's DynamoDB Local into .local/."""
    servers.install_dynamodb_local()


def _greet(running: stack.Stack) -> None:
    console.print(f"[bold green]Tollgate is up:[/] {running.url}")
    console.print("Keys and address are in .local/env. Try it:\n")
    console.print(
        f"""curl -s {running.url}/v1/check \\
  -H "Authorization: Bearer {running.secret_key}" \\
  -d '{{"customer_id": "{stack.CUSTOMER}", "feature_id": "messages", "send_event": true}}'
""",
        soft_wrap=True,
        highlight=False,
    )


if __name__ == "__main__":
    app()
