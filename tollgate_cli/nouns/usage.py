"""`tollgate check`, `track` and `balances`: what may be used, what was used, what is left, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from tollgate.domain.errors import InvalidInput
from tollgate.exact_json import loads
from tollgate_cli import output
from tollgate_cli.api import Api
from tollgate_cli.errors import Ends, told
from tollgate_cli.options import Limit, Many, One, gathered
from tollgate_cli.output import add, console, say, table, when

app = typer.Typer(no_args_is_help=True, help="What a customer has left, and why.", rich_markup_mode=None)


def number(text: str) -> Decimal:
    """An exact number as it was typed. Raises BadParameter for what is none."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise typer.BadParameter(f"{text} is no number")
    return value


def properties_of(texts: Iterable[str], json: str | None) -> dict[str, Any] | None:
    """The properties that were typed: `NAME=TEXT` each, or one JSON object."""
    found: dict[str, Any] = {}
    if json is not None:
        try:
            found = loads(json)
        except InvalidInput as error:
            raise typer.BadParameter("a JSON object is expected", param_hint="--properties") from error
        if not isinstance(found, dict):
            raise typer.BadParameter("a JSON object is expected", param_hint="--properties")
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text}: NAME=TEXT is expected", param_hint="--property")
        found[name] = value
    return found or None


Customer = Annotated[str, typer.Argument(help="The customer's id.", show_default=False)]
Feature = Annotated[str, typer.Argument(help="The feature's id.", show_default=False)]
Amount = Annotated[Decimal, typer.Option(parser=number, metavar="NUMBER", help="Units.")]
Entity = Annotated[str | None, typer.Option(help="The entity whose it is.")]
Property = Annotated[
    list[str] | None, typer.Option("--property", metavar="NAME=TEXT", help="Of the use; may be repeated.")
]
Properties = Annotated[str | None, typer.Option(metavar="JSON", help="All of them, as a JSON object.")]


@dataclass(frozen=True)
class Use:
    """What may be used, or was."""

    amount: Amount = Decimal(1)
    entity: Entity = None
    property: Property = None
    properties: Properties = None

    def body(self, customer: str, feature: str) -> dict[str, Any]:
        """The fields that a check and a track have in common."""
        found = properties_of(self.property or (), self.properties)
        body = {"customer_id": customer, "feature_id": feature, "entity_id": self.entity, "properties": found}
        return {name: value for name, value in body.items() if value is not None}


@gathered
def check(
    customer: Customer,
    feature: Feature,
    count: Annotated[bool, typer.Option("--count", help="Count the use too, where it is allowed.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Show each step of the decision.")] = False,
    *,
    use: Use,
    how: One,
) -> None:
    """Ask whether so much may be used: exit 0, or 3 if not.

    It counts nothing, unless --count is given. A denial says why, and what would change it. With --json the answer is that
    of the API's check, and with --why it has the explanation beside it.
    """
    if count and why:
        raise typer.BadParameter("--count decides and --why explains: one of them", param_hint="--why")
    api = how.api(writes=count)
    body = use.body(customer, feature)
    with told(api.url):
        answer = api.exact("balances.check", body | {"required_balance": use.amount, "send_event": count})
        explained = api.exact("balances.explain", body | {"required_balance": use.amount}) if why else None
        if how.as_json:
            output.document(answer | ({"explanation": explained} if why else {}))
        else:
            _show_check(api, answer, body | {"required_balance": use.amount}, explained)
        raise typer.Exit(Ends.DONE if answer["allowed"] else Ends.DENIED)


def _show_check(api: Api, answer: Any, body: Any, explained: Any) -> None:
    allowed, balance = answer["allowed"], answer["balance"]
    say("allowed" if allowed else "denied", "bold green" if allowed else "bold red")
    if explained is None and not allowed:
        explained = api.exact("balances.explain", body)
        if not explained["allowed"]:
            say(explained["message"])
            _show_what_would_allow(explained)
    elif explained is not None:
        show_explanation(explained)
    if balance is not None:
        show_balances([balance])


