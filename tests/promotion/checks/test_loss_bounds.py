"""Lee's bounds, by hand: of the arm that lost fewer, the excess share is trimmed from either end."""

from __future__ import annotations

import pytest

from tests.promotion.cases import Recorded
from tests.promotion.held_back import NUMBER, held_back

# Of 200 in each arm 20 and 60 visit. The control loses its last 30, who did not: it keeps 170 with 20 visits.
LOST = {"which": f"starts_with(unit, 'control') AND {NUMBER} >= 170", "reason": "spend is not a number"}


def test_bounds_above_zero_pass_and_are_those_by_hand(stage, ask):
    """15 % of the letter's 200 are trimmed: of its 60 visitors 30, or of those who did not 30."""
    [found] = ask("loss_bounds", stage.case(recorded=held_back(LOST)))
    assert (found.arm, found.outcome, found.measured["frac"]) == ("letter", "passed", pytest.approx(0.15))
    assert found.measured["low"] == pytest.approx(30 / 170 - 20 / 170)
    assert found.measured["high"] == pytest.approx(60 / 170 - 20 / 170)


def test_bounds_that_hold_zero_fail_and_only_warn(stage, ask):
    """45 lost of the control: 22.5 % trimmed leaves 15 visitors of 155, beside 20 of 155."""
    arms = {"control": Recorded(200, 20), "letter": Recorded(200, 60)}
    move = {**LOST, "which": f"starts_with(unit, 'control') AND {NUMBER} >= 155"}
    [found] = ask("loss_bounds", stage.case(recorded=held_back(move, arms=arms)))
    assert (found.outcome, found.level) == ("failed", "warn")
    assert found.measured["low"] == pytest.approx(15 / 155 - 20 / 155)


def test_the_same_share_lost_of_both_arms_leaves_nothing_to_trim(stage, ask):
    move = {**LOST, "which": f"{NUMBER} >= 170"}
    [found] = ask("loss_bounds", stage.case(recorded=held_back(move)))
    assert (found.outcome, found.measured) == ("passed", None)


def test_nothing_lost_passes(stage, ask):
    assert ask("loss_bounds", stage.case())[0].outcome == "passed"


def test_a_mean_over_those_with_an_outcome_has_no_bounds(stage, ask, left_out):
    left_out("visit")
    [found] = ask("loss_bounds", stage.case(recorded=held_back(LOST)))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")


def test_an_arm_of_which_nobody_is_left_has_no_bounds(stage, ask):
    move = {**LOST, "which": "starts_with(unit, 'letter')"}
    [found] = ask("loss_bounds", stage.case(recorded=held_back(move)))
    assert (found.outcome, found.reason) == ("unevaluable", "letter lost too much for any bound of visit to be told")
