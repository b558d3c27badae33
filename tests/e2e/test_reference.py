"""The OpenAPI documents and the page that shows them, through the deployed stack, as a browser asks for them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.fixture import Shop
from tests.e2e.programs import running, script
from tollgate_cli import openapi, site
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
    assert len(named) == 5
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


def test_a_call_is_made_from_the_page(stack: Stack, live: Shop) -> None:
    """The example that the page shows, sent with the key that was typed in; and nothing that its policy forbids."""
    live.api.call("customers.get_or_create", {"customer_id": "ada"})
    live.fill()
    with running(*script("reference.mjs", stack.url)) as page:
        told = page("try", "#/balances/balances_check", stack.live_secret_key)
    assert told["documents"] == [dialect.title for dialect in openapi.DIALECTS]
    assert (told["title"].split(" 0.")[0], told["open"]) == (openapi.AUTUMN.title, ["/v1/balances.check"])
    assert (told["status"], json.loads(told["body"].removeprefix("Download"))["customer_id"]) == ("200", "ada")
    assert {url.removeprefix(stack.url).partition("/")[0] for url in told["asked"]} == {""}
    assert (told["wrong"], told["forbidden"]) == ([], [])
