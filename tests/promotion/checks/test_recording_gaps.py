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


# What a mail brings dies away: all but two answer on its day, these nine days later.
DYING = """SELECT * REPLACE (CASE WHEN unit IN ('letter-7', 'control-7') THEN "at" + INTERVAL 9 DAY
           ELSE "at" END AS "at") FROM outcomes"""


@pytest.mark.parametrize(
    ("exposure", "days", "outcome"), [("once", 1, "passed"), ("repeated", 1, "failed"), ("once", 4, "failed")]
)
def test_after_a_mail_that_goes_out_once_silence_is_no_gap(stage, ask, exposure, days, outcome):
    case = stage.case(charter={"exposure": exposure}, days=days, outcomes=DYING)
    assert [each.outcome for each in ask("recording_gaps", case)] == [outcome]
