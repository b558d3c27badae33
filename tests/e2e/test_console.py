"""The console, in a real browser, as a person uses it: each page's main action, at two widths, with axe on each page.

What it shows is the API's; these tests read the page.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.console import Tab
from tests.e2e.fixture import HOUR, Shop, monthly, new, prepaid, rolling
from tollgate_cli.stack import Stack

# ------------------------------------------------------------------ what is served


def test_the_page_and_its_files_are_served_as_they_should_be(stack: Stack) -> None:
    """Hashed names that are kept for ever, compressed, under a policy that lets nothing in from elsewhere."""
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=30) as http:
        page = http.get("/console")
        assert page.headers["content-encoding"] == "gzip"
        assert page.headers["cache-control"] == "no-cache"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.findall(r"https?://", page.text)
        files = sorted(set(re.findall(r"console/assets/[\w/-]+-[0-9a-f]{12}\.\w+", page.text)))
        assert len(files) > 20
        size = len(page.content)
        for name in files:
            found = http.get(f"/{name}")
            assert (found.status_code, found.headers["content-security-policy"]) == (200, policy)
            assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert found.headers["x-content-type-options"] == "nosniff"
            size += int(found.headers["content-length"])
        assert size < 200_000
        assert http.get("/console/assets/main.js").status_code == 404
        assert http.get("/console/index.html").status_code == 404
        plain = http.get(f"/{files[0]}", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers


# ------------------------------------------------------------------ signing in


def test_a_key_opens_its_environment_and_stays_in_the_tab(fresh: Tab, stack: Stack) -> None:
    page = fresh.page
    page.goto(f"{stack.url}/console")
    page.get_by_label("Secret key").fill("am_sk_test_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("invalid_secret_key")
    fresh.check()
    page.get_by_label("Secret key").fill(stack.publishable_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("insufficient_scopes")
    fresh.sign_in(stack.secret_key)
    expect(page.get_by_text("Sandbox", exact=True)).to_be_visible()
    assert stack.secret_key not in page.url
    assert not any(stack.secret_key in call for call in fresh.calls)
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    page.reload()
    expect(page.get_by_text("Sandbox", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Secret key")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_live_cannot_be_mistaken_for_the_sandbox(fresh: Tab, stack: Stack) -> None:
    def back() -> str:
        colour: str = fresh.page.evaluate("getComputedStyle(document.querySelector('.top')).backgroundColor")
        return colour

    fresh.sign_in(stack.secret_key)
    sandbox = back()
    fresh.page.get_by_role("button", name="Sign out").click()
    fresh.sign_in(stack.live_secret_key)
    expect(fresh.page.get_by_text("Live: real customers")).to_be_visible()
    assert back() != sandbox
    fresh.open("customers", "Customers")
    fresh.check()


# ------------------------------------------------------------------ customers


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
    expect(plans).to_contain_text("It starts now.")
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


# ------------------------------------------------------------------ checks


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


# ------------------------------------------------------------------ the catalog, keys, events


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


# ------------------------------------------------------------------ all of it, as a new user would


def test_a_new_user_finds_out_why_and_tops_it_up(both: Tab) -> None:
    """A feature, a plan, a customer; it is used up with Try it, explained, topped up, and allowed. By keyboard where it
    is typed."""
    feature, plan, customer = new("call"), new("plan"), new("c")
    page = both.open("features", "Features")
    form = page.get_by_role("region", name="New feature")
    form.get_by_label("Id", exact=True).fill(feature)
    form.get_by_label("Name").fill(feature)
    form.get_by_label("Name").press("Enter")
    expect(form.get_by_role("status").last).to_contain_text("was created")
    page.get_by_role("link", name="Plans", exact=True).click()
    form = page.get_by_role("region", name="New plan")
    form.get_by_label("Id", exact=True).fill(plan)
    form.get_by_label("Name").fill(plan)
    form.get_by_label("Group").fill(plan)
    form.get_by_role("button", name="Add an item").click()
    form.get_by_label("Feature 1").select_option(feature)
    form.get_by_label("Included").fill("2")
    form.get_by_role("button", name="Create").click()
    expect(form.get_by_role("status").last).to_contain_text("was created")
    page.get_by_role("link", name="Customers", exact=True).click()
    form = page.get_by_role("region", name="New customer")
    form.get_by_label("Id", exact=True).fill(customer)
    form.get_by_label("Id", exact=True).press("Enter")
    plans = page.get_by_role("region", name="Plans")
    plans.get_by_label("Attach a plan").select_option(plan)
    plans.get_by_role("button", name="Attach").click()
    page.get_by_role("link", name=f"Try it: {feature}").click()
    page.get_by_label("Required balance").fill("2")
    page.get_by_label("Count the use in the same step").check()
    answer = page.get_by_role("region", name="Answer")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(answer).to_contain_text("Allowed")
    page.get_by_role("button", name="Check", exact=True).click()
    expect(answer).to_contain_text("Denied")
    page.get_by_role("link", name="Why?").click()
    expect(page.get_by_role("region", name="Step by step")).to_contain_text("0 remain, 2 are asked for")
    page.get_by_role("button", name="Grant it").click()
    expect(answer).to_contain_text("Allowed")
    page.get_by_role("region", name="Answer").get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(answer).to_contain_text("Allowed")
    assert not both.complaints
