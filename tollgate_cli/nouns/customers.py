"""`tollgate customers`: who there is, and what each has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollgate_cli import output
from tollgate_cli.errors import told
from tollgate_cli.nouns.usage import show_balances
from tollgate_cli.options import Limit, Many, One, gathered
from tollgate_cli.output import add, cell, console, say, table, when

app = typer.Typer(no_args_is_help=True, help="Customers, and what each has.", rich_markup_mode=None)


@app.command("list")
@gathered
def list_customers(
    search: Annotated[str | None, typer.Option(help="A part of the id, name or e-mail address.")] = None,
    plan: Annotated[list[str] | None, typer.Option(help="Only those on this plan; may be repeated.")] = None,
    limit: Limit = 50,
    *,
    how: Many,
) -> None:
    """List customers, the newest first."""
    api = how.api()
    body: dict[str, Any] = {}
    if search is not None:
        body["search"] = search
    if plan:
        body["plans"] = [{"id": each} for each in plan]
    with told(api.url):
        found = output.pages(api, "customers.list", body, limit)
        if how.as_json:
            output.lines(found)
            return
        shown = table("id", "name", "email", "plans", "created")
        for each in found:
            plans = ", ".join(cell(subscription["plan_id"]) for subscription in each["subscriptions"])
            add(shown, each["id"], each["name"], each["email"], plans, when(each["created_at"])[:10])
        console.print(shown)


@app.command("get")
@gathered
def get(customer: str, how: One) -> None:
    """Show a customer: plans, balances, flags."""
    api = how.api()
    with told(api.url):
        found = api.exact("customers.get", {"customer_id": customer})
        if how.as_json:
            output.document(found)
            return
        names = [cell(found[name]) for name in ("name", "email") if found[name]]
        say(f"{found['id']}  {', '.join(names)}  in {found['env']} since {when(found['created_at'])}", "bold")
        if found["subscriptions"]:
            shown = table("plan", "version", "status", "since", "until")
            for each in found["subscriptions"]:
                add(
                    shown,
                    each["plan_id"],
                    each["plan_version"],
                    each["status"],
                    when(each["started_at"])[:10],
                    when(each["expires_at"] or each["current_period_end"])[:10],
                )
            console.print(shown)
        if found["balances"]:
            show_balances(found["balances"].values())
        if found["flags"]:
            say(f"flags: {', '.join(found['flags'])}")
        if not (found["subscriptions"] or found["balances"] or found["flags"]):
            say("It has no plan, and nothing was granted to it.")
