"""The operator's command line: `tollgate --help`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from tollgate.domain.environments import Environment
from tollgate_cli import (
    agents,
    dead,
    deploy,
    ends,
    moving,
    output,
    pages,
    profiles,
    servers,
    shadow,
    shells,
    stack,
)
from tollgate_cli import demo as demonstration
from tollgate_cli.api import Api
from tollgate_cli.catalog import commands as catalog
from tollgate_cli.importing import commands as importing
from tollgate_cli.nouns import audit, customers, events, keys, sold, usage, webhooks
from tollgate_cli.nouns import profiles as profile_commands
from tollgate_cli.options import AsJson, AsLines
from tollgate_cli.output import add, table

SECTIONS = {
    "Customers and what they use": ("customers", "check", "track", "balances", "events"),
    "What is sold": ("plans", "features", "catalog"),
    "API keys, profiles, webhooks, audit log": ("keys", "profiles", "webhooks", "audit"),
    "For agents": ("mcp",),
    "Local stack": ("stack", "demo"),
    "A stack in AWS": ("deploy", "dead-letters"),
    "Moving in": ("import", "shadow"),
    "Moving out, and back": ("export", "restore"),
    "Working on Tollgate, and shells": ("openapi", "tools", "completion"),
}
NOTES = """\
They work on the local stack. For one in AWS, name a profile
(`tollgate profiles add`) with --profile or TOLLGATE_PROFILE, or set:
  TOLLGATE_URL          the API's address, and
                        TOLLGATE_SECRET_KEY or TOLLGATE_LIVE_SECRET_KEY
  TOLLGATE_TABLE        the output TableName, for `import`, `export`,
                        `restore`, and `keys` while there is no first one
  TOLLGATE_STACK        the stack's name, for `dead-letters` and settings

Exit codes: 0 done, 1 failed, 2 wrong input, 3 a check says no,
or `import` and `shadow` find a difference.
To write to live, a command must say --env live.

Examples:
  $ tollgate stack up
  $ tollgate check customer-1 messages --amount 2000
  $ tollgate customers list --json | jq .id
  $ tollgate events tail --customer customer-1

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
    add_completion=True,
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
for name, group in {
    "customers": customers.app,
    "balances": usage.app,
    "events": events.app,
    "plans": sold.plans_app,
    "features": sold.features_app,
    "keys": keys.app,
    "profiles": profile_commands.app,
}.items():
    app.add_typer(group, name=name)
app.command("check")(usage.check)
app.command("track")(usage.track)
app.command("audit")(audit.audit)
app.command("import")(importing.import_customers)
app.command("shadow")(shadow.shadow)
app.command("completion")(shells.completion)
app.command("mcp")(agents.mcp)
dead_app = _group("dead-letters", "What was given up on, in the stack TOLLGATE_STACK or the local one.")
tools_app = _group("tools", "What is made or fetched for work on Tollgate.")

console = Console()

Port = Annotated[int, typer.Option(help="The emulator's port on 127.0.0.1.")]
Env = Annotated[Environment, typer.Option(help="The environment that is meant.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollgate {version('tollgate')}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", metavar="NAME", autocompletion=profiles.names, help="The profile.")
    ] = None,
    _: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version)] = False,
) -> None:
    """Nothing by itself: what follows says what is done."""
    if profile is not None:
        before = {name: text for name, text in os.environ.items() if name == profiles.VARIABLE}
        os.environ[profiles.VARIABLE] = profile
        context.call_on_close(lambda: (os.environ.pop(profiles.VARIABLE, None), os.environ.update(before)))


@stack_app.command("build")
def stack_build() -> None:
    """Build functions and layer, where they changed."""
    with output.errors.status("Building"):
        deploy.build()


@stack_app.command("run")
def stack_run(port: Port = 4566) -> None:
    """Build, start, deploy and fill it; stay until Ctrl-C."""
    with output.errors.status("Building and deploying the stack"):
        running, server = stack.start(port, detached=False)
    _greet(running)
    console.print("Ctrl-C stops it; its state stays in .local/" if server else "It was running already and goes on.")
    if server:
        stack.stay(server)


@stack_app.command("up")
def stack_up(port: Port = 4566, as_json: AsJson = False) -> None:
    """The same, in the background."""
    with output.errors.status("Building and deploying the stack"):
        running, _ = stack.start(port, detached=True)
    if as_json:
        output.document(_where(running))
    else:
        _greet(running)


@stack_app.command("down")
def stack_down(as_json: AsJson = False) -> None:
    """Stop what `stack up` left running; state stays."""
    stopped = stack.stop()
    if as_json:
        output.document({"stopped": stopped})
    else:
        console.print("Stopped." if stopped else "Nothing was running.")


@stack_app.command("status")
def stack_status(as_json: AsJson = False) -> None:
    """Say where the local stack is; exit 1 where none runs."""
    running = stack.current()
    told = _where(running)
    if as_json:
        output.document(told)
        return
    shown = table("what", "where")
    for name in ("url", "console", "docs", "endpoint"):
        add(shown, name, told[name])
    for name, value in sorted(running.outputs.items()):
        add(shown, name, value)
    console.print(shown)


