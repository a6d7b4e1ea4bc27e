"""Days on which one arm's outcomes are missing: as it was found, and as it might be otherwise."""

from __future__ import annotations

import pytest

from tests.promotion.cases import GOOD, Recorded

# Some 15 customers of each arm have their outcome on each day, from 5 to 17 January.
CONTROL = "starts_with(unit, 'control')"
LETTER = "starts_with(unit, 'letter')"
# 1,300 in each arm: a hundred a day.
MANY = {"control": Recorded(1_300, 130), "letter": Recorded(1_300, 390)}
THREE = GOOD | {"card": Recorded(visits=60)}


def without(which):
    """The outcomes without some of them."""
    return f"SELECT * FROM outcomes WHERE NOT ({which})"


def on(day, days=1):
    """Whether an outcome is of so many days in January."""
    return f'day("at") BETWEEN {day} AND {day + days - 1}'


def of(found, arm=None):
    return next(each for each in found if each.arm == arm)


def test_two_days_without_the_controls_outcomes_fail(stage, ask):
    found = of(ask("outages_by_arm", stage.case(outcomes=without(f"{CONTROL} AND {on(9, 2)}"))))
    assert (found.outcome, found.measured["day"], found.measured["days"]) == ("failed", "2026-01-09", 2)
    assert (found.measured["outcomes"], found.measured["stream"]) == (0, "any outcome")


@pytest.mark.parametrize(
    ("which", "arm", "first_days"),
    [
        (f"{LETTER} AND {on(9, 2)}", "letter", (9,)),
        # On which of the three days most of the half was lost is chance.
        (f"{CONTROL} AND {on(8, 3)} AND hash(unit) % 2 = 0", None, (8, 9, 10)),
        (f"{CONTROL} AND {on(5, 2)}", None, (5,)),
    ],
)
def test_a_treatment_half_the_outcomes_and_the_first_days_fail_alike(stage, ask, which, arm, first_days):
    found = ask("outages_by_arm", stage.case(arms=MANY, outcomes=without(which)))
    assert of(found, arm).outcome == "failed"
    assert of(found, arm).measured["day"] in [f"2026-01-{day:02}" for day in first_days]
    assert [each.outcome for each in found if each.arm != arm] == ["passed"]


def test_values_that_turn_to_nothing_for_days_fail_though_the_rows_are_there(stage, ask):
    """Of 23 visits a day none is left in the arm for three days."""
    arms = {"control": Recorded(600, 300), "letter": Recorded(600, 360)}
    lost = f"""SELECT * REPLACE (CASE WHEN {LETTER} AND {on(9, 3)} THEN 0 ELSE visit END AS visit) FROM outcomes"""
    found = of(ask("outages_by_arm", stage.case(arms=arms, outcomes=lost)), "letter")
    assert (found.outcome, found.measured["stream"], found.measured["outcomes"]) == ("failed", "visit", 0)


def test_an_arm_whose_data_end_before_the_others_fails(stage, ask):
    """The last day's outcomes of the control are missing: fifteen, and the letter has sixteen since."""
    found = of(ask("outages_by_arm", stage.case(outcomes=without(f"{CONTROL} AND {on(17)}"))))
    assert found.outcome == "failed"
    # Each of the 16 is of the letter, as half of all are, if chance had it so: for either of two arms.
    share = (200 - 15) / (400 - 15)
    assert found.measured["behind"]["p"] == pytest.approx(2 * (1 - share) ** found_after(), rel=1e-6)


@pytest.mark.parametrize(("which", "arm", "days"), [(f"{LETTER} AND {on(17)}", "letter", 1),
                                                    (f"{CONTROL} AND {on(16, 2)}", None, 2)])  # fmt: skip
def test_any_arms_data_that_end_before_the_others_fail(stage, ask, which, arm, days):
    found = ask("outages_by_arm", stage.case(arms=MANY, outcomes=without(which)))
    assert of(found, arm).outcome == "failed"
    # A hundred a day of each arm's 1,300.
    share = (1_300 - days * 100) / (2_600 - days * 100)
    assert of(found, arm).measured["behind"]["p"] == pytest.approx(2 * (1 - share) ** (days * 100), rel=1e-6)
    assert [each.outcome for each in found if each.arm != arm] == ["passed"]


# A day of few is no outage by itself: that all are of the others since is what tells.
@pytest.mark.parametrize(
    ("arms", "which", "arm"),
    [
        (GOOD, f"{LETTER} AND {on(17)}", "letter"),
        (THREE, f"starts_with(unit, 'card') AND {on(17)}", "card"),
        # Of its visitors none is told of on any day, so that fewer outcomes of it are looked for.
        (GOOD, f"{CONTROL} AND ({on(17)} OR visit = 1)", None),
    ],
)
def test_data_that_end_early_are_told_where_no_day_is_an_outage(stage, ask, arms, which, arm):
    charter = {} if arms is GOOD else {"arms": stage.three_arms()}
    found = ask("outages_by_arm", stage.case(charter=charter, arms=arms, outcomes=without(which)))
    assert of(found, arm).outcome == "failed"
    assert of(found, arm).reason.endswith("did its recording stop?")
    assert [each.outcome for each in found if each.arm != arm] == ["passed"] * (len(arms) - 1)


def found_after():
    """Customers 12, 25, …, 194 of the letter answer on the 13th day."""
    return len(range(12, 200, 13))


def test_an_effect_of_any_size_is_no_outage(stage, ask):
    """Only visitors have an outcome: three times as many of the letter's, on every day."""
    found = ask("outages_by_arm", stage.case(arms=MANY, outcomes=without("visit = 0")))
    assert [each.outcome for each in found] == ["passed", "passed"]


def test_an_effect_that_wears_off_is_no_outage(stage, ask):
    """The letter's visits come within its first week, five times as many; later it has as many as the control."""
    number = "CAST(split_part(unit, '-', 2) AS INTEGER)"
    worn = without(f"{number} % 5 > 0 AND ({CONTROL} OR {on(12, 6)})")
    found = ask("outages_by_arm", stage.case(arms=MANY, outcomes=worn))
    assert [each.outcome for each in found] == ["passed", "passed"]


def test_a_day_on_which_nothing_was_recorded_of_anybody_is_no_arms_outage(stage, ask):
    found = ask("outages_by_arm", stage.case(outcomes=without(on(9, 2))))
    assert [each.outcome for each in found] == ["passed", "passed"]


def test_outcomes_of_one_arm_only_are_unevaluable(stage, ask):
    found = ask("outages_by_arm", stage.case(outcomes=without(CONTROL)))
    assert {each.outcome for each in found} == {"unevaluable"}


def test_nobody_exposed_is_unevaluable(stage, ask):
    assert ask("outages_by_arm", stage.case(arms={}))[0].outcome == "unevaluable"
