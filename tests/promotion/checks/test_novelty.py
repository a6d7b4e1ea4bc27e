import pytest

TWICE = """SELECT * FROM exposures
           UNION ALL SELECT event_id || '-again', unit, arm, "at" + INTERVAL 1 HOUR FROM exposures"""
# As many visit again four days later, in the second quarter of their time, though not all of them the same units.
LASTING = """SELECT * FROM outcomes UNION ALL SELECT event_id || '-again', unit, "at" + INTERVAL 4 DAY,
             CAST((CAST(split_part(unit, '-', 2) AS INTEGER) + 7) % 200
                  < CASE WHEN starts_with(unit, 'letter') THEN 60 ELSE 20 END AS BIGINT), 0, 0.0 FROM outcomes"""


def test_what_was_hardly_seen_twice_has_no_novelty(stage, ask):
    [found] = ask("novelty", stage.case())
    assert (found.outcome, found.measured) == ("passed", {"exposures_per_unit": 1.0})


def test_an_effect_that_wears_off_under_repeated_exposure_fails(stage, ask):
    [found] = ask("novelty", stage.case(exposures=TWICE))
    assert (found.arm, found.outcome) == ("letter", "failed")
    assert found.measured["exposures_per_unit"] == 2.0
    assert found.measured["p"] < 0.01


@pytest.mark.parametrize("often", ["letter", "control"])
def test_one_arm_that_met_it_again_is_not_hidden_behind_one_that_was_logged_once(stage, ask, often):
    """The average over both is 1.5 less a few, below which it is not asked."""
    again = f"SELECT * FROM ({TWICE}) WHERE NOT (event_id LIKE '%-again' AND (arm <> '{often}' OR unit LIKE '%-1'))"
    [found] = ask("novelty", stage.case(exposures=again))
    assert (found.outcome, found.measured["exposures_per_unit"] > 1.9) == ("failed", True)


def test_an_effect_that_lasts_passes(stage, ask):
    [found] = ask("novelty", stage.case(exposures=TWICE, outcomes=LASTING))
    assert (found.arm, found.outcome) == ("letter", "passed")
    assert found.measured["p"] > 0.01


def test_how_often_is_again_and_again_is_the_policys(stage, ask, tmp_path):
    before = stage.copy(tmp_path / "before")
    assert ask("novelty", before.case(rules=2), exposures_per_unit_min=1)[0].outcome == "failed"
    # What was seen once wears off by its nature, whatever the policy.
    assert ask("novelty", stage.case(), exposures_per_unit_min=1)[0].outcome == "passed"
    assert ask("novelty", stage.case(exposures=TWICE), exposures_per_unit_min=2.5)[0].outcome == "passed"


def test_units_exposed_too_late_to_tell_and_nobody_at_all_are_unevaluable(stage, ask):
    late = f"""SELECT * REPLACE ("at" + INTERVAL 9 DAY AS "at") FROM ({TWICE})"""
    outcomes = """SELECT * REPLACE ("at" + INTERVAL 9 DAY AS "at") FROM outcomes"""
    found = ask("novelty", stage.case(exposures=late, outcomes=outcomes, days=3))
    assert {each.outcome for each in found} == {"unevaluable"}
    assert ask("novelty", stage.case(arms={}))[0].outcome == "unevaluable"
