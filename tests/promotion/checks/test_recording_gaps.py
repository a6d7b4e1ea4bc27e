import math

import pytest

DOWN = """SELECT * FROM outcomes WHERE NOT CAST("at" AS DATE) BETWEEN DATE '2026-01-09' AND DATE '2026-01-11'"""


def test_outcomes_of_every_day_pass(stage, ask):
    [found] = ask("recording_gaps", stage.case())
    assert (found.outcome, found.level, found.measured) == ("passed", "warn", 1.0)


def test_a_recording_that_was_down_fails_by_poissons_law(stage, ask):
    [found] = ask("recording_gaps", stage.case(outcomes=DOWN))
    assert (found.outcome, "no outcome for 3 days from 2026-01-09 on" in found.reason) == ("failed", True)
    # Days 4 to 6 of 13, of 200 units in each arm: 16 units on the fifth, 15 on the others.
    left = 400 - 2 * (16 + 15 + 15)
    assert found.measured == pytest.approx(13 * math.exp(-left / 13 * 3))


def test_outcomes_of_one_day_are_unevaluable(stage, ask):
    one = """SELECT * FROM outcomes WHERE CAST("at" AS DATE) = DATE '2026-01-09'"""
    [found] = ask("recording_gaps", stage.case(outcomes=one))
    assert (found.outcome, found.reason) == ("unevaluable", "there are outcomes of fewer than two days")