@stack_app.command("settings")
def stack_settings(as_json: AsLines = False) -> None:
    """List its parameters, of TOLLGATE_STACK or the local one."""
    found = stack.settings()
    if as_json:
        output.lines({"parameter": name, "value": value, "says": says} for name, value, says in found)
        return
    shown = table("parameter", "value", "says")
    for each in found:
        add(shown, *each)
    console.print(shown)


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
    as_json: AsJson = False,
) -> None:
    """Replay real LLM traffic, and prove that each is counted.

    Each row of the trace is one check-and-track call. Afterwards three numbers must be equal, or the exit code is 1:
    granted - remaining, the tokens that were allowed, and the tokens in the events on the bus.
    """
    running = stack.current()
    tokens = demonstration.read_trace(trace, limit)
    api = Api(running.url, running.secret_key, workers)
    bus = running.outputs["BusName"]
    shown = output.errors if as_json else console
    proof = demonstration.run(api, bus, running.client, demonstration.Load(tokens, customers, workers), shown)
    if as_json:
        output.document({**proof.sums(), "holds": proof.holds})
    raise typer.Exit(0 if proof.holds else 1)


Folder = Annotated[Path, typer.Argument(help="The folder of the export.")]


@app.command("export")
def export(
    folder: Folder,
    as_json: AsJson = False,
    env: Env = Environment.SANDBOX,
    with_secrets: Annotated[bool, typer.Option("--with-secrets", help="The secrets of webhooks, too.")] = False,
) -> None:
    """Write everything of an environment to a folder."""
    source = stack.environment_table()
    with output.bar("Exporting") as progress:
        task = progress.add_task("items", total=None)
        manifest = moving.export(
            source, env, folder, lambda done: progress.update(task, completed=done), with_secrets=with_secrets
        )
    if as_json:
        kinds = dict(manifest.kinds.most_common())
        output.document({"env": env.value, "items": manifest.items, "kinds": kinds, "file": str(folder / moving.ITEMS)})
        return
    shown = table("items", "of kind", right=("items",))
    for kind, number in manifest.kinds.most_common():
        add(shown, number, kind)
    console.print(shown)
    console.print(f"{manifest.items} items of {env.value} are in {folder}/{moving.ITEMS}", soft_wrap=True, markup=False)
    if manifest.kinds["webhook"] and not with_secrets:
        console.print("Webhooks are there without the secrets that sign; --with-secrets takes them along.")


@app.command("restore")
def restore(
    folder: Folder,
    env: Env = Environment.SANDBOX,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a restore that was interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an export into an environment that is empty."""
    target = stack.environment_table()
    with output.bar("Restoring") as progress:
        task = progress.add_task("items", total=moving.expected(folder))
        manifest = moving.restore(
            target, env, folder, resume=resume, told=lambda done: progress.update(task, completed=done)
        )
    if as_json:
        output.document({"env": env.value, "items": manifest.items})
        return
    console.print(f"{manifest.items} items are in {env.value}.")
    if manifest.kinds["webhook"]:
        console.print("Webhooks are off: `tollgate webhooks update ID --on` has one go on.")
        console.print("Where the export has no secret of one, `tollgate webhooks rotate ID` shows its new one.")


@dead_app.command("list")
def dead_list(as_json: AsLines = False) -> None:
    """List them with their reasons; all stay."""
    shown = table("sent", "kind", "reason", "what")
    for letter in dead.of_environment(stack.current).all():
        sent = datetime.fromtimestamp(letter.sent / 1000, UTC).isoformat(timespec="seconds")
        if as_json:
            output.lines([{"sent": sent, "kind": letter.kind, "reason": letter.reason, "what": letter.body}])
        else:
            add(shown, sent, letter.kind.value, letter.reason, letter.body[:300])
    if not as_json:
        console.print(shown)


@dead_app.command("redrive")
def dead_redrive(as_json: AsJson = False) -> None:
    """Send each where it came from.

    One that cannot be sent stays, and the exit code is 1. What was counted before is not counted again.
    """
    with output.errors.status("Sending"):
        done = dead.of_environment(stack.current).redrive()
    if as_json:
        failed = [{"kind": letter.kind.value, "problem": problem} for letter, problem in done.failed]
        newer = [{"kind": letter.kind.value, "reason": letter.reason} for letter in done.newer]
        output.document({"sent": len(done.sent), "failed": failed, "newer": newer})
        raise typer.Exit(1 if done.failed or done.newer else 0)
    for letter, problem in done.failed:
        console.print(f"{letter.kind.value}: {problem}", soft_wrap=True, markup=False)
    console.print(f"Sent {len(done.sent)} of {len(done.sent) + len(done.failed)} again.")
    for letter in done.newer:
        console.print(f"{letter.kind.value}: {letter.reason}", soft_wrap=True, markup=False)
    if done.newer:
        console.print(f"Came meanwhile, given up on again or new, and not sent: {len(done.newer)}.")
    raise typer.Exit(1 if done.failed or done.newer else 0)


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


@tools_app.command("pages")
def tools_pages() -> None:
    """Write what is made of the command: docs/commands.*."""
    from tollgate_cli import json_output  # its models take a second to load

    pages.COMMANDS.write_text(pages.commands_page(pages.COMMANDS.read_text(), typer.main.get_command(app), SECTIONS))
    json_output.FILE.write_text(json_output.text())
    for path in (pages.COMMANDS, json_output.FILE):
        console.print(str(path), markup=False)


def _where(running: stack.Stack) -> dict[str, Any]:
    told = {"url": running.url, "console": f"{running.url}/console", "docs": f"{running.url}/docs"}
    return {**told, "endpoint": running.endpoint, "outputs": running.outputs}


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
    """Runs the command line; whatever goes wrong is told in a line, without a traceback, and by the exit code."""
    sys.exit(ends.run(typer.main.get_command(app)))


if __name__ == "__main__":
    main()
