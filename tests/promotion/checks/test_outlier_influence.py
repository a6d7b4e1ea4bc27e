import pytest
import yaml

from tests.promotion.cases import GOOD, LOOKS, Recorded

SPEND = {"primary": {"metric": "spend", "minimum_effect": 0.5}, "guardrails": [{"metric": "visit", "margin": -0.2}]}
WHALE = """SELECT * REPLACE (spend + CASE WHEN unit = 'letter-0' THEN 1000 ELSE 0 END AS spend) FROM outcomes"""


def test_a_share_is_carried_by_no_single_unit(stage, ask):
    [found] = ask("outlier_influence", stage.case())
    assert (found.outcome, "is a share" in found.reason) == ("passed", True)


def test_a_gain_of_the_many_survives_the_cap(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(2.0, 4.0))}
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms=arms))
    assert (found.arm, found.outcome, found.measured) == ("letter", "passed", {"estimate": 1.0, "capped": 1.0})


def test_a_gain_of_one_unit_does_not_and_fails(stage, ask):
    [found] = ask("outlier_influence", stage.case(charter=SPEND, outcomes=WHALE))
    assert found.outcome == "failed"
    # 1,000 more of one unit in 200; capped at 3, which the .99 quantile of all is, it has 2 more.
    assert found.measured == {"estimate": pytest.approx(5), "capped": pytest.approx(0.01)}


def test_how_much_has_to_be_left_is_the_policys(stage, ask):
    case = stage.case(charter=SPEND, outcomes=WHALE)
    assert ask("outlier_influence", case, kept_frac_min=0.001)[0].outcome == "passed"


def test_without_a_gain_there_is_nothing_to_carry(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(0.5, 1.5))}
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms=arms))
    assert (found.outcome, found.reason) == ("passed", "there is no gain in spend that a few units could carry")


def test_without_numbers_it_is_unevaluable(stage, ask):
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms={**GOOD, "letter": Recorded(units=0)}))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")


def test_what_has_to_be_left_may_be_just_left(stage, ask):
    case = stage.case(charter=SPEND, outcomes=WHALE)
    [found] = ask("outlier_influence", case)
    left = found.measured["capped"] / found.measured["estimate"]
    assert ask("outlier_influence", case, kept_frac_min=left)[0].outcome == "passed"


def test_the_cap_takes_the_place_of_the_metrics_own(stage, ask):
    path = stage.workspace.configs / "metrics.yaml"
    catalogue = yaml.safe_load(path.read_text())
    catalogue["metrics"]["spend"]["cap"] = 2
    path.write_text(yaml.safe_dump(catalogue))
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(1.5, 4.0))}
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms=arms))
    # With its own cap 1 or 2 against 1.5 or 2; without it 1 or 3 against 1.5 or 4.
    assert found.measured == {"estimate": pytest.approx(0.25), "capped": pytest.approx(0.75)}


def test_only_what_the_data_are_said_to_cover_is_computed_again(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(2.0, 4.0))}
    later = "SELECT * REPLACE (CASE WHEN \"at\" >= '2026-01-12' THEN 1.0 ELSE spend END AS spend) FROM outcomes"
    case = stage.case(charter={**SPEND, **LOOKS}, arms=arms, outcomes=later, covers_until="2026-01-12T00:00:00Z")
    [found] = ask("outlier_influence", case)
    assert found.measured == {"estimate": pytest.approx(1.0), "capped": pytest.approx(1.0)}
