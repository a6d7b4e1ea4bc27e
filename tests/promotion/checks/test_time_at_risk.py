"""Arms that are exposed at other times: as it was found, and as it might be otherwise."""

from __future__ import annotations

import pytest
from scipy.stats import ttest_ind

# `_write_data` exposes customer i at 09:00 plus i seconds, on day i % 13.
HOURS = """SELECT * REPLACE (date_trunc('day', "at") + INTERVAL ({}) MINUTE AS "at") FROM exposures"""
WINDOW = {"time_box": {"start": "2026-01-05", "end": "2026-01-19", "enrol_until": "2026-01-12"}}


@pytest.mark.parametrize(
    "minutes",
    [
        "CASE WHEN arm = 'letter' THEN 5 ELSE 23 * 60 + 55 END",
        # And with some chance in it, three hours apart.
        "CASE WHEN arm = 'letter' THEN 540 ELSE 720 END + hash(unit) % 60",
        # Only on four days of thirteen, but by nine hours.
        "600 + CASE WHEN arm = 'letter' AND day(\"at\") < 9 THEN 540 ELSE 0 END + hash(unit) % 60",
    ],
)
def test_arms_exposed_at_other_times_of_each_day_fail(stage, ask, minutes):
    """Five past midnight against five to it: 23.8 hours more to visit in."""
    [found] = ask("time_at_risk", stage.case(exposures=HOURS.format(minutes), outcomes=LATER))
    assert (found.arm, found.outcome) == ("letter", "failed")


LATER = """SELECT * REPLACE (date_trunc('day', "at") + INTERVAL 1 DAY AS "at") FROM outcomes"""


def test_the_difference_is_that_of_the_means_within_days(stage, ask):
    minutes = "CASE WHEN arm = 'letter' THEN 5 ELSE 23 * 60 + 55 END"
    [found] = ask("time_at_risk", stage.case(exposures=HOURS.format(minutes), outcomes=LATER))
    [told] = found.measured["time_of_day"]
    assert (told["later_h"], told["p"]) == (pytest.approx(-(23 + 50 / 60)), 0.0)


def test_an_arm_that_begins_days_later_fails_by_its_follow_up_as_scipy_tests_it(stage, ask):
    """Within each day the arms are alike, and the letter is three days behind: 72 hours less."""
    behind = """CASE WHEN arm = 'letter' THEN "at" + INTERVAL 3 DAY ELSE "at" END"""
    days = [60 * 60 * 24 * (i % 10) + i for i in range(200)]
    arrived = """SELECT * REPLACE ("at" + INTERVAL 3 DAY AS "at") FROM outcomes"""
    [found] = ask(
        "time_at_risk",
        stage.case(exposures=f"""SELECT * REPLACE ({behind} AS "at") FROM exposures""", outcomes=arrived, days=10),
    )
    [told] = found.measured["follow_up"]
    assert (found.outcome, told["mean_h"] - told["control_h"]) == ("failed", pytest.approx(-72))
    assert told["p"] == pytest.approx(ttest_ind(days, [d + 72 * 3600 for d in days], equal_var=False).pvalue, rel=1e-6)


def test_arms_exposed_alike_pass(stage, ask):
    [found] = ask("time_at_risk", stage.case())
    assert found.outcome == "passed"


def test_a_quarter_of_an_hour_between_the_arms_passes_however_sure_it_is(stage, ask):
    minutes = "CASE WHEN arm = 'letter' THEN 540 ELSE 555 END"
    [found] = ask("time_at_risk", stage.case(exposures=HOURS.format(minutes)))
    assert (found.outcome, found.measured["time_of_day"][0]["p"]) == ("passed", 0.0)


def windowed(stage, days=7):
    path = stage.workspace.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("    column: visit\n", f"    column: visit\n    window_days: {days}\n"))


def test_units_whose_window_ends_after_the_data_fail(stage, ask):
    """The charter enrols nobody after the seventh day, and they were exposed on the eighth to thirteenth."""
    windowed(stage)
    [found] = ask("time_at_risk", stage.case(charter=WINDOW))
    assert found.outcome == "failed"
    assert found.measured["follow_up"][0]["cut_short"] == sum(i % 13 >= 7 for i in range(200))


def test_a_window_that_every_unit_has_passes_with_its_days_as_follow_up(stage, ask):
    windowed(stage)
    [found] = ask("time_at_risk", stage.case(charter=WINDOW, days=7))
    seven = next(each for each in found.measured["follow_up"] if each["window_days"] == 7)
    assert (found.outcome, seven["mean_h"], seven["control_h"]) == ("passed", 7 * 24, 7 * 24)


def test_an_arm_without_units_is_unevaluable(stage, ask):
    [found] = ask("time_at_risk", stage.case(exposures="SELECT * FROM exposures WHERE arm = 'control'"))
    assert found.outcome == "unevaluable"


def test_windows_of_the_control_that_end_after_the_data_fail_as_well(stage, ask):
    """The letter's units came in the first week, and the control's went on coming for six days more."""
    windowed(stage)
    first_week = "SELECT * REPLACE (CASE WHEN arm = 'letter' THEN least(\"at\", TIMESTAMPTZ '2026-01-11 09:00:00+00') "
    query = first_week + 'ELSE "at" END AS "at") FROM exposures'
    [found] = ask("time_at_risk", stage.case(charter=WINDOW, exposures=query))
    assert found.outcome == "failed"
    assert f"before {sum(i % 13 >= 7 for i in range(200))} units of control had the days" in found.reason
