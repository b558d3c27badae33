"""The console: what is served, who is signed in, and all of it as a new user would."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import expect

from tests.e2e.console.tab import Tab
from tests.e2e.fixture import new
from tollgate_cli.stack import Stack


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


def test_a_new_user_finds_out_why_and_tops_it_up(fresh: Tab, stack: Stack) -> None:
    """Signs in and follows what the pages show: a feature, a plan, a customer; it is used up with Try it, explained, topped
    up, and allowed. By keyboard where it is typed."""
    feature, plan, customer = new("call"), new("plan"), new("c")
    page = fresh.sign_in(stack.secret_key).page
    page.get_by_role("link", name="Features", exact=True).click()
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
    fresh.check()
