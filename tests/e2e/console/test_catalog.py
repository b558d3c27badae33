"""Features, plans and keys in the console."""

from __future__ import annotations

import json
import re

from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import Shop, monthly, new


def test_a_feature_and_a_plan_are_made_in_form_and_json(both: Tab, shop: Shop) -> None:
    feature, plan = new("mail"), new("plan")
    page = both.open("features", "Features")
    form = page.get_by_role("region", name="New feature")
    form.get_by_label("Id", exact=True).fill(feature)
    form.get_by_label("Name").fill("Mails")
    form.get_by_role("button", name="Create").click()
    expect(form.get_by_role("status").last).to_contain_text(f"{feature} was created.")
    expect(page.get_by_role("table", name="Features")).to_contain_text(feature)
    both.check()
    page = both.open("plans", "Plans")
    form = page.get_by_role("region", name="New plan")
    form.get_by_label("Id", exact=True).fill(plan)
    form.get_by_label("The same as JSON").fill("{")
    expect(form.get_by_label("The same as JSON")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("The same as JSON").fill(
        json.dumps({"plan_id": plan, "name": "Mail plan", "group": plan, "items": []})
    )
    expect(form.get_by_label("Name")).to_have_value("Mail plan")
    form.get_by_role("button", name="Add an item").click()
    form.get_by_label("Feature 1").select_option(feature)
    form.get_by_label("Included").fill("7")
    form.get_by_label("Resets").select_option("month")
    both.check()
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("table", name="Plans")).to_contain_text(plan)
    made = shop.api.call("plans.get", {"plan_id": plan})["items"][0]
    assert (made["feature_id"], made["included"], made["reset"]["interval"]) == (feature, 7, "month")


def test_a_changed_plan_says_what_changed_and_who_is_on_it(phone: Tab, shop: Shop) -> None:
    plan = shop.plan(monthly(11), plan_id=new("plan"))
    id = shop.customer()
    shop.api.call("billing.attach", {"customer_id": id, "plan_id": plan})
    page = phone.open("plans", "Plans")
    page.get_by_role("button", name=f"Edit {plan}").click()
    form = page.get_by_role("region", name=f"Change {plan}")
    form.get_by_label("Included").fill("12")
    form.get_by_role("button", name="Save").click()
    changed = page.get_by_role("region", name=f"Versions of {plan}").get_by_label("What changed")
    expect(changed).to_contain_text(re.compile(r'-\s+"included": 11'))
    expect(changed).to_contain_text(re.compile(r'\+\s+"included": 12'))
    shop.api.call("billing.attach", {"customer_id": shop.customer(), "plan_id": plan})  # the second is held, too
    form.get_by_label("Included").fill("13")
    form.get_by_role("button", name="Save").click()
    page.get_by_label("Version", exact=True).select_option("3")  # any two, in either order
    page.get_by_label("Compared with").select_option("1")
    expect(changed).to_contain_text(re.compile(r'-\s+"included": 13'))
    expect(changed).to_contain_text(re.compile(r'\+\s+"included": 11'))
    page.get_by_label("Version", exact=True).select_option("1")
    expect(page.get_by_text("They do not differ.")).to_be_visible()
    holders = page.get_by_role("region", name=f"Who is on {plan}")
    expect(holders.get_by_role("row").filter(has_text=id)).to_contain_text("version 1")
    phone.check()
    page.get_by_role("link", name=f"Customers on {plan}").click()
    expect(page.get_by_role("link", name=id)).to_be_visible()
    phone.ready()
    phone.check()


def test_a_key_is_shown_once_and_revoked(both: Tab) -> None:
    name = new("key")
    page = both.open("keys", "Keys")
    form = page.get_by_role("region", name="New key")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Scope").select_option("publishable")
    form.get_by_role("button", name="Create").click()
    expect(form.get_by_label("The new key")).to_contain_text("am_pk_")
    expect(page.get_by_role("table", name="Keys")).to_contain_text("not yet")
    both.check()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=f"Revoke {name}").click()
    expect(form.get_by_role("status").last).to_contain_text("was revoked")
    expect(page.get_by_role("table", name="Keys")).not_to_contain_text(name)
