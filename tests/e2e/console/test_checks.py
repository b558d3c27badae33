"""Checks in the console: tried, and explained."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import Shop, monthly


def test_a_check_is_tried_and_shown_as_code(both: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(5))
    page = both.open(f"try?customer={id}", "Try it")
    page.get_by_label("Feature").fill("messages")
    page.get_by_label("Required balance").fill("2")
    page.get_by_label("Count the use in the same step").check()
    page.get_by_role("button", name="Check", exact=True).click()
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("Allowed")
    expect(answer.get_by_role("img", name="2 used, 3 left")).to_be_visible()
    assert shop.left(id) == 3
    code = page.get_by_role("region", name="The same call")
    expect(code).to_contain_text("/v1/balances.check")
    code.get_by_role("button", name="Python").click()
    expect(code).to_contain_text("required_balance=2")
    code.get_by_role("button", name="JavaScript").click()
    expect(code).to_contain_text('"requiredBalance": 2')
    both.check()


def test_an_amount_keeps_its_digits(phone: Tab, shop: Shop) -> None:
    id = shop.customer()
    amount = "123456789012345.0123456789"
    body = f'{{"customer_id": "{id}", "feature_id": "messages", "included_grant": {amount}}}'
    assert shop.raw("balances.create", body).is_success
    page = phone.open(f"try?customer={id}&feature=messages", "Try it")
    page.get_by_label("Required balance").fill("123456789012345.0123456788")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("region", name="Answer")).to_contain_text("Allowed")
    expect(page.get_by_role("region", name="Answer")).to_contain_text("123,456,789,012,345.0123456789 left")


def test_an_error_is_told_in_the_apis_words(phone: Tab) -> None:
    page = phone.open("try?customer=nobody-at-all&feature=messages", "Try it")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("nobody-at-all not found")
    expect(page.get_by_role("alert")).to_contain_text("404 customer_not_found")
    phone.check()


def test_an_allowed_check_and_one_of_credits_are_explained_too(phone: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(3, "action1"), monthly(1, "credits"))
    page = phone.open(f"why?customer={id}&feature=action1&amount=8&counts=on&go=1", "Why")
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("Allowed together")
    steps = page.get_by_role("region", name="Step by step")
    expect(steps).to_contain_text("One unit of Action1 costs 0.2 of Credits. 1.6 are asked for.")
    own = page.get_by_role("region", name="Grants of action1").get_by_role("row").last
    pool = page.get_by_role("region", name="Grants of credits").get_by_role("row").last
    expect(own.get_by_role("cell").last).to_contain_text("3")
    expect(pool.get_by_role("cell").last).to_contain_text("1")
    phone.check()
    assert shop.left(id, "action1") == 3


def test_why_a_check_is_denied_and_what_changes_it(both: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(5))
    shop.track(id, 4)
    page = both.open(f"why?customer={id}&feature=messages", "Why")
    page.get_by_label("Required balance").fill("3")
    page.get_by_role("button", name="Explain").click()
    answer = page.get_by_role("region", name="Answer")
    expect(answer).to_contain_text("Denied")
    expect(answer).to_contain_text("balance exhausted")
    steps = page.get_by_role("region", name="Step by step")
    expect(steps).to_contain_text("1 remain, 3 are asked for: 2 are missing.")
    would = page.get_by_role("region", name="What would make it allowed")
    expect(would).to_contain_text("Ask for 1 or less.")
    expect(would).to_contain_text("Wait until")
    both.check()
    would.get_by_role("button", name="Grant it").click()
    expect(answer).to_contain_text("Allowed")
    grants = page.get_by_role("region", name="Grants of messages")
    expect(grants).to_contain_text("set by hand")
    assert shop.left(id) == 3
    both.check()
