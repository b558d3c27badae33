"""The console's overview, its events, and its reference of the API."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import Shop, monthly, new
from tollgate_cli.stack import Stack


def test_events_are_filtered_and_followed_live(both: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(50))
    shop.track(id, 3, properties={"region": "eu"})
    page = both.open(f"events?customer={id}", "Events")
    table = page.get_by_role("table", name="Events")
    page.get_by_role("button", name="Live: off").click()
    expect(table).to_contain_text('{"region":"eu"}')
    shop.track(id, 17)
    expect(table).to_contain_text("17")
    both.check()


def test_the_overview_adds_up_what_was_used(phone: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(50, "storage"))
    shop.track(id, 5, "storage")
    page = phone.open(f"events?customer={id}", "Events")
    page.get_by_role("button", name="Live: off").click()
    expect(page.get_by_role("table", name="Events")).to_contain_text("storage")  # the history has it now
    page = phone.open("", "Overview")
    units = page.get_by_role("region", name="Units of each feature")
    expect(units.get_by_role("figure").filter(has_text="Storage")).to_contain_text("in")
    expect(page.locator("canvas").first).to_be_visible()
    phone.check()


def test_the_overview_tells_of_denials_limits_that_are_near_and_alerts(both: Tab, shop: Shop) -> None:
    id = new("0")  # the first of those that other tests have brought to their limits, too
    shop.api.call("customers.get_or_create", {"customer_id": id})
    shop.attach(id, monthly(50))
    shop.track(id, 50)
    assert not shop.may(id, 1)
    page = both.open("", "Overview")
    page.get_by_role("button", name="Live: off").click()
    expect(page.get_by_role("table", name="Denials")).to_contain_text("balance exhausted")
    near = page.get_by_role("table", name="Near a limit").get_by_role("row").filter(has_text=id)
    expect(near).to_contain_text("0 of 50")
    expect(page.get_by_role("table", name="Latest alerts").get_by_role("row").filter(has_text=id)).to_be_visible()
    expect(page.get_by_text("dead letter")).to_be_visible()
    page.get_by_role("button", name="Live: on").click()
    both.ready()
    both.check()
    near.get_by_role("link", name="Why").click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("Denied")


def test_the_api_page_has_every_route_with_its_example(phone: Tab) -> None:
    page = phone.open("api", "API")
    page.get_by_role("searchbox", name="Route").fill("near_limit")
    page.get_by_text("POST /v1/balances.list_near_limit").click()
    expect(page.get_by_label("POST /v1/balances.list_near_limit with curl")).to_contain_text("curl -s")
    expect(page.get_by_label("The answer to POST /v1/balances.list_near_limit")).to_contain_text("percent_used")
    phone.check()


@pytest.mark.parametrize(
    ("dialect", "route"),
    [
        ("tollgate", "POST /v1/keys.list"),  # it takes no body
        ("autumn", "POST /v1/plans.list"),
        ("flexprice", "POST /v1/plans/search"),
        ("lotus", "GET /api/plans/"),
    ],
)
def test_what_the_api_page_shows_can_be_run(phone: Tab, stack: Stack, dialect: str, route: str) -> None:
    page = phone.open("api", "API")
    page.get_by_label("Dialect").select_option(dialect)
    page.get_by_text(route, exact=True).click()
    shown = page.get_by_label(f"{route} with curl").inner_text()
    answered = subprocess.run(
        ["bash", "-c", shown],
        env=os.environ | {"TOLLGATE_SECRET_KEY": stack.secret_key, "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(answered.stdout)
    assert answer if isinstance(answer, list) else answer.get("list") or answer.get("items"), answered.stdout
