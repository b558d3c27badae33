"""The documentation as a site and for agents: `make docs`, and what a stack serves at `/llms.txt` (docs/agents.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents import links
from tollgate_cli import site

SERVED = site.llms()
LINK = re.compile(r"\]\((/[^)#\s]*)")


def test_llms_txt_has_the_form_of_llmstxt_org() -> None:
    """A title, a quote, paragraphs without headings, then sections of links with notes."""
    title, quote, *rest = SERVED["/llms.txt"].split("\n\n")
    assert title == "# Tollgate"
    assert re.fullmatch(r"> \S[^\n]+\n?", quote)
    head, *sections = "\n\n".join(rest).split("\n## ")
    assert "#" not in head
    names = [section.partition("\n")[0] for section in sections]
    assert {"Start", "Guides", "OpenAPI", "Optional"} <= set(names)
    for section in sections:
        for line in section.strip().split("\n")[2:]:
            assert re.fullmatch(r"- \[[^\]]+\]\(/(docs|openapi)/[^)/]+\): \S.*", line), line


def test_every_link_that_an_agent_is_given_is_served() -> None:
    documents = {f"/openapi/{path.name}" for path in (ROOT / "docs" / "openapi").glob("*.json")}
    for path, text in SERVED.items():
        assert set(LINK.findall(text)) - documents <= set(SERVED), path


def test_every_page_is_reached_from_the_sites_menu() -> None:
    """By links, where zensical.toml does not name it; decisions stand in their listing."""
    lay = {at: path for path, at in site.pages()}
    reached: set[Path] = set()
    found = [at for section in site._sections().values() for at in section]
    assert {at for at in found if at not in lay} == {Path("events/index.md"), Path("decisions/index.md")}
    while found:
        at = found.pop()
        if at in lay and at not in reached:
            reached.add(at)
            targets = (
                site._on_the_site((lay[at].parent / link.partition("#")[0]).resolve()) for link in links(lay[at])
            )
            found.extend(target for target in targets if target)
    assert {at for at in lay if at.parent != Path("decisions")} <= reached


@pytest.mark.parametrize("path", ["docs/table.md", "docs/webhooks.md", "README.md"])
def test_a_link_leads_to_the_page_of_the_site_and_a_file_of_the_source_has_none(path: str) -> None:
    place = ROOT / path
    at = next(at for page, at in site.pages() if page == place)
    text = site.page(place, at)
    assert not re.search(r"\]\((\.\./)+(layers|tests|events|docs)/", text)
    for link in re.findall(r"\]\(([^)#\s:]+)[^):]*\)", text):
        assert (site.DOCS / at.parent / link).resolve().exists() or link.removeprefix("../") in {
            *site.FROM_ROOT.values(),
            *("decisions/index.md", "events/index.md"),
        }, link