@gathered
def track(
    customer: Customer,
    feature: Feature,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="Counted one time under this key.", metavar="KEY")
    ] = None,
    *,
    use: Use,
    how: One,
) -> None:
    """Count a use that has happened; below zero gives back."""
    given = use.body(customer, feature)
    api = how.api(writes=True)
    body = given | {"value": use.amount, "async": False} | ({"idempotency_key": key} if key is not None else {})
    with told(api.url):
        answer = api.exact("balances.track", body)
        if how.as_json:
            output.document(answer)
            return
        say(f"counted {output.cell(answer['value'])} of {feature} for {customer}")
        if answer["balance"] is not None:
            show_balances([answer["balance"]])


@app.command("list")
@gathered
def list_balances(customer: Customer, how: One) -> None:
    """List what a customer has left of each feature."""
    api = how.api()
    with told(api.url):
        found = api.exact("customers.get", {"customer_id": customer})["balances"]
        if how.as_json:
            output.document(found)
        else:
            show_balances(found.values())


@app.command("grants")
@gathered
def grants(
    customer: Customer,
    feature: Annotated[str | None, typer.Option(help="Of this feature alone.")] = None,
    entity: Entity = None,
    limit: Limit = 200,
    *,
    how: Many,
) -> None:
    """List the grants that its balances are made of."""
    api = how.api()
    body = {"customer_id": customer, "feature_id": feature, "entity_id": entity}
    with told(api.url):
        found = output.pages(api, "balances.list", {name: of for name, of in body.items() if of is not None}, limit)
        if how.as_json:
            output.lines(found)
            return
        shown = table("feature", "plan", "remaining", "used", "resets", "expires", "id", right=("remaining", "used"))
        for each in found:
            left = "unlimited" if each["unlimited"] else each["remaining"]
            resets = when((each["reset"] or {}).get("resets_at"))[:10]
            add(
                shown,
                each["feature_id"],
                each["plan_id"] or "by hand",
                left,
                each["usage"],
                resets,
                when(each["expires_at"])[:10],
                each["id"],
            )
        console.print(shown)


@app.command("explain")
@gathered
def explain(
    customer: Customer,
    feature: Feature,
    use: Use,
    how: One,
) -> None:
    """Show why a check is answered so, and what would help."""
    api = how.api()
    body = use.body(customer, feature)
    with told(api.url):
        answer = api.exact("balances.explain", body | {"required_balance": use.amount})
        if how.as_json:
            output.document(answer)
            return
        allowed = answer["allowed"]
        say("allowed" if allowed else "denied", "bold green" if allowed else "bold red")
        show_explanation(answer)


def show_explanation(answer: Any) -> None:
    """Prints an explanation, step by step."""
    say(answer["message"])
    shown = table("step", "feature", "outcome", "why")
    for step in answer["steps"]:
        add(shown, step["rule"], step["feature_id"], str(step["outcome"]).replace("_", " "), step["message"])
    console.print(shown)
    _show_what_would_allow(answer)


def _show_what_would_allow(answer: Any) -> None:
    would = answer["would_allow"]
    if not would:
        return
    for change in would["changes"]:
        say(f"It would be allowed: {change['message']}")
    if would["required_balance"] is not None:
        say(f"So much is allowed now: {output.cell(would['required_balance'])}")
    if would["at"] is not None:
        say(f"It is allowed from {when(would['at'])} UTC on.")


def show_balances(balances: Iterable[Any]) -> None:
    """Prints balances as a table."""
    shown = table("feature", "remaining", "used", "granted", "held", "resets", right=_NUMBERS)
    for each in balances:
        left = "unlimited" if each["unlimited"] else each["remaining"]
        granted = "" if each["unlimited"] else each["granted"]
        held = each["reserved"] or ""
        add(shown, each["feature_id"], left, each["usage"], granted, held, when(each["next_reset_at"]))
    console.print(shown)


_NUMBERS = ("remaining", "used", "granted", "held")
