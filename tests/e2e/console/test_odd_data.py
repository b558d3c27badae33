"""The console with data that nobody expects: names, ids and amounts that are allowed, an API that is slow or refuses."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from playwright.sync_api import Route, expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import Shop, consumable, monthly, new, unlimited
from tollgate_cli.stack import Stack

MANY_GRANTS = 12
LONG = "Extraordinarily long name " * 30
ARABIC = "شركة الاختبار (المحدودة) 12 👩‍👩‍👧‍👦"
MARKUP = "<b>bold</b> & <img src=x onerror=alert(1)>"


def test_any_name_and_id_is_shown_and_followed(phone: Tab, shop: Shop) -> None:
    """Long, from right to left, emoji, markup, none; ids with what an address means something by."""
    word = new("odd")
    ids = [f"{word}{odd}" for odd in ("/a/../b?x=1&y=2", "%2F%+~:@!$*()", "\"'`<i>;{}", "\\.")]
    names = [LONG, ARABIC, MARKUP, " "]
    for id, name in zip(ids, names, strict=True):
        shop.api.call("customers.get_or_create", {"customer_id": id, "name": name})
        shop.api.call("balances.create", {"customer_id": id, "feature_id": "messages", "included_grant": 5})
    page = phone.open(f"customers?search={word}", "Customers")
    expect(page.get_by_role("link", name=word)).to_have_count(len(ids))
    phone.check()
    for id, name in zip(ids, names, strict=True):
        page.get_by_role("link", name=id, exact=True).click()
        title = (name or "").strip() or id
        expect(page.get_by_role("heading", level=1)).to_have_text(re.sub(r"\s+", " ", title), use_inner_text=False)
        phone.ready()
        expect(page.get_by_role("region", name="Balances")).to_contain_text("5 of 5 left")
        if name in (LONG, ARABIC):
            phone.check()
        page.get_by_role("link", name="Try it: Messages").click()
        expect(page.get_by_label("Customer")).to_have_value(id)
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.get_by_role("region", name="Answer")).to_contain_text("Allowed")
        page.go_back()
        page.go_back()
        expect(page.get_by_role("heading", level=1, name="Customers")).to_be_visible()
    page = phone.open("customers/100%", "100%")  # typed by hand, without its escape
    expect(page.get_by_role("alert")).to_contain_text("100% not found")


def test_any_amount_is_shown_with_all_its_digits(phone: Tab, shop: Shop) -> None:
    """Zero, more than was granted, unlimited, huge, tiny; and many grants of one feature."""
    id = shop.customer(unlimited("words"), consumable(2, "storage"))
    for feature, granted in (("messages", "123456789012345.0123456789"), ("action2", "0.0000000001"), ("exports", "0")):
        body = f'{{"customer_id": "{id}", "feature_id": "{feature}", "included_grant": {granted}}}'
        assert shop.raw("balances.create", body).is_success
    assert shop.raw(
        "balances.track", f'{{"customer_id": "{id}", "feature_id": "messages", "value": 0.0000000001, "async": false}}'
    ).is_success
    shop.track(id, 5, "storage")
    shop.track(id, 4, "words")
    for _ in range(MANY_GRANTS):
        shop.api.call("balances.create", {"customer_id": id, "feature_id": "action1", "included_grant": 0.1})
    page = phone.open(f"customers/{id}", id)
    balances = page.get_by_role("region", name="Balances")
    for told in (
        "123,456,789,012,345.0123456788 of 123,456,789,012,345.0123456789 left",
        "0.0000000001 of 0.0000000001 left",
        "0 of 0 left",
        "0 of 2 left",
        "3 over",
        "Unlimited",
        "1.2 of 1.2 left",
        f"{MANY_GRANTS} grants",
    ):
        expect(balances).to_contain_text(told)
    expect(balances.get_by_role("img", name="Storage: 2 used, 3 over")).to_be_visible()
    balances.get_by_text(f"{MANY_GRANTS} grants").click()
    expect(balances.get_by_role("img", name="Action1, set by hand: 0.1 left")).to_have_count(MANY_GRANTS)
    phone.check()
    page = phone.open(f"why?customer={id}&feature=action2&amount=0.0000000002&go=1", "Why")
    expect(page.get_by_role("region", name="Step by step")).to_contain_text("0.0000000001 remain")
    phone.check()


def test_a_plans_amounts_keep_their_digits_when_it_is_changed(phone: Tab, shop: Shop) -> None:
    plan, included = new("plan"), "987654321098765.0123456789"
    item = f'{{"feature_id": "messages", "included": {included}, "reset": {{"interval": "month"}}}}'
    assert shop.raw(
        "plans.create", f'{{"plan_id": "{plan}", "name": "{plan}", "group": "{plan}", "items": [{item}]}}'
    ).is_success
    page = phone.open("plans", "Plans")
    page.get_by_role("button", name=f"Edit {plan}").click()
    form = page.get_by_role("region", name=f"Change {plan}")
    expect(form.get_by_label("Included")).to_have_value(included)
    form.get_by_label("Name").fill(ARABIC)
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("status").last).to_contain_text("was changed")
    changed = shop.raw("plans.get", {"plan_id": plan}).text
    assert f'"included":{included}' in changed
    assert json.loads(changed)["name"] == ARABIC


def test_an_api_that_is_slow_or_refuses_is_told(phone: Tab, shop: Shop) -> None:
    """It says that it waits; a refusal that is not the API's own is told by its status; nothing is sent twice."""
    id = shop.customer(monthly(10))
    page = phone.open("keys", "Keys")
    waiting: list[Route] = []
    page.route("**/v1/customers.get", lambda route: waiting.append(route))
    page.get_by_role("link", name="Customers", exact=True).click()
    page.goto(page.url.split("#")[0] + f"#/customers/{quote(id)}")
    expect(page.get_by_text("Reading …")).to_be_visible()
    phone.until(lambda: len(waiting) == 1)
    waiting[0].fulfill(status=502, content_type="text/html", body="<html>Bad gateway</html>")
    expect(page.get_by_role("alert")).to_contain_text("The API answered 502")
    page.unroute("**/v1/customers.get")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Balances")).to_contain_text("10 of 10 left")
    page.route("**/v1/balances.create", lambda route: waiting.append(route))
    page.get_by_text("Grant units by hand").click()
    page.get_by_label("Feature", exact=True).select_option("messages")
    page.get_by_label("Units").fill("1")
    page.get_by_role("button", name="Grant", exact=True).click()
    expect(page.get_by_text("Working …")).to_be_visible()
    expect(page.get_by_role("button", name="Grant", exact=True)).to_be_disabled()
    phone.until(lambda: len(waiting) == 2)
    waiting[1].fulfill(status=429, json={"message": "Too many calls.", "code": "rate_limited", "env": "sandbox"})
    expect(page.get_by_role("alert")).to_contain_text("Too many calls.")
    expect(page.get_by_role("alert")).to_contain_text("429 rate_limited")
    phone.check()
    assert len(waiting) == 2


