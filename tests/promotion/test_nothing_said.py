"""Whoever leaves out the rows that say "nothing came of it" tells as much: the verdict is the same."""

from __future__ import annotations

import pytest

from tests.promotion.cases import Recorded

# The rows of units that did nothing say zero everywhere.
WITH_ZEROS = "SELECT * REPLACE (CASE WHEN visit = 1 THEN spend ELSE 0 END AS spend) FROM outcomes"
WITHOUT = "SELECT * FROM outcomes WHERE visit = 1"
PILOTS = {
    "41 clicks in all": ({"control": Recorded(1_000, 10), "letter": Recorded(1_000, 31)}, 0.01, -0.02),
    "60 clicks in all": ({"control": Recorded(800, 12), "letter": Recorded(800, 48)}, 0.01, -0.03),
    "one in four": ({"control": Recorded(240, 36), "letter": Recorded(240, 84)}, 0.05, -0.3),
    "some": ({"control": Recorded(400, 40), "letter": Recorded(400, 120)}, 0.05, -0.2),
    "most": ({"control": Recorded(200, 150), "letter": Recorded(200, 190)}, 0.05, -0.5),
}


@pytest.mark.parametrize(("arms", "least", "margin"), PILOTS.values(), ids=PILOTS)
def test_rows_that_say_nothing_change_no_check(stage, arms, least, margin):
    stage.settings()
    charter = {
        "primary": {"metric": "visit", "minimum_effect": least},
        "guardrails": [{"metric": "spend", "margin": margin}],
    }
    said = []
    for outcomes in (WITH_ZEROS, WITHOUT):
        judged = stage.judge(charter=charter, arms=arms, outcomes=outcomes)
        assert judged.verdict == "admit"
        said.append({(each.check, each.arm): each.outcome for each in judged.findings})
    assert said[0] == said[1]


def test_what_is_refused_with_them_is_refused_without(stage):
    stage.settings()
    arms = {"control": Recorded(400, 40), "letter": Recorded(400, 41)}
    assert [stage.judge(arms=arms, outcomes=rows).verdict for rows in (WITH_ZEROS, WITHOUT)] == ["refuse"] * 2


def test_an_arm_of_which_nothing_was_recorded_is_not_taken_for_one_that_did_nothing(stage):
    """Zeros say that somebody looked; no row at all may be a recording that failed."""
    judged = stage.judge(arms={"control": Recorded(1_000, 0), "letter": Recorded(1_000, 41)}, outcomes=WITHOUT)
    effect = next(each for each in judged.findings if each.check == "primary_effect")
    assert (judged.verdict, effect.outcome) == ("undecided", "unevaluable")
    assert "arm control has no outcome at all" in effect.reason
