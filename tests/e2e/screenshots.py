"""The README's pictures of the console, of the stack that runs: `make screenshots`."""

from __future__ import annotations

import time

from tests.conftest import ROOT
from tests.e2e.browser import browser
from tollgate_cli import stack
from tollgate_cli.api import Api

FOLDER = ROOT / "docs" / "pictures"
CUSTOMER = "acme"
PAGES = {
    "customer": (f"#/customers/{CUSTOMER}", "light", 1000),
    "why": (f"#/why?customer={CUSTOMER}&feature=messages&amount=700&go=1", "light", 1200),
    "overview": ("#/", "dark", 1160),
}
OTHERS = (("globex", 15, 4), ("initech", 12, 2), ("hooli", 5, 9))
"""Customers of the free plan: the messages that they have left, and the checks that count which follow."""


def fill(api: Api) -> None:
    """A customer who is worth looking at, and others of whom the overview has something to tell."""
    api.call("customers.get_or_create", {"customer_id": CUSTOMER, "name": "Acme Robotics", "email": "ops@acme.example"})
    for plan in ("pro", "token-pack"):
        attach(api, CUSTOMER, plan)
    who = {"customer_id": CUSTOMER, "async": False}
    for feature, left in (("messages", 480), ("llm_tokens", 96_500)):
        api.call("balances.update", {"customer_id": CUSTOMER, "feature_id": feature, "remaining": left})
        api.call("balances.track", {**who, "feature_id": feature, "value": left // 8, "properties": {"model": "large"}})
    for id, remaining, checks in OTHERS:
        api.call("customers.get_or_create", {"customer_id": id})
        attach(api, id, "free")
        api.call("balances.update", {"customer_id": id, "feature_id": "messages", "remaining": remaining})
        asked = {"customer_id": id, "feature_id": "messages", "required_balance": 1, "send_event": True}
        for _ in range(checks):
            api.call("balances.check", asked)


def attach(api: Api, customer: str, plan: str) -> None:
    """The customer is on the plan, since now or since the last time."""
    held = api.call("customers.get", {"customer_id": customer})["subscriptions"]
    if plan not in {each["plan_id"] for each in held}:
        api.call("billing.attach", {"customer_id": customer, "plan_id": plan})


def wait_for_the_consumer(api: Api) -> None:
    """Returns when what was done is among the latest alerts: the overview has it then."""
    last = OTHERS[-1][0]
    deadline = time.monotonic() + 60
    while last not in {alert["customer_id"] for alert in api.call("alerts.list", {})["list"]}:
        if time.monotonic() > deadline:
            raise TimeoutError("the stream's consumer tells nothing")
        time.sleep(0.5)


def take() -> None:
    """Takes the pictures."""
    running = stack.current()
    api = Api(running.url, running.secret_key)
    fill(api)
    wait_for_the_consumer(api)
    FOLDER.mkdir(exist_ok=True)
    with browser() as chromium:
        for name, (place, scheme, height) in PAGES.items():
            context = chromium.new_context(
                viewport={"width": 1100, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                locale="en-US",
            )
            page = context.new_page()
            page.goto(f"{running.url}/console")
            page.get_by_label("Secret key").fill(running.secret_key)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("navigation", name="Console").wait_for()
            page.goto(f"{running.url}/console{place}")
            page.wait_for_selector("main:not(:has(.wait, [aria-busy=true], button.main:disabled)) section")
            page.wait_for_load_state("networkidle")
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()


if __name__ == "__main__":
    take()
