"""The documentation's site: it is built, asks no other machine for anything, has no dead link, and names every page."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from promotion.gate.catalogue import catalogue
from promotion.gate.policy import GateSettings
from shared.core.yamlfile import read_yaml
from tests import walls

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# What a browser fetches by itself, as against what a reader may follow.
FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("image", "href")}
OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
IN_TEXT = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class Page(HTMLParser):
    """What a page points to, and what can be pointed at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.links, self.fetched, self.anchors = path, set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if (tag, name) in FETCHED:
                self.fetched.add(value)
            if name in {"href", "src"} and value:
                self.links.add(value)
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)


def build(folder):
    return subprocess.run(
        [sys.executable, DOCS / "website.py", folder], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def dead(pages):
    """Every link to a file that is not there, or to a place that its page does not have."""
    for page in pages.values():
        for link in page.links:
            target, anchor = urldefrag(unquote(link))
            if OUTSIDE.match(link) or link.startswith(("mailto:", "javascript:")):
                continue
            path = (page.path.parent / target).resolve() if target else page.path
            if not path.is_file():
                yield f"{page.path.name}: {link}"
            elif anchor and path in pages and anchor not in pages[path].anchors:
                yield f"{page.path.name}: {link} (no such place)"


def test_every_page_becomes_one_of_the_site(site, pages):
    written = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {path.relative_to(site) for path in pages} == written
    assert len(written) > 80


def test_no_link_is_dead(pages):
    assert sorted(dead(pages)) == []


def test_a_dead_link_is_found(pages, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<a href="gone.html">1</a><a href="#nowhere">2</a><p id="here"></p><a href="#here">3</a>')
    assert sorted(dead({page: Page(page)})) == ["page.html: #nowhere (no such place)", "page.html: gone.html"]


def test_no_page_fetches_anything_from_elsewhere(site, pages):
    fetched = {(page.path.name, link) for page in pages.values() for link in page.fetched if link}
    assert fetched
    assert {each for each in fetched if OUTSIDE.match(each[1])} == set()
    sheets = list(site.rglob("*.css"))
    assert sheets
    for path in sheets:
        assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import", path.read_text(encoding="utf-8")) == []


def test_no_page_has_what_the_themes_script_would_fetch_from_elsewhere(pages):
    """The theme's script loads diagrams, editors and galleries from other machines, by these classes."""
    for page in pages.values():
        text = page.path.read_text(encoding="utf-8")
        assert not re.findall(r'class="[^"]*\b(?:mermaid|glightbox|pyodide)\b', text), page.path


def test_a_browser_asks_no_other_machine_for_anything(site):
    """As a browser opens them, search and all; and what axe says of them is read."""
    path = shutil.which("chromium")
    walls.require("Debian's chromium", path is not None)
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    asked, complaints, faults = [], [], []
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=site)) as server,
        sync_playwright() as playwright,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        for name in ("index.html", "tutorial.html", "architecture.html", "reference/charter.html"):
            page.goto(f"{here}/{name}", wait_until="networkidle")
            found = Axe().run(page).response["violations"]
            faults += [(name, each["id"]) for each in found if each["impact"] in {"serious", "critical"}]
        page.keyboard.press("/")
        page.keyboard.type("guardrail")
        page.get_by_text("The gate's checks").first.wait_for()
        browser.close()
        server.shutdown()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(here)] == []
    assert complaints == []
    assert faults == []


def test_the_picture_of_the_rooms_needs_no_script(pages):
    """The diagram of the sources becomes boxes, with every folder that it names."""
    source = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("```mermaid")[2].partition("```")[0]
    labels = re.findall(r'(?<!subgraph )\b(?!door\b)\w+\["([^"]+)"\]', source)
    assert len(labels) > 30
    page = next(path for path in pages if path.name == "architecture.html").read_text(encoding="utf-8")
    shown = [html.unescape(one).partition(" →")[0] for one in re.findall(r"<li>([^<]+)</li>", page)]
    assert sorted(shown) == sorted(label for label in labels if ":" not in label)
    assert "flowchart TB" not in page


def test_the_navigation_names_every_page(site, pages):
    """From the first page a reader comes to each of them by the navigation alone."""
    text = (site / "index.html").read_text(encoding="utf-8")
    navigation = re.findall(r'<a href="([^"#]+)" class="md-nav__link', text)
    named = {(site / link).resolve() for link in navigation}
    assert set(pages) - named == {site / "index.html"} - named


def test_a_page_with_a_link_to_nothing_is_not_built(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, str(DOCS), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "gone.md" in done.stderr


BROKEN = """
import shutil, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import website
website.PAGES = Path(sys.argv[2]) / "docs"
shutil.copytree(sys.argv[1], website.PAGES)
(website.PAGES / "glossary.md").write_text("[dead](gone.md)")
website.build(Path(sys.argv[2]) / "site")
"""


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name)
def test_every_link_of_a_source_leads_somewhere(path):
    """As whoever reads the files themselves follows them: the targets lie beside them."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for link in filter(None, (one for pair in IN_TEXT.findall(text) for one in pair)):
        if not OUTSIDE.match(link):
            target = urldefrag(link)[0]
            assert not target or (path.parent / target).exists(), link


MODULE = re.compile(r"`((?:shared|promotion|lab|factory|pilotplant)/[a-z0-9_/]+\.py)`")


@pytest.mark.parametrize("name", ["statistics", "evidence", "security", "deployment", "architecture", "assignment"])
def test_every_module_that_a_page_names_is_there(name):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert [module for module in MODULE.findall(text) if not (ROOT / module).exists()] == []
    if name == "statistics":
        assert len(MODULE.findall(text)) > 15


def test_every_check_that_the_statistics_name_is_one_of_the_gates():
    anchors = set(re.findall(r"gate\.md#(\w+)", (DOCS / "statistics.md").read_text(encoding="utf-8")))
    assert len(anchors) > 5
    assert anchors <= {each.name for each in catalogue(read_yaml(ROOT / "configs" / "gate.yaml", GateSettings))}


def test_readme_is_a_screen_and_a_half_with_one_picture():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 90
    assert text.count("![") == 1
