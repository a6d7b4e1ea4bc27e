import pytest

from promotion.gate.case import Case
from tests.promotion.cases import Recorded
from tests.promotion.checks.test_units_assigned import NONCE, as_drawn

DRAWN = {"assignment": "pilotplant"}


def test_arms_that_the_gate_drew_pass_with_the_nonce(stage, ask):
    [found] = ask("randomised", stage.case(charter=DRAWN, alter=as_drawn))
    assert (found.outcome, found.measured) == ("passed", NONCE)


def test_in_a_live_workspace_it_is_said_that_nobody_chose_the_nonce(stage, ask, monkeypatch):
    case = stage.case(charter=DRAWN, alter=as_drawn)
    monkeypatch.setattr(Case, "mode", "live")
    [found] = ask("randomised", case)
    assert (found.outcome, found.reason.endswith("by a nonce nobody chose")) == ("passed", True)


def test_arms_that_were_sorted_by_hand_fail(stage, ask):
    [found] = ask("randomised", stage.case(charter=DRAWN))
    assert (found.outcome, found.measured > 100) == ("failed", True)


def test_a_single_exposure_in_another_arm_fails(stage, ask):
    """Of one arm alone: the control's are as drawn."""
    one = "SELECT * REPLACE (CASE WHEN event_id = 'letter-x7' THEN 'control' ELSE arm END AS arm) FROM exposures"
    before = ask("randomised", stage.case(charter=DRAWN))[0].measured
    after = ask("randomised", stage.case(charter=DRAWN, exposures=one))[0].measured
    assert abs(after - before) == 1


@pytest.mark.parametrize("cluster", [None, "household"])
def test_arms_drawn_elsewhere_are_never_passed(stage, ask, cluster):
    traits = "SELECT unit, unit AS household FROM exposures"
    [found] = ask("randomised", stage.case(charter={"cluster": cluster}, traits=traits if cluster else None))
    assert (found.outcome, found.level, found.measured) == ("unevaluable", "block", "source")


def test_nothing_recorded_is_unevaluable(stage, ask):
    [found] = ask("randomised", stage.case(charter=DRAWN, arms={}))
    assert found.outcome == "unevaluable"


def test_a_pilot_that_was_never_registered_is_unevaluable(stage, ask):
    [found] = ask("randomised", stage.case(charter=DRAWN, arms={"control": Recorded(5)}, registered=None))
    assert found.outcome == "unevaluable"
