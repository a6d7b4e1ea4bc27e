from datetime import timedelta

import pytest

from shared.core.clock import rfc3339
from tests.promotion.cases import ENDS, GOOD, LOOKS, Recorded


def test_exactly_the_planned_units_pass(stage, ask):
    [found] = ask("sample_planned", stage.case(charter={"sample": {"units_per_arm": 200}}))
    assert (found.outcome, found.measured, found.threshold) == ("passed", {"control": 200, "letter": 200}, 200)


def test_one_unit_fewer_fails_and_the_gap_is_named(stage, ask):
    [found] = ask("sample_planned", stage.case(charter={"sample": {"units_per_arm": 201}}))
    assert (found.outcome, found.reason) == (
        "failed", "too few units: control 200, letter 200; 201 were planned for every arm",
    )  # fmt: skip
    assert found.remedy == "revise with a longer time box, for 1 more unit in an arm"


@pytest.mark.parametrize("short", ["control", "letter"])
def test_one_short_arm_is_enough_to_fail(stage, ask, short):
    [found] = ask("sample_planned", stage.case(arms={**GOOD, short: Recorded(units=9)}))
    assert (found.outcome, found.measured[short]) == ("failed", 9)


def test_an_arm_without_a_single_unit_fails(stage, ask):
    [found] = ask("sample_planned", stage.case(arms={"control": Recorded()}))
    assert (found.outcome, found.measured) == ("failed", {"control": 200, "letter": 0})


def test_units_in_two_arms_do_not_count(stage, ask):
    [found] = ask("sample_planned", stage.case(in_two_arms=1, charter={"sample": {"units_per_arm": 200}}))
    assert (found.outcome, found.measured) == ("failed", {"control": 199, "letter": 200})


def test_nobody_is_unevaluable(stage, ask):
    [found] = ask("sample_planned", stage.case(arms={}))
    assert (found.outcome, found.remedy) == ("unevaluable", "record exposures")


LATER = ENDS - timedelta(days=5)


def test_the_planned_units_are_not_needed_where_a_boundary_is_crossed(stage, ask):
    [found] = ask("sample_planned", stage.case(charter=LOOKS, covers_until=rfc3339(LATER), now=LATER, days=9))
    assert (found.outcome, found.threshold) == ("passed", 10_000)
    assert found.reason == "a boundary was crossed before the planned units were reached"
    alike = {"control": Recorded(), "letter": Recorded()}
    [found] = ask("sample_planned", stage.case(charter=LOOKS, arms=alike))
    assert found.outcome == "failed"
