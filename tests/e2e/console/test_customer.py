"""A customer's page in the console: plans, balances, entities, limits, usage, and what happened."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import HOUR, Shop, monthly, new, prepaid, rolling


def test_a_customers_page_is_complete_in_four_requests(both: Tab, shop: Shop) -> None:
    """With all that it may show: plans, balances, entities, a reservation, uses."""
    id = shop.customer(monthly(100), entities=2, name="Complete")
    shop.track(id, 30)
    shop.raw(
        "balances.check",
        {"customer_id": id, "feature_id": "messages", "required_balance": 20, "lock": {"lock_id": new("l")}},
    )
    both.open("keys", "Keys")
    both.calls.clear()
    page = both.open(f"customers/{id}", "Complete")
    balance = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Messages"))
    expect(balance).to_contain_text("50 of 100 left")
    expect(balance.get_by_role("img", name="Messages: 30 used, 20 held, 50 left")).to_be_visible()
    expect(page.get_by_role("region", name="Entities")).to_contain_text("e2")
    expect(page.get_by_role("region", name="Reservations")).to_contain_text("20")
    assert len([call for call in both.calls if call.startswith("/v1/")]) == 4
    both.check()


def test_a_customers_page_is_live_where_it_is_told_so(phone: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(100))
    page = phone.open(f"customers/{id}", id)
    balances = page.get_by_role("region", name="Balances")
    expect(balances).to_contain_text("100 of 100 left")
    page.get_by_role("button", name="Live: off").click()
    shop.track(id, 7)
    expect(balances).to_contain_text("93 of 100 left")


def test_a_plan_is_attached_canceled_and_comes_back(both: Tab, shop: Shop) -> None:
    group = new("group")
    plan = shop.plan(monthly(10), plan_id=new("plan"), group=group)
    id = shop.customer()
    page = both.open(f"customers/{id}", id)
    plans = page.get_by_role("region", name="Plans")
    plans.get_by_label("Attach a plan").select_option(plan)
    expect(plans).to_contain_text("starts now.")
    plans.get_by_role("button", name="Attach").click()
    expect(plans.get_by_role("status").last).to_contain_text(f"{plan} was attached.")
    expect(plans).to_contain_text("active")
    expect(page.get_by_role("region", name="Balances")).to_contain_text("10 of 10 left")
    plans.get_by_role("button", name="Cancel at the end").click()  # it costs nothing, and has no end
    expect(plans.get_by_role("alert")).to_contain_text("invalid")
    page.on("dialog", lambda dialog: dialog.accept())
    plans.get_by_role("button", name="Cancel now").click()
    expect(plans).to_contain_text("No plan is attached.")
    both.check()


def test_a_quantity_is_bought_and_a_change_waits_for_the_end_of_the_cycle(phone: Tab, shop: Shop) -> None:
    group = new("group")
    cost = {"price": {"amount": 20, "interval": "month"}}
    big = shop.plan(prepaid(10, 0), plan_id=new("big"), group=group, **cost)
    small = shop.plan(monthly(5), plan_id=new("small"), group=group, price={"amount": 30, "interval": "month"})
    id = shop.customer()
    page = phone.open(f"customers/{id}", id)
    plans = page.get_by_role("region", name="Plans")
    plans.get_by_label("Attach a plan").select_option(big)
    plans.get_by_label("Quantity of messages").fill("25")
    plans.get_by_role("button", name="Attach").click()
    expect(page.get_by_role("region", name="Balances")).to_contain_text("25 of 25 left")
    plans.get_by_label("Attach a plan").select_option(small)
    plans.get_by_label("When").select_option("end_of_cycle")
    expect(plans).to_contain_text(f"{small.title()} starts on")
    expect(plans).to_contain_text(f"{big.title()} ends on")
    plans.get_by_role("button", name="Attach").click()
    expect(plans).to_contain_text("scheduled")
    phone.check()


def test_limits_and_alerts_are_changed_in_form_and_json(both: Tab, shop: Shop) -> None:
    limit = {"feature_id": "messages", "limit": 40, "interval": "day"}
    id = shop.customer(monthly(100), billing_controls={"usage_limits": [limit]})
    shop.track(id, 10)
    page = both.open(f"customers/{id}", id)
    limits = page.get_by_role("region", name="Limits and alerts")
    expect(limits).to_contain_text("40 a day")
    expect(limits.get_by_role("img", name="10 used, 30 left")).to_be_visible()
    limits.get_by_text("Change the customer's own").click()
    expect(limits.get_by_label("At most", exact=True)).to_have_value("40")
    limits.get_by_label("At most", exact=True).fill("60")
    limits.get_by_role("button", name="Add an alert").click()
    limits.get_by_label("Feature").last.select_option("messages")
    limits.get_by_label("Told when").select_option("remaining")
    limits.get_by_label("Threshold").fill("12.5")
    limits.get_by_role("button", name="Add a spend limit").click()
    limits.get_by_label("Overage of at most").fill("7")
    json_text = limits.get_by_label("The same as JSON")
    expect(json_text).to_have_value(re.compile(r'"threshold": 12.5'))
    both.check()
    limits.get_by_role("button", name="Save").click()
    expect(limits).to_contain_text("60 a day")
    expect(limits).to_contain_text("remaining 12.5")
    expect(limits).to_contain_text("7 of overage")
    assert not shop.may(id, 51)
    assert shop.may(id, 50)
    limits.get_by_role("button", name="Remove alerts 1").click()
    json_text.fill(json_text.input_value().replace('"enabled": true', '"enabled": false', 1))
    limits.get_by_role("button", name="Save").click()
    expect(limits).not_to_contain_text("remaining 12.5")
    assert shop.may(id, 90)
    limits.get_by_label("At most", exact=True).fill("many")
    limits.get_by_role("button", name="Save").click()
    expect(limits.get_by_role("alert")).to_contain_text("400")
    assert shop.may(id, 90)


def test_entities_are_made_limited_and_deleted(both: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(100))
    page = both.open(f"customers/{id}", id)
    entities = page.get_by_role("region", name="Entities")
    entities.get_by_text("New entity").click()
    entities.get_by_label("Entity", exact=True).fill("team/1")
    entities.get_by_label("Its name").fill("Team One")
    entities.get_by_label("Feature that counts it").select_option("users")
    entities.get_by_role("button", name="Create").click()
    expect(entities.get_by_role("table", name="Entities")).to_contain_text("Team One")
    entities.get_by_role("button", name="Limits of team/1").click()
    own = entities.get_by_role("region", name="Limits of team/1")
    own.get_by_role("button", name="Add a usage limit").click()
    own.get_by_label("Feature").select_option("messages")
    own.get_by_label("At most", exact=True).fill("5")
    both.check()
    own.get_by_role("button", name="Save").click()
    expect(own.get_by_role("table")).to_contain_text("5 a month")
    assert shop.may(id, 5, entity_id="team/1")
    assert not shop.may(id, 6, entity_id="team/1")
    page.on("dialog", lambda dialog: dialog.accept())
    entities.get_by_role("button", name="Delete team/1").click()
    expect(entities).to_contain_text("There are none.")
    assert not shop.api.call("customers.get", {"customer_id": id, "expand": ["entities"]})["entities"]


def test_a_grant_tells_what_rolled_over_and_is_held_and_counts_down(phone: Tab, shop: Shop) -> None:
    id = shop.customer()
    grant = {
        "customer_id": id,
        "feature_id": "messages",
        "included_grant": 10,
        "reset": {"interval": "day"},
        **rolling(),
    }
    now = int(time.time() * 1000)
    shop.now(id, now)
    shop.api.call("balances.create", grant)
    shop.track(id, 4)
    shop.now(id, now + 25 * HOUR)
    shop.api.call("balances.create", {"customer_id": id, "feature_id": "messages", "included_grant": 3})
    shop.track(id, 1)
    lock = {"lock_id": new("l"), "expires_at": now + 26 * HOUR}
    shop.raw("balances.check", {"customer_id": id, "feature_id": "messages", "required_balance": 2, "lock": lock})
    page = phone.open(f"customers/{id}", id)
    balance = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Messages"))
    expect(balance.get_by_role("img", name="Messages: 1 used, 2 held, 13 left, 3 rolled over")).to_be_visible()
    grants = balance.get_by_role("listitem").filter(has_text="every day")
    expect(grants.get_by_role("img", name="1 used, 2 held, 10 left, 3 rolled over")).to_be_visible()
    expect(grants).to_contain_text("3 rolled over, gone in")
    left = grants.get_by_text(re.compile(r"in \d d \d\d:\d\d:\d\d")).first
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    phone.check()


def test_usage_is_shown_by_day_and_by_property(phone: Tab, shop: Shop) -> None:
    id = shop.customer(monthly(100))
    uses = ((3, "eu"), (4, "us"), (5, "eu"))
    for value, region in uses:
        shop.track(id, value, properties={"region": region})
    page = phone.open(f"events?customer={id}", "Events")
    page.get_by_role("button", name="Live: off").click()
    for value, _ in uses:
        expect(page.get_by_role("table", name="Events")).to_contain_text(f"{value} of plan")  # the history has it now
    page = phone.open(f"customers/{id}", id)
    usage = page.get_by_role("region", name="Usage by day")
    usage.get_by_role("button", name="Show").click()
    expect(usage).to_contain_text("12 in 3 uses")
    usage.get_by_label("By property").fill("region")
    usage.get_by_role("button", name="Group").click()
    table = usage.get_by_role("table", name="By region")
    expect(table.get_by_role("row").filter(has_text="eu")).to_contain_text("8")
    expect(table.get_by_role("row").filter(has_text="us")).to_contain_text("4")
    phone.check()


def test_a_customers_page_tells_what_happened_and_who_did_it(phone: Tab, shop: Shop) -> None:
    plan = shop.plan(monthly(10), plan_id=new("plan"), group=new("group"))
    id = shop.customer()
    shop.api.call("billing.attach", {"customer_id": id, "plan_id": plan})
    shop.track(id, 4)
    page = phone.open(f"customers/{id}", id)
    page.get_by_role("button", name="Live: off").click()
    table = page.get_by_role("table", name="What happened")
    for told in ("billing.attach", "subscription started", "balance granted", "usage recorded", "key_"):
        expect(table).to_contain_text(told)
    phone.check()
