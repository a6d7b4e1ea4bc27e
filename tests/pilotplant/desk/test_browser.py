"""The desk in a real browser: on a wall, on a telephone, and for those who see or point otherwise."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe

from factory.releases.releases import pause
from pilotplant.desk.server import GRACE_S
from shared.trust.record import decisions
from tests.browser import signed_in
from tests.desk import OPS
from tests.lab_makers import OWNER, PILOT

RELEASE = f"{PILOT}-letter"
PATHS = ("/today", "/lab", f"/lab/{PILOT}", "/gate", f"/gate/{PILOT}", "/factory", f"/factory/{RELEASE}", "/ledger",
         "/insights", "/calendar", "/new-pilot", "/import", "/key")  # fmt: skip
REASON = "visits rose by far more than a letter costs"
SERIOUS = {"serious", "critical"}


@pytest.mark.parametrize(
    ("width", "scheme", "script"),
    [(1440, "light", True), (360, "light", True), (768, "dark", True), (320, "dark", False)],
)
def test_no_page_is_wider_than_its_window_or_hard_to_use(chromium, desk, width, scheme, script):
    size = {"width": width, "height": 900}
    with signed_in(chromium, desk, OPS, viewport=size, color_scheme=scheme, java_script_enabled=script) as page:
        for path in PATHS:
            page.goto(path)
            assert page.locator("h1").count() == 1
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            faults = [
                (fault["id"], fault["nodes"][0]["html"])
                for fault in (Axe().run(page).response["violations"] if script else ())
                if fault["impact"] in SERIOUS
            ]
            assert faults == [], path


def test_an_owner_decides_by_keyboard_alone(chromium, submitted_desk):
    with signed_in(chromium, submitted_desk, OWNER) as page:
        page.get_by_role("link", name="Decide about spring mail").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Why, in a sentence").first.fill(REASON)
        page.get_by_role("button", name="Take a last look").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/look")
        assert page.get_by_role("heading", level=1).inner_text() == "Last look before you sign"
        page.set_viewport_size({"width": 320, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert decisions(submitted_desk.workspace) == {}
        page.get_by_role("button", name="Sign: Scale letter").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/gate/{PILOT}")
        assert decisions(submitted_desk.workspace)[PILOT].decision.reason == REASON


def test_ops_stop_everything_and_start_again(chromium, desk):
    with signed_in(chromium, desk, OPS) as page:
        page.goto("/factory")
        page.get_by_text("Stop all sending").click()
        page.get_by_label("Why, in a sentence").fill("a wrong price")
        page.get_by_role("button", name="Stop everything").click()
        assert page.get_by_role("heading", level=1).inner_text() == "Everything is stopped"
        page.get_by_label("Why, in a sentence").fill("the price is right")
        page.get_by_role("button", name="Start again").click()
        assert "stopped" not in page.get_by_role("heading", level=1).inner_text()


def test_a_page_stays_up_to_date_and_keeps_what_somebody_is_typing(chromium, desk):
    with signed_in(chromium, desk, OPS) as page:
        page.goto(f"/factory/{RELEASE}")
        page.get_by_text("Pause it").click()
        page.get_by_label("Why, in a sentence").fill("half a sen")
        desk.workspace.clock.set(desk.workspace.clock.now() + timedelta(days=1))
        pause(desk.workspace, RELEASE, reason="seen from elsewhere")
        page.get_by_text("seen from elsewhere").wait_for(timeout=15_000)
        assert "is paused" in page.get_by_role("heading", level=1).inner_text()
        assert page.get_by_label("Why, in a sentence").input_value() == "half a sen"


def test_the_server_ends_at_once_and_without_a_word_while_pages_are_open(chromium, desk, capfd):
    with signed_in(chromium, desk, OPS) as page:
        page.goto("/factory")
        page.wait_for_timeout(500)
        began = time.monotonic()
        desk.is_closing = lambda: True
        page.wait_for_timeout(500)
    assert time.monotonic() - began < GRACE_S
    assert capfd.readouterr().err == ""
