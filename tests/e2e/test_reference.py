"""The OpenAPI documents and the page that shows them, through the deployed stack, as a browser asks for them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import browser as chromium
from tollgate_cli import openapi, site
from tollgate_cli.api import Api
from tollgate_cli.stack import Stack


@pytest.fixture
def browser(stack: Stack) -> Iterator[httpx.Client]:
    """Without a key. It takes gzip, and what httpx takes beside it."""
    with httpx.Client(base_url=stack.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("dialect", openapi.DIALECTS, ids=lambda dialect: dialect.name)
def test_a_document_is_served_as_it_is_committed(browser: httpx.Client, dialect: openapi.Dialect) -> None:
    answer = browser.get(f"/openapi/{dialect.name}.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == json.loads((openapi.FOLDER / f"{dialect.name}.json").read_text())


def test_who_does_not_take_gzip_gets_the_document_plain(browser: httpx.Client) -> None:
    for refused in ("identity", "gzip;q=0", ""):
        answer = browser.get("/openapi/tollgate.json", headers={"accept-encoding": refused})
        assert "content-encoding" not in answer.headers
        assert answer.json()["openapi"] == "3.1.0"


def test_who_has_a_document_is_not_sent_it_again(browser: httpx.Client) -> None:
    first = browser.get("/openapi/autumn.json")
    again = browser.get("/openapi/autumn.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.get("/openapi/autumn.json", headers={"if-none-match": '"other"'}).status_code == 200


def test_the_page_names_its_own_files_alone_each_with_its_integrity(browser: httpx.Client) -> None:
    page = browser.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)" integrity="sha384-([^"]+)"', page.text)
    assert len(named) == 6
    assert set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) - {path for path, _ in named} == {
        f"openapi/{dialect.name}.json" for dialect in openapi.DIALECTS
    }
    for path, integrity in named:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert base64.b64encode(hashlib.sha384(answer.content).digest()).decode() == integrity
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_the_page_may_run_its_own_scripts_and_call_its_own_host_alone(browser: httpx.Client) -> None:
    policy = dict(each.split(" ", 1) for each in browser.get("/docs").headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    assert not any("unsafe" in sources or "*" in sources or "http" in sources for sources in policy.values())
    page = browser.get("/docs").text
    assert "<script>" not in page
    assert "style=" not in page


def test_an_agent_is_told_where_everything_is(browser: httpx.Client) -> None:
    """`/llms.txt`, and each page and document that it names."""
    told = browser.get("/llms.txt")
    assert (told.status_code, told.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert told.text == site.llms()["/llms.txt"]
    for path in re.findall(r"\]\((/[^)]+)\)", told.text)[::4]:  # some of each section
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] in ("text/markdown; charset=utf-8", "application/json")


@pytest.mark.parametrize(
    "path", ["/docs/unknown.js", "/openapi/unknown.json", "/docs/..%2fapp.py", "/openapi/%2e%2e%2fpages.json"]
)
def test_what_is_no_page_is_not_found(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_the_page_needs_no_key_and_the_api_still_does(browser: httpx.Client) -> None:
    assert browser.get("/docs").status_code == 200
    assert browser.post("/v1/balances.check", json={}).status_code == 401


TELEPHONE = 375  # pixels
FIRST_CALLS = (
    ("subscriptions", "billing_attach", "A plan for a customer", "200"),
    ("balances", "balances_check", "May the customer use one unit?", "200"),
    ("balances", "balances_track", "Three units that were used, counted at once", "200"),
    ("balances", "balances_check", "Units that are held until the cost is known", "200"),
)
"""What somebody new does, in this order: the tag, the operation, the example that is sent as it stands, the answer's status."""


def test_first_calls_are_made_from_the_page(stack: Stack) -> None:
    """In a real browser, which holds the page to its policy: each example as it stands, with the key that was typed in. Nothing is
    wider than a telephone, and no other host is asked for anything. What is Tollgate's own is marked."""
    api = Api(stack.url, stack.secret_key)
    api.call("customers.get_or_create", {"customer_id": "ada"})
    asked, wrong = set[str](), list[str]()
    with chromium() as running:
        page = running.new_page(viewport={"width": TELEPHONE, "height": 900})
        page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.goto(f"{stack.url}/docs")
        assert page.locator(".topbar select option").all_text_contents() == [each.title for each in openapi.DIALECTS]
        page.click(".auth-wrapper .authorize")
        page.fill(".modal-ux input", stack.secret_key)
        page.click(".modal-ux button[type=submit]")
        page.click(".modal-ux .btn-done")
        try:
            for call in FIRST_CALLS:
                _try(page, *call)
                assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE, call
            page.locator(".topbar select").select_option(label=openapi.TOLLGATE.title)
            page.locator("#operations-tag-keys").click()
            page.locator("#operations-keys-keys_list .opblock-summary-control").click()
            expect(page.locator("#operations-keys-keys_list .opblock-body")).to_contain_text(openapi.OWN)
        finally:
            api.call("customers.delete", {"customer_id": "ada"})
    assert (asked, wrong) == ({urlsplit(stack.url).netloc}, [])


def _try(page: Page, tag: str, operation: str, example: str, status: str) -> None:
    """Sends an example of an operation as somebody would who reads the page."""
    section, shown = page.locator(f"#operations-tag-{tag}"), page.locator(f"#operations-{tag}-{operation}")
    if section.get_attribute("data-is-open") != "true":
        section.click()
    if shown.locator(".execute").count() == 0:
        shown.locator(".opblock-summary-control").click()
        shown.locator(".try-out__btn").click()
    shown.locator(".opblock-section-request-body .examples-select-element").select_option(label=example)
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        shown.locator(".execute").click()
    told = answer.value
    assert str(told.status) == status, told.text()
    expect(shown.locator(".live-responses-table .response .response-col_status").first).to_have_text(status)
