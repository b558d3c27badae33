"""The console's list of customers, and an API that does not answer."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import Shop, new


def test_customers_are_found_paged_and_created(both: Tab, shop: Shop) -> None:
    word = new("find")
    for number in range(27):
        shop.api.call("customers.get_or_create", {"customer_id": f"{word}-{number:02}", "name": f"Number {number}"})
    page = both.open("customers", "Customers")
    page.get_by_label("Id, name or e-mail").fill(word)
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name=f"{word}-26")).to_be_visible()
    assert page.get_by_role("link", name=word).count() == 25
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("link", name=f"{word}-00")).to_be_visible()
    assert page.get_by_role("link", name=word).count() == 2
    page.get_by_role("button", name="Previous").click()
    expect(page.get_by_role("link", name=f"{word}-26")).to_be_visible()
    both.check()
    page.get_by_role("link", name="Since" if both.width > 720 else "Oldest first").click()
    expect(page.get_by_role("link", name=f"{word}-00")).to_be_visible()
    page.get_by_role("link", name="Since" if both.width > 720 else "Newest first").click()
    expect(page.get_by_role("link", name=f"{word}-26")).to_be_visible()
    made = new("made")
    form = page.get_by_role("region", name="New customer")
    form.get_by_label("Id", exact=True).fill(made)
    form.get_by_label("E-mail").fill("someone@example.com")
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", level=1, name=made)).to_be_visible()
    both.ready()
    expect(page.get_by_text("someone@example.com")).to_be_visible()


def test_an_api_that_does_not_answer_is_told_and_asked_again(phone: Tab) -> None:
    page = phone.open("keys", "Keys")
    page.route("**/v1/customers.list", lambda route: route.abort())
    page.get_by_role("link", name="Customers", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The API did not answer.")
    page.unroute("**/v1/customers.list")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("table", name="Customers")).to_be_visible()
    phone.ready()
    phone.check()


def test_a_list_of_many_customers_asks_as_often_as_one_of_few(phone: Tab) -> None:
    phone.open("keys", "Keys")
    phone.calls.clear()
    phone.open("customers", "Customers")
    assert [call for call in phone.calls if call.startswith("/v1/")] == ["/v1/customers.list"]
