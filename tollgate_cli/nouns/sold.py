"""`tollgate plans` and `tollgate features`: what is sold."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollgate_cli import output
from tollgate_cli.errors import told
from tollgate_cli.options import Many, One, gathered
from tollgate_cli.output import add, cell, console, say, table

plans_app = typer.Typer(no_args_is_help=True, help="Plans, and what each grants.", rich_markup_mode=None)
features_app = typer.Typer(no_args_is_help=True, help="Features: what is granted and used.", rich_markup_mode=None)

Archived = Annotated[bool, typer.Option("--archived", help="Archived ones too.")]


@plans_app.command("list")
@gathered
def list_plans(archived: Archived = False, *, how: Many) -> None:
    """List plans."""
    api = how.api()
    with told(api.url):
        found = api.exact("plans.list", {"include_archived": archived})["list"]
        if how.as_json:
            output.lines(found)
            return
        shown = table("id", "version", "group", "price", "grants")
        for plan in found:
            grants = ", ".join(_text(item) for item in plan["items"])
            version = f"{plan['version']}{' archived' if plan['archived'] else ''}"
            add(shown, plan["id"], version, "add-on" if plan["add_on"] else plan["group"], _price(plan), grants)
        console.print(shown)


@plans_app.command("get")
@gathered
def get_plan(
    plan: str,
    version: Annotated[int | None, typer.Option(min=1, help="This version; the newest unless told.")] = None,
    *,
    how: One,
) -> None:
    """Show a plan, item by item."""
    api = how.api()
    with told(api.url):
        found = api.exact("plans.get", {"plan_id": plan} | ({"version": version} if version else {}))
        if how.as_json:
            output.document(found)
            return
        kind = "add-on" if found["add_on"] else f"group {found['group']}" if found["group"] else "plan"
        automatic = ", every new customer gets it" if found["auto_enable"] else ""
        say(f"{found['id']}  {found['name']}, {kind}, version {found['version']}{automatic}", "bold")
        shown = table("feature", "included", "resets", "then", right=("included",))
        for item in found["items"]:
            included = "unlimited" if item["unlimited"] else item["included"]
            reset = (item["reset"] or {}).get("interval", "")
            add(shown, item["feature_id"], included, reset, (item.get("display") or {}).get("secondary_text"))
        console.print(shown)


@features_app.command("list")
@gathered
def list_features(archived: Archived = False, *, how: Many) -> None:
    """List features."""
    api = how.api()
    with told(api.url):
        found = api.exact("features.list", {"include_archived": archived})["list"]
        if how.as_json:
            output.lines(found)
            return
        shown = table("id", "name", "type", "events", "pays for")
        for feature in found:
            costs = ", ".join(
                f"{cell(each['metered_feature_id'])} at {cell(each['credit_cost'])}{_lot(each)}"
                for each in feature.get("credit_schema") or ()
            )
            add(shown, feature["id"], feature["name"], _type(feature), ", ".join(feature["event_names"] or ()), costs)
        console.print(shown)


@features_app.command("get")
@gathered
def get_feature(feature: str, how: One) -> None:
    """Show a feature."""
    api = how.api()
    with told(api.url):
        found = api.exact("features.get", {"feature_id": feature})
        if how.as_json:
            output.document(found)
            return
        say(f"{found['id']}  {found['name']}, {_type(found)}{', archived' if found['archived'] else ''}", "bold")
        if found["event_names"]:
            say(f"counted by the events {', '.join(found['event_names'])}")
        for each in found.get("credit_schema") or ():
            say(f"pays for {each['metered_feature_id']}, {cell(each['credit_cost'])}{_lot(each) or ' for a unit'}")


def _lot(entry: dict[str, Any]) -> str:
    return f" for {cell(entry['billing_units'])} units" if "billing_units" in entry else ""


def _type(feature: dict[str, Any]) -> str:
    kind = str(feature["type"]).replace("_", " ")
    return kind if kind != "metered" else "consumable" if feature["consumable"] else "allocated"


def _text(item: dict[str, Any]) -> str:
    display = item.get("display") or {}
    return cell(display.get("primary_text") or item["feature_id"])


def _price(plan: dict[str, Any]) -> str:
    price = plan["price"]
    if not price:
        return ""
    display = price.get("display") or {}
    return f"{cell(display.get('primary_text'))} {cell(display.get('secondary_text'))}".strip()