def test_a_key_that_has_ended_asks_for_another_and_goes_on_there(phone: Tab, shop: Shop, stack: Stack) -> None:
    id = shop.customer(monthly(10))
    page = phone.open("keys", "Keys")
    page.evaluate("sessionStorage.setItem('tollgate-key', 'am_sk_test_gone')")
    page.goto(page.url.split("#")[0] + f"#/customers/{id}")
    expect(page.get_by_role("alert")).to_contain_text("not accepted any more")
    assert page.evaluate("sessionStorage.length") == 0
    phone.check()
    page.get_by_label("Secret key").fill(stack.secret_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1, name=id)).to_be_visible()


def test_events_are_filtered_by_all_that_they_have(phone: Tab, shop: Shop) -> None:
    """By customer, feature, entity and property."""
    id = shop.customer(monthly(100), monthly(100, "words"), entities=1)
    shop.track(id, 21, properties={"region": "eu & us"})
    shop.track(id, 22, "words")
    shop.track(id, 23, entity_id="e1")
    page = phone.open(f"events?customer={id}", "Events")
    table = page.get_by_role("table", name="Events")
    page.get_by_role("button", name="Live: off").click()
    for value in (21, 22, 23):
        expect(table).to_contain_text(f"{value}")
    page.get_by_role("button", name="Live: on").click()
    for label, text, left in (("Feature", "words", 22), ("Entity", "e1", 23), ("Property", "region", 21)):
        for other in ("Feature", "Entity", "Property", "Its value"):
            page.get_by_label(other, exact=True).fill("")
        page.get_by_label(label, exact=True).fill(text)
        if label == "Property":
            page.get_by_label("Its value").fill("eu & us")
        page.get_by_role("button", name="Filter").click()
        expect(table.get_by_role("row")).to_have_count(2)  # with the head
        expect(table).to_contain_text(f"{left}")
    phone.check()
