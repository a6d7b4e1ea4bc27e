import pytest
from scipy.stats import chi2_contingency

from shared.engines.protocol import EARLY
from tests.promotion.cases import levels

# An outcome comes five hours after the exposure.
ALL_LATE = """SELECT * REPLACE ("at" + INTERVAL 6 HOUR AS "at") FROM exposures"""
ONE_ARM = """SELECT * REPLACE ("at" + INTERVAL (CASE WHEN arm = 'letter' AND CAST(split_part(unit, '-', 2) AS INTEGER)
             < 60 THEN 6 ELSE 0 END) HOUR AS "at") FROM exposures"""
P = chi2_contingency([[60, 140], [0, 200]], correction=False).pvalue


def test_outcomes_after_their_exposure_pass(stage, ask):
    [found] = ask("outcomes_after_exposure", stage.case())
    assert (found.outcome, found.measured["frac"]) == ("passed", 0.0)


def test_exposures_that_are_logged_after_most_outcomes_fail(stage, ask):
    [found] = ask("outcomes_after_exposure", stage.case(exposures=ALL_LATE))
    assert (found.outcome, found.measured["frac"]) == ("failed", 1.0)
    assert "logged too late" in found.reason


@pytest.mark.parametrize("how", [{"exposures": ONE_ARM}, {"conflicts": {EARLY: 60}}])
def test_early_outcomes_in_one_arm_fail_by_scipys_chi_square(stage, ask, how):
    """Whether they are still among the outcomes, or analysis has set them aside."""
    [found] = ask("outcomes_after_exposure", stage.case(**how))
    assert (found.outcome, found.measured["p"]) == ("failed", pytest.approx(P))
    assert sorted(found.measured["early"].values()) == [60]


def test_early_outcomes_that_are_alike_in_the_arms_pass(stage, ask):
    alike = ONE_ARM.replace("arm = 'letter' AND ", "")
    [found] = ask("outcomes_after_exposure", stage.case(exposures=alike))
    assert (found.outcome, found.measured["frac"], found.measured["p"]) == ("passed", 0.3, pytest.approx(1))


def test_clusters_are_counted_where_they_were_drawn(stage, ask):
    traits = f"SELECT unit, zip_code AS household FROM ({levels('arm || n // 4')})"
    [found] = ask(
        "outcomes_after_exposure", stage.case(charter={"cluster": "household"}, traits=traits, exposures=ONE_ARM)
    )
    assert found.measured["drawn"] == {"control": 50, "letter": 50}
    assert found.measured["early"] == {"letter": 15}


def test_nothing_recorded_is_unevaluable(stage, ask):
    assert ask("outcomes_after_exposure", stage.case(arms={}))[0].outcome == "unevaluable"
