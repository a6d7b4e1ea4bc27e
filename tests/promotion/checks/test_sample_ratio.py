import math

import pytest

from tests.promotion.cases import Recorded

# 400 and 300 units where 350 and 350 were expected: chi-square = 2 * 50**2 / 350, one degree of freedom.
LOST = {"control": Recorded(units=400), "letter": Recorded(units=300)}
P = math.erfc(math.sqrt(100 / 7 / 2))
DEVIATION = 1 / 14


def test_equal_arms_pass(stage, ask):
    [found] = ask("sample_ratio", stage.case())
    assert (found.outcome, found.measured["p"], found.measured["deviation"]) == ("passed", 1.0, 0.0)


def test_lost_units_fail_with_the_joint_chi_square(stage, ask):
    [found] = ask("sample_ratio", stage.case(arms=LOST))
    assert found.outcome == "failed"
    assert found.measured == {
        "p": pytest.approx(P), "deviation": pytest.approx(DEVIATION), "units": {"control": 400, "letter": 300},
    }  # fmt: skip
    assert "control 57.14 % of 50.00 %" in found.reason
    assert "kept to the charter's weights" in found.remedy  # a case's arms are drawn elsewhere unless it says otherwise


def test_where_the_gate_drew_the_arms_nobody_is_sent_to_another_systems_weights(stage, ask):
    case = stage.case(arms=LOST, charter=stage.charter(assignment="pilotplant").model_dump(mode="json"))
    [found] = ask("sample_ratio", case)
    assert found.outcome == "failed"
    assert "between assignment and record" in found.remedy


def test_unequal_arms_pass_where_they_were_planned(stage, ask):
    charter = stage.charter().model_dump(mode="json")
    charter["arms"][0]["weight"] = "3"
    planned = {"control": Recorded(units=300), "letter": Recorded(units=100)}
    [found] = ask("sample_ratio", stage.case(charter={"arms": charter["arms"]}, arms=planned))
    assert (found.outcome, found.measured["deviation"]) == ("passed", 0.0)


def test_p_at_its_threshold_passes_and_just_below_it_fails(stage, ask):
    case = stage.case(arms=LOST)
    [first] = ask("sample_ratio", case)
    p = first.measured["p"]
    assert [ask("sample_ratio", case, p_min=limit)[0].outcome for limit in (p, math.nextafter(p, 1))] == [
        "passed",
        "failed",
    ]


def test_a_deviation_at_the_floor_fails_and_just_below_it_passes(stage, ask):
    case = stage.case(arms=LOST)
    [first] = ask("sample_ratio", case)
    at = first.measured["deviation"]
    assert [ask("sample_ratio", case, deviation_floor=f)[0].outcome for f in (at, math.nextafter(at, 1))] == [
        "failed",
        "passed",
    ]


@pytest.mark.parametrize(("letter", "outcome"), [(8, "passed"), (7, "unevaluable")])
def test_eight_expected_units_per_arm_are_the_least(stage, ask, letter, outcome):
    [found] = ask("sample_ratio", stage.case(arms={"control": Recorded(units=8), "letter": Recorded(units=letter)}))
    assert found.outcome == outcome


def test_an_arm_that_was_not_planned_never_passes(stage, ask):
    third = {"control": Recorded(), "letter": Recorded(), "other": Recorded()}
    swapped = {"control": Recorded(), "other": Recorded()}
    found = [ask("sample_ratio", stage.case(arms=arms))[0].outcome for arms in (third, swapped)]
    assert found == ["unevaluable", "unevaluable"]


def test_nobody_is_unevaluable(stage, ask):
    [found] = ask("sample_ratio", stage.case(arms={}))
    assert (found.outcome, found.remedy) == ("unevaluable", "record exposures, analyse and submit again")
