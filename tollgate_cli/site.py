"""Lays out the documentation for its site: `python -m tollgate_cli.site` fills `.local/site-pages`, which Zensical builds; and
`… agents FOLDER` what is for agents, as Markdown that a stack serves with its `/llms.txt`.

The pages are those of `docs/` and of the repository's root, as they are. What they link to beside pages stays where it lies:
a folder becomes a page that lists it, and the name of a file of the source stands without a link.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from tollgate_cli.servers import ROOT

DOCS = ROOT / "docs"
TARGET = ROOT / ".local" / "site-pages"
SITE = ROOT / "site"
FROM_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
FROM_ROOT |= {"SECURITY.md": "SECURITY.md"}
MERMAID = SITE / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def pages() -> Iterator[tuple[Path, Path]]:
    """Each page: where it lies, and where on the site."""
    for path in sorted(DOCS.rglob("*.md")):
        yield path, path.relative_to(DOCS)
    for name, site_name in FROM_ROOT.items():
        yield ROOT / name, Path(site_name)


def lay_out(target: Path = TARGET) -> None:
    """Fills a folder, which is emptied first."""
    shutil.rmtree(target, ignore_errors=True)
    for path, at in pages():
        _write(target / at, page(path, at))
    for path in sorted(DOCS.rglob("*")):
        if path.suffix in (".json", ".png"):
            _copy(path, target / path.relative_to(DOCS))
    for folder in ("decisions", "events", "openapi/examples"):
        _write(target / folder / "index.md", listing(DOCS / folder))
    _copy(MERMAID, target / "assets" / "mermaid.js")


def page(path: Path, at: Path) -> str:
    """A page's text with its links as the site needs them."""
    up = "../" * len(at.parent.parts)
    return _linked(path, lambda to: f"{up}{to.as_posix()}")


def _linked(path: Path, address: Callable[[Path], str | None]) -> str:
    """A page's text whose links lead where `address` says, and which has none where it says None."""

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        place, hash_mark, fragment = target.partition("#")
        if re.match(r"[a-z]+:", target) or not place:
            return found.group(0)
        to = _on_the_site((path.parent / place).resolve())
        where = address(to) if to else None
        return f"{mark}[{text}]({where}{hash_mark}{fragment})" if where else text

    parts = _BLOCK.split(path.read_text())
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _on_the_site(there: Path) -> Path | None:
    """Where a file or folder is on the site; None where it is not there."""
    if there.parent == ROOT:
        return Path(FROM_ROOT[there.name]) if there.name in FROM_ROOT else None
    if not there.is_relative_to(DOCS):
        return None
    at = there.relative_to(DOCS)
    if there.is_dir():
        return at / ("README.md" if (there / "README.md").exists() else "index.md")
    return at


def llms() -> dict[str, str]:
    """What a stack serves to agents: `/llms.txt` (in the form of llmstxt.org), and the pages that it names, by their paths."""
    served = {at: f"/docs/{_flat(at)}" for section in _sections().values() for at in section if _is_page(at)}
    assert len(set(served.values())) == len(served)
    lay = {at: path for path, at in pages()}
    found = {served[at]: _linked(lay[at], lambda to: served.get(to, _document(to))) for at in served}
    index = [f"# Tollgate\n\n> {_first(lay[Path('index.md')], 2)}\n", _HOW]
    for title, section in _sections().items():
        links = [f"- [{_title(lay[at])}]({served[at]}): {_first(lay[at])}" for at in section if at in served]
        index.append("\n".join((f"## {title if title != 'Inside' else 'Optional'}\n", *links, "")))
        if title == "Dialects":
            index.append("\n".join(("## OpenAPI\n", *_documents(), "")))
    return {"/llms.txt": "\n".join(index)} | found


_HOW = """\
Every call needs `Authorization: Bearer KEY`, with a key of the sandbox (`am_sk_test_…`) or of live (`am_sk_live_…`), and JSON. To ask whether a customer may use a
feature, and count it in the same step: `POST /v1/balances.check` with `{"customer_id": …, "feature_id": …, "required_balance": 1, "send_event": true}`. To find out
why a check is answered so: `POST /v1/balances.explain` with the same body, which counts nothing. Amounts are exact decimals, times are epoch milliseconds.
"""


def _sections() -> dict[str, list[Path]]:
    """The site's sections, each with its pages in order."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    return {title: [Path(page) for page in section] for each in nav for title, section in each.items()}


def _is_page(at: Path) -> bool:
    """Whether it is one of `pages`, and no listing of a folder."""
    return any(at == other for _, other in pages())


def _flat(at: Path) -> str:
    """A page's name where there are no folders."""
    if at.name == "README.md":
        return f"{at.parent.name}.md"
    return at.name if at.parent.name in ("", "guides") else f"{at.parent.name}-{at.name}"


def _document(to: Path) -> str | None:
    return f"/openapi/{to.name}" if to.parent == Path("openapi") and to.suffix == ".json" else None


def _documents() -> Iterator[str]:
    for path in sorted((DOCS / "openapi").glob("*.json")):
        document = json.loads(path.read_text())
        routes = sum(len(item) for item in document["paths"].values())
        yield f"- [{document['info']['title']}](/openapi/{path.name}): OpenAPI 3.1, {routes} routes"


def _first(path: Path, paragraphs: int = 1) -> str:
    """The first paragraphs of a page that are prose, without their marks; of a single one the first sentences."""
    text = re.split(r"\n\s*\n", re.sub(r"^#.*$", "", _BLOCK.sub("", path.read_text()), flags=re.MULTILINE))
    prose = [
        " ".join(part.split()) for part in text if part.strip() and not part.lstrip().startswith(("|", "-", "<", "1."))
    ]
    plain = re.sub(r"[*`]", "", _LINK.sub(r"\2", " ".join(prose[:paragraphs])))
    short = plain if paragraphs > 1 or len(plain) < 200 else re.split(r"(?<=[.]) ", plain)[0]
    return re.sub(r":$", ".", short)


def listing(folder: Path) -> str:
    """A page that lists a folder."""
    title = folder.name.capitalize()
    entries = [f"- [{_title(path)}]({path.name})" for path in sorted(folder.iterdir()) if path.is_file()]
    return f"# {title}\n\n" + "\n".join(entries) + "\n"


def _title(path: Path) -> str:
    first = path.read_text().partition("\n")[0]
    return first.removeprefix("# ") if path.suffix == ".md" else path.name


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def for_agents(folder: Path) -> None:
    """Writes what `llms` has into a folder, as the reference's build takes it."""
    for path, text in llms().items():
        _write(folder / path.removeprefix("/"), text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["agents"]:
        for_agents(Path(sys.argv[2]))
    else:
        lay_out()
