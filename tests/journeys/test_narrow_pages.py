"""Pages on a telephone: 390 pixels wide, measured in a browser; nothing but a wide table or chart is moved sideways."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code
from tests import walls
from tests.lab_makers import PILOT, stage_copy

WIDTH = 390
TABLE = "arm,customers,visitors\nA,4000,400\nB,4100,440\n"
MAPPING = """\
schema_version: 1
rows: arms
arm: arm
control: A
started: 2025-03-03
ended: 2025-03-17
weights: unknown
metrics:
  visit: {metric: visit, arm: {units: customers, count: visitors}}
"""
# Says how wide the page is, and by what its charts are shrunk.
MEASURE = """<script>addEventListener("load", () => parent.postMessage({
  page: PAGE, width: document.documentElement.scrollWidth,
  charts: [...document.querySelectorAll("figure.picture svg")].map(
    each => each.getBoundingClientRect().width / each.viewBox.baseVal.width)}, "*"))</script>"""
FRAME = """<!doctype html><html><body>%s<pre id="told"></pre><script>
const told = []; addEventListener("message", e => { told.push(e.data);
  document.getElementById("told").textContent = JSON.stringify(told); });</script></body></html>"""


@pytest.fixture(scope="module")
def pages(request, tmp_path_factory):
    """The pages that people read, by name."""
    folder = tmp_path_factory.mktemp("pages")
    workspace = stage_copy(request, folder / "workspace", "submitted")
    (folder / "tests.csv").write_text(TABLE)
    (folder / "mapping.yaml").write_text(MAPPING)
    here = ["--workspace", str(workspace.root)]
    imported = ["lab", "import", "old-test", str(folder / "tests.csv"), "--mapping", str(folder / "mapping.yaml")]
    for words in (["promote", "summary", PILOT, "--html", str(folder / "owner.html")], ["lab", "aa", PILOT], imported):
        assert _exit_code([*here, *words]) in {0, 3}, words
    pilot = get_pilot(open_lab(workspace), PILOT)
    found = {"owner": folder / "owner.html", "report": next(pilot.folder.glob("analyses/*/report.html"))}
    found |= {
        f"{path.parent.name}-{path.stem}": path
        for path in workspace.lab.rglob("*.html")
        if "analyses" not in path.parts
    }
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


@pytest.fixture(scope="module")
def measured(pages, tmp_path_factory):
    """What a browser says of each page in a window of that width."""
    browser = shutil.which("chromium")
    walls.require("Debian's chromium", browser is not None)
    folder = tmp_path_factory.mktemp("browser")
    frames = ""
    for name, text in pages.items():
        measuring = MEASURE.replace("PAGE", json.dumps(name))
        (folder / f"{name}.html").write_text(text.replace("</body>", f"{measuring}</body>"), encoding="utf-8")
        frames += f'<iframe src="{name}.html" style="width:{WIDTH}px;height:800px;border:0"></iframe>'
    (folder / "frame.html").write_text(FRAME % frames)
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
         "--virtual-time-budget=4000", "--dump-dom", (folder / "frame.html").as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    said = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    return {one["page"]: one for one in json.loads(html.unescape(said[1]))}


def test_every_kind_of_page_is_measured(pages, measured):
    assert {"owner", "report"} < set(pages) == set(measured)
    assert len(pages) >= 4


def test_no_page_is_wider_than_the_telephone(measured):
    assert {name: one["width"] for name, one in measured.items() if one["width"] > WIDTH} == {}


def test_what_is_written_in_a_chart_can_be_read(measured):
    """A picture's letters are 8 points and more, of which a point is a pixel where it is not shrunk."""
    assert any(one["charts"] for one in measured.values())
    assert {name: one["charts"] for name, one in measured.items() if min(one["charts"], default=1) < 0.8} == {}
