"""Times in a real browser: told in the zone of whoever reads, with the team's and UTC behind them."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from factory.releases.releases import pause
from tests.browser import signed_in
from tests.desk import OPS
from tests.lab_makers import PILOT

PATH, RELEASE = f"/lab/{PILOT}", f"{PILOT}-letter"
# What Chromium says moved, from the first picture on.
SHIFTS = """() => new Promise(done => {
  let moved = 0;
  new PerformanceObserver(list => { for (const each of list.getEntries()) moved += each.value; })
    .observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(moved), 300);
})"""


@pytest.fixture
def in_berlin(desk):
    (desk.workspace.configs / "team.yaml").write_text("schema_version: 1\ntimezone: Europe/Berlin\n")
    return desk


def spoken(utc: str, zone: str) -> str:
    """A moment as Python says it there, which knows nothing of the browser's own tables."""
    here = datetime.fromisoformat(utc).astimezone(ZoneInfo(zone))
    return f"{here:%A} {here.day} {here:%B %Y, %H:%M}"


def times(page):
    return page.evaluate(
        "[...document.querySelectorAll('main time')].map(each => [each.dateTime, each.title, each.textContent])"
    )


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns", "UTC"])
def test_times_are_told_in_the_readers_zone_with_the_teams_and_utc_behind_them(chromium, in_berlin, zone):
    with signed_in(chromium, in_berlin, OPS, timezone_id=zone) as page:
        page.goto(PATH)
        found = times(page)
        assert found
        for utc, title, told in found:
            assert told == spoken(utc, zone)
            behind = datetime.fromisoformat(utc).astimezone(ZoneInfo("UTC"))
            assert title == f"{spoken(utc, 'Europe/Berlin')} Europe/Berlin · {behind:%Y-%m-%d %H:%M} UTC"
        assert f"your zone, {zone}" in page.locator("footer").inner_text()
        assert page.evaluate(SHIFTS) == 0


@pytest.mark.parametrize("options", [{"timezone_id": "Europe/Berlin"}, {"timezone_id": "Asia/Tokyo",
                                                                        "java_script_enabled": False}])  # fmt: skip
def test_the_teams_zone_is_told_and_named_to_its_own_and_without_script(chromium, in_berlin, options):
    with signed_in(chromium, in_berlin, OPS, **options) as page:
        page.goto(PATH)
        for time in page.locator("main time").all():
            assert time.text_content() == spoken(time.get_attribute("datetime"), "Europe/Berlin")
            assert time.get_attribute("title").endswith("UTC")
            assert "Berlin" not in time.get_attribute("title")
        assert "Times are in Europe/Berlin" in page.locator("footer").inner_text()


def test_a_page_that_renews_itself_stays_in_the_readers_zone(chromium, in_berlin):
    with signed_in(chromium, in_berlin, OPS, timezone_id="Asia/Tokyo") as page:
        page.goto(f"/factory/{RELEASE}")
        before = times(page)
        workspace = in_berlin.workspace
        workspace.clock.set(workspace.clock.now() + timedelta(days=1))
        pause(workspace, RELEASE, reason="seen from elsewhere")
        page.get_by_text("seen from elsewhere").wait_for(timeout=15_000)
        page.wait_for_timeout(200)
        after = times(page)
        assert before
        assert after
        for utc, title, told in after:
            assert told == spoken(utc, "Asia/Tokyo")
            assert title.count("Europe/Berlin") == 1
