"""The desk as one object: it looks at the ledgers once for a page, and anew once somebody has written."""

from __future__ import annotations

from collections import Counter

import pytest

from factory.releases.releases import pause
from lab.overview.portfolio import line_of, lines
from lab.state import open_lab
from pilotplant.desk.desk import Desk
from shared.core.errors import BadInput
from tests.desk import OPS, at
from tests.lab_makers import CARD, PILOT, draft

RELEASE = f"{PILOT}-letter"


class Counting(Desk):
    """A desk that counts how often it looks whether anything was written."""

    def __init__(self, workspace):
        super().__init__(workspace)
        self.looks = Counter()

    def written(self):
        self.looks["written"] += 1
        return super().written()


@pytest.mark.parametrize(
    "path", ["/today", "/lab", f"/lab/{PILOT}", "/gate", f"/gate/{PILOT}", "/factory", "/calendar"]
)
def test_a_page_looks_once_whether_anything_was_written(desk, path):
    counting = Counting(desk.workspace)
    with at(counting, OPS) as browser:
        browser.page(path)
        counting.looks.clear()
        browser.page(path)
    assert counting.looks["written"] == 1


def test_the_next_page_sees_what_was_written_meanwhile(ops, desk):
    assert "is paused" not in ops.page(f"/factory/{RELEASE}")
    pause(desk.workspace, RELEASE, reason="a wrong price")
    assert "is paused" in ops.page(f"/factory/{RELEASE}")


def test_a_line_alone_says_what_it_says_among_all(desk):
    room = open_lab(desk.workspace)
    draft(desk.workspace, "summer-mail", (CARD, ""))
    [among] = [line for line in lines(room) if line.name == PILOT]
    assert line_of(room, PILOT) == among
    with pytest.raises(BadInput):
        line_of(room, "summer-mail")


def test_a_board_that_stays_up_to_date_stays_on_its_page(ops):
    assert 'hx-get="/lab?page=2"' in ops.page("/lab?page=2")
    assert 'hx-get="/lab"' in ops.page("/lab")
