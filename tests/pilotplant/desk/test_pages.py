"""What the pages say of a pilot that went the whole way, as people and as scripts read them."""

from __future__ import annotations

import re

import pytest

from pilotplant.desk.desk import Desk
from pilotplant.overview import overview
from tests.desk import at
from tests.lab_makers import OWNER, PILOT, stage_copy

RELEASE = f"{PILOT}-letter"
PATHS = (
    "/today",
    "/lab",
    "/calendar",
    f"/lab/{PILOT}",
    "/gate",
    f"/gate/{PILOT}",
    "/factory",
    f"/factory/{RELEASE}",
    "/ledger",
    "/insights",
)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_stands_alone_and_has_its_data_beside_it(owner, path):
    page = owner.page(path)
    assert page.count("<h1") == 1
    assert f'href="{path}.json"' in page
    assert not re.search(r"<script(?! src=\"/static/)|style=|onclick|https?://", page.replace("http://127.0.0.1", ""))
    assert not re.search(r"[`{}]|\bNone\b|\*\w", re.sub(r"<(pre|code)\b.*?</\1>", "", page, flags=re.DOTALL))
    assert owner.data(f"{path}.json")


def test_today_says_what_runs_next_and_what_happened(owner, desk):
    found = owner.data("/today.json")
    next_run = overview(desk.workspace).factory.releases[0].next
    assert [item["title"] for item in found["coming"]] in ([], [f"{RELEASE.capitalize().replace('-', ' ')} runs"]), (
        next_run
    )
    assert "Nothing needs you today" in found["headline"] or found["broken"]
    assert any("decided: scale letter" in event["what"] for event in found["since"])


def test_a_board_has_each_pilot_once(owner):
    found = owner.data("/lab.json")
    assert [card["name"] for card in found["decided"]] == [PILOT]
    assert (found["running"], found["ended"]) == ([], [])


def test_a_pilots_page_shows_effects_since_the_look_is_over(owner):
    found = owner.data(f"/lab/{PILOT}.json")
    assert found["hidden"] is None
    forest = found["showing"]["effects"][0]
    [row] = [row for row in forest["rows"] if row["label"] == "letter"]
    assert row["low"] < row["mid"] < row["high"]
    assert row["word"] == "Reached"


def test_the_gates_page_says_what_was_decided_and_why(owner):
    page = owner.page(f"/gate/{PILOT}")
    assert "Letter was scaled" in page
    assert "letters bring people back" in page


def test_a_look_at_results_is_on_the_ledger_with_who_looked(owner):
    owner.page(f"/gate/{PILOT}")
    looks = [one for one in owner.data(f"/ledger.json?subject={PILOT}")["entries"] if one["kind"] == "looked"]
    assert OWNER in {one["who"] for one in looks}


@pytest.mark.parametrize(
    "path", ["/lab/nobody-knows", "/gate/nobody-knows", "/factory/nobody-knows", "/lab/..%2fsecrets", "/nowhere"]
)
def test_what_is_not_there_is_said_in_words(owner, path):
    for ending in ("", ".json"):
        answer = owner.client.get(f"{path}{ending}")
        assert answer.status_code in {404, 422}, answer.text
        assert "Traceback" not in answer.text


def test_the_api_is_described(owner):
    paths = owner.data("/openapi.json")["paths"]
    assert "/today.json" in paths
    assert all("get" in said and len(said) == 1 for said in paths.values())


def test_verifying_says_what_was_verified(owner):
    answer = owner.send("/ledger/verify")
    assert answer.status_code == 200
    assert "The record is unbroken" in answer.text


def test_times_are_in_the_teams_zone_and_utc_stands_behind_them(owner, desk):
    before = owner.page(f"/lab/{PILOT}")
    team = desk.workspace.configs / "team.yaml"
    team.write_text("schema_version: 1\ntimezone: Asia/Tokyo\n")
    after = owner.page(f"/lab/{PILOT}")
    moment = re.compile(r'<time datetime="([^"]+)" title="([^"]+)">([^<]+)</time>')
    for (utc, title, told), (same, also, there) in zip(moment.findall(before), moment.findall(after), strict=True):
        assert (utc, title) == (same, also)
        # Japan is nine hours ahead of UTC and never changes its clocks.
        assert hours(there) - hours(told) in {9, 9 - 24}
    assert "Times are in Asia/Tokyo" in after


def hours(told: str) -> int:
    return int(told[-5:-3])


def test_a_running_pilots_page_says_what_its_plan_can_show(request, tmp_path):
    running = Desk(stage_copy(request, tmp_path / "running", "launched"))
    with at(running, OWNER) as browser:
        page = browser.page(f"/lab/{PILOT}")
        assert "No effects yet" in page
        assert "What the plan can show" in page
        assert "Time: " in page
        assert browser.data(f"/lab/{PILOT}.json")["outlook"]["lines"]
