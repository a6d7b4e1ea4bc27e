"""Finished tests brought in at the desk: as `lab import` does it, and nothing is kept of what is refused."""

from __future__ import annotations

import html
import re

import pytest

from lab.insights.retrospective.store import retrospectives
from lab.state import open_lab
from pilotplant.desk.desk import Desk
from tests.desk import at
from tests.lab_makers import REQUESTER, stage_copy

TABLE = "variant,customers,visitors\nA,4000,400\nB,4100,533\n"
MAPPING = """\
schema_version: 1
rows: arms
arm: variant
control: A
started: 2025-03-03
ended: 2025-03-17
weights: equal
metrics:
  visit: {metric: visit, arm: {units: customers, count: visitors}}
"""


@pytest.fixture
def desk(request, tmp_path) -> Desk:
    return Desk(stage_copy(request, tmp_path / "workspace", "loaded"))


@pytest.fixture
def requester(desk):
    with at(desk, REQUESTER) as browser:
        yield browser


def bring(browser, content=TABLE, file="old.csv", name="spring-2025", mapping=MAPPING):
    token = re.search(r'name="token" value="([^"]+)"', browser.page("/import"))
    fields = {"token": token[1] if token else "x", "name": name, "mapping": mapping}
    return browser.client.post("/import", data=fields, files={"file": (file, content)}, headers=browser.ours)


def kept(desk) -> list[str]:
    return [one.test.name for one in retrospectives(open_lab(desk.workspace))]


def test_a_test_comes_in_once_and_says_what_it_showed(requester, desk):
    answer = bring(requester)
    assert answer.status_code == 200, answer.text
    assert "One finished test came in" in answer.text
    # 533 of 4,100 are 13 %, 400 of 4,000 are 10 %.
    assert "+3.00 pp" in answer.text
    assert kept(desk) == ["spring-2025"]
    again = bring(requester)
    assert "brought in before" in again.text
    assert kept(desk) == ["spring-2025"]
    assert 'href="/lab/spring-2025"' in requester.page("/insights")
    page = requester.page("/lab/spring-2025")
    assert "ran elsewhere" in page
    assert "+3.00 pp" in page
    assert requester.data("/lab/spring-2025.json")["name"] == "spring-2025"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"file": "old.exe"}, "is no file of finished tests"),
        ({"file": "../../people.yaml"}, "no file of finished tests"),
        ({"name": "Spring 2025"}, "small letters"),
        ({"name": "../escape"}, "small letters"),
        ({"mapping": MAPPING.replace("visitors}", "nobody}")}, "nobody"),
        ({"mapping": MAPPING.replace("weights: equal", "weigths: equal")}, "weigths"),
        ({"mapping": "rows: ["}, "mapping.yaml"),
        ({"mapping": ""}, "mapping"),
        ({"content": "variant,customers,visitors\nA,4000,4001\nB,1,1\n"}, ""),
        ({"content": ""}, ""),
        ({"content": "\x00\x01binary"}, ""),
    ],
)
def test_what_cannot_be_brought_in_is_said_and_nothing_is_kept(requester, desk, changes, told):
    answer = bring(requester, **changes)
    assert answer.status_code in {400, 409}, answer.text
    page = html.unescape(answer.text)
    assert told in page
    assert str(desk.workspace.root) not in page
    assert kept(desk) == []


def test_other_numbers_under_a_name_that_is_taken_are_refused(requester, desk):
    assert bring(requester).status_code == 200
    assert bring(requester, content=TABLE.replace("533", "534")).status_code == 409
    assert "+3.00 pp" in bring(requester).text


def test_what_a_file_says_is_text_on_the_page(requester):
    evil = "<script>alert(1)</script>"
    answer = bring(requester, content=TABLE.replace("B,", f"{evil},"))
    assert "<script>alert" not in answer.text


def test_whoever_only_reads_brings_nothing_in(desk):
    with at(desk, None) as reader:
        assert "Whoever only reads" in reader.page("/import")
        token = re.search(r'name="token" value="([^"]+)"', reader.page("/import"))[1]
        fields = {"token": token, "name": "mine", "mapping": MAPPING}
        answer = reader.client.post("/import", data=fields, files={"file": ("a.csv", TABLE)}, headers=reader.ours)
        assert answer.status_code == 403
    assert kept(desk) == []
